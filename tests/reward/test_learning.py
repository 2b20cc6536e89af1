"""Runs that learn from a reward: the command, its files, resuming to the bit, its refusals."""

import os
import re
import signal
from dataclasses import fields, replace

import numpy as np
import pytest
from tiny_run import TINY, npgpt

from npgpt import GPT, GPTConfig, load_run, tales
from npgpt.cli import main
from npgpt.metrics import COLUMNS, REWARD_COLUMNS, read_metrics
from npgpt.optim import make_optimizer
from npgpt.reward.draws import PAD, Rewarded
from npgpt.reward.settings import RewardConfig, checked
from npgpt.reward.verify import Verdict
from npgpt.train import training_steps

LEARN = ["--max-iters", "10", "--batch-size", "4", "--eval-interval", "2", "--eval-tokens", "200",
         "--eval-stride", "0", "--sample-tokens", "0"]
# An entropy bonus, since no story of so small a model is right: without it nothing would move.
MOVES = ["--reward", "grammar", "--reward-entropy", "0.1", "--reward-kl", "0.01",
         "--reward-updates", "3"]
DIE_AT_DRAW = """
import os, signal, sys
from npgpt.reward import draws
from npgpt.cli import main
drawn, draw = [], draws.draw_stories

def dying(*arguments):
    drawn.append(1)
    if len(drawn) == int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    return draw(*arguments)

draws.draw_stories = dying
main(sys.argv[2:])
"""


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start") / "tales"
    # A text of the tales, so small that it is quick; its tokens are those of the tales.
    text = folder.parent / "tales.txt"
    text.write_text(tales.generate(20_000, seed=1), encoding="utf-8")
    assert main(["train", "--corpus", str(text), "--out", str(folder), *TINY]) == 0
    return folder


def learn(start, folder, *more, corpus=None):
    corpus = corpus or start.parent / "tales.txt"
    return main(["train", "--init-from", str(start), "--corpus", str(corpus), "--out", str(folder),
                 *LEARN, *more])


@pytest.fixture(scope="module")
def learned(start, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned") / "run"
    assert learn(start, folder, *MOVES) == 0
    return folder


def test_the_files_of_a_run(start, learned, capsys):
    rows = read_metrics(learned / "metrics.csv")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert tuple(rows[0]) == COLUMNS + REWARD_COLUMNS
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6) and rows[-1]["kl"] > 1e-4
    assert rows[-1]["valid"] == rows[-1]["reward"] == 0 and rows[-1]["entropy"] is None
    assert (learned / "reward.png").exists() and not (learned / "loss.png").exists()
    model, _, run = load_run(learned)
    assert run.training.reward == "grammar"
    before, _, _ = load_run(start)
    assert any((w.data != before.parameters()[name].data).any()
               for name, w in model.parameters().items())


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("draw", [2, 3])
def test_killed_and_resumed_to_the_bit(start, learned, tmp_path, draw):
    """Draws are at steps 0, 3 and 6; the checkpoint before one may lie between two draws."""
    folder, corpus = tmp_path / "run", start.parent / "tales.txt"
    arguments = ["train", "--init-from", start, "--corpus", corpus, "--out", folder, *LEARN, *MOVES]
    died = npgpt(draw, *arguments, code=DIE_AT_DRAW)
    assert died.returncode == -signal.SIGKILL
    assert main(["train", "--resume", "--out", str(folder)]) == 0
    for name in ("model.safetensors", "train_state.safetensors", "best.safetensors", "result.json"):
        assert (folder / name).read_bytes() == (learned / name).read_bytes(), name
    ours, theirs = (read_metrics(f / "metrics.csv") for f in (folder, learned))
    for row in (*ours, *theirs):
        del row["seconds"]
    assert ours == theirs


