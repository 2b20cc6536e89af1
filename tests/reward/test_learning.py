"""Runs that learn from a reward: the command, its files, resuming to the bit, its refusals."""

import os
import signal
from dataclasses import replace

import numpy as np
import pytest
from tiny_run import TINY, npgpt

from npgpt import GPT, GPTConfig, load_run, tales
from npgpt.cli import main
from npgpt.metrics import COLUMNS, REWARD_COLUMNS, read_metrics
from npgpt.optim import make_optimizer
from npgpt.reward.draws import Rewarded
from npgpt.reward.settings import RewardConfig
from npgpt.reward.verify import Verdict
from npgpt.train import training_steps

# A model that knows three tales by heart: half of what it writes is right.
THREE = ["--tokenizer", "words", *TINY, "--block-size", "64", "--n-embd", "32", "--batch-size", "8",
         "--max-iters", "150", "--lr", "0.02", "--eval-interval", "150"]
LEARN = ["--max-iters", "10", "--batch-size", "8", "--eval-interval", "2", "--eval-tokens", "200",
         "--eval-stride", "0", "--sample-tokens", "0", "--lr", "1e-3", "--warmup-iters", "1"]
MOVES = ["--reward", "grammar", "--reward-kl", "0.01"]
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
    text = folder.parent / "tales.txt"
    three = sorted(tales.stories(tales.generate(3000, seed=1)), key=len)[:3]
    text.write_text("".join(three) * 100, encoding="utf-8")
    assert main(["train", "--corpus", str(text), "--out", str(folder), *THREE]) == 0
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
    assert 0 < rows[0]["valid"] == rows[0]["reward"] < rows[-1]["valid"]
    assert rows[0]["entropy"] > 0
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
    (["--reward-credit", "token"], "reward_credit=token needs reward="),
    (["--reward", "grammar", "--reward-kl", "-1"], "0 or more"),
    (["--reward", "grammar", "--dropout", "0.1"], "--dropout 0"),
])
def test_what_is_refused_with_advice(start, tmp_path, capsys, flags, advice):
    assert learn(start, tmp_path / "run", *flags) == 1
    message = capsys.readouterr().err.strip()
    assert advice in message and len(message.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_reward_needs_a_trained_model(start, tmp_path, capsys):
    assert main(["train", "--reward", "grammar", "--out", str(tmp_path / "run")]) == 1
    assert "--init-from" in capsys.readouterr().err
    text, new = str(start.parent / "tales.txt"), tmp_path / "new"
    assert main(["train", "--corpus", text, "--out", str(new), *THREE, "--max-iters", "1"]) == 0
    assert learn(new, tmp_path / "run", *MOVES, corpus=text) == 1
    assert "first 8 " in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(("arch", "works"), [("llama", True), ("bert", False)])
def test_models_that_write_from_left_to_right_learn(start, tmp_path, capsys, arch, works):
    other = tmp_path / arch
    text = start.parent / "tales.txt"
    made = ["train", "--arch", arch, "--corpus", str(text), *THREE]
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
    model, reference = (GPT(GPTConfig(3, 4, 1, 1, 4), seed=1) for _ in range(2))
    reference.wte.weight.data[0] += 1
    objective = Rewarded(None, model, reference, FirstToken(), [0], config)
    for step in training_steps(model, make_optimizer(model, config), None, config,
                               objective=objective):
        if step.step == steps:
            break
    return np.concatenate([weight.data.ravel() for weight in model.parameters().values()])


def test_each_setting_changes_the_steps():
    plain = weights_after()
    for changes in {"reward_kl": 0.1}, {"reward_credit": "token"}:
        assert not np.array_equal(plain, weights_after(**changes)), changes


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