@pytest.mark.parametrize(("flags", "advice"), [
    (["--reward-kl", "0.1"], "reward_kl=0.1 needs reward="),
    (["--reward", "grammar", "--reward-loss", "dpo"], "reward_loss=dpo needs reward_kl"),
    (["--reward", "grammar", "--reward-draws", "start"], "reward_draws=start needs reward_adv"),
    (["--reward", "grammar", "--reward-kl-estimator", "reward", "--reward-credit", "token",
      "--reward-kl", "0.1"], "reward_credit=token needs reward_kl_estimator=full"),
    (["--reward", "grammar", "--dropout", "0.1"], "--dropout 0"),
    (["--reward", "grammar", "--reward-updates", "0"], "1 or more"),
    (["--reward", "grammar"], "first 4 "),
])
def test_what_is_refused_with_advice(start, tmp_path, capsys, flags, advice):
    assert learn(start, tmp_path / "run", *flags) == 1
    message = capsys.readouterr().err.strip()
    assert advice in message and len(message.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_reward_needs_a_trained_model(tmp_path, capsys):
    assert main(["train", "--reward", "grammar", "--out", str(tmp_path / "run")]) == 1
    assert "--init-from" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "works"), [("llama", True), ("bert", False)])
def test_models_that_write_from_left_to_right_learn(start, tmp_path, capsys, arch, works):
    other = tmp_path / arch
    text = start.parent / "tales.txt"
    made = ["train", "--arch", arch, "--tokenizer", "char", "--corpus", str(text), *TINY]
    assert main([*made, "--out", str(other)]) == 0
    found = learn(other, tmp_path / "run", *MOVES, corpus=text)
    assert found == (0 if works else 1)
    assert works or "gpt or llama" in capsys.readouterr().err


class FirstToken:
    """A reward for stories of two tokens that begin with 1."""

    tokens = (b"0", b"1", b"2")

    def ended(self, written):
        return written.endswith(b"0")

    def __call__(self, ids):
        right = ids[0] == 1
        return Verdict(float(right), bool(right), None if right else 0)


def weights_after(steps=6, **switches):
    config = replace(RewardConfig(reward="grammar", max_iters=20, batch_size=16, lr=1e-2,
                                 min_lr=1e-3, warmup_iters=2), **switches)
    checked(config)
    model, reference = (GPT(GPTConfig(3, 4, 1, 1, 4), seed=1) for _ in range(2))
    reference.wte.weight.data[0] += 1
    shape = config.reward_updates * 16, 5
    drawn = {"ids": np.full(shape, PAD), "old": np.zeros((shape[0], 4), np.float32)}
    objective = Rewarded(None, model, reference, FirstToken(), [0], config, drawn)
    for step in training_steps(model, make_optimizer(model, config), None, config,
                               objective=objective):
        if step.step == steps:
            break
    return np.concatenate([weight.data.ravel() for weight in model.parameters().values()])


NUMBERS = {"reward_kl": 0.1, "reward_entropy": 0.1, "reward_updates": 2, "reward_clip": 0.01}
SWITCHES = {f.name: f.metadata["choices"] for f in fields(RewardConfig)
            if f.name.startswith("reward") and f.metadata["choices"]}
CHANGES = {*NUMBERS.items(), *((name, value) for name, values in SWITCHES.items()
                               for value in values[1:] if name != "reward")}


def test_each_setting_changes_the_steps_or_is_refused_with_what_makes_it_count():
    accepted = set()
    for beside in (
        {}, {"reward_kl": 0.1}, {"reward_updates": 2}, {"reward_advantage": "none"},
        {"reward_loss": "dpo", "reward_kl": 0.1}, {"reward_kl": 0.1, "reward_kl_estimator": "k1"},
        {"reward_draws": "start", "reward_advantage": "none"},
    ):
        before = weights_after(**beside)
        for name, value in {change for change in CHANGES if change[0] not in beside}:
            try:
                after = weights_after(**beside, **{name: value})
            except ValueError as error:
                assert re.search(r" reward_\w+=\S+ needs \w+", str(error))
                continue
            assert not np.array_equal(before, after), (name, value, beside)
            accepted.add((name, value))
    assert accepted == CHANGES


def test_the_policy_learns_what_is_rewarded():
    def share(weights):
        model = GPT(GPTConfig(3, 4, 1, 1, 4), seed=1)
        start = 0
        for weight in model.parameters().values():
            weight.data[...] = weights[start : start + weight.size].reshape(weight.shape)
            start += weight.size
        logits = model.next_logits(np.array([[0]]))[0]
        return np.exp(logits[1]) / np.exp(logits).sum()

    assert share(weights_after(20, lr=0.05)) > 0.8 > 0.5 > share(weights_after(1))
