"""Runs that learn from a reward: the command, its files, resuming to the bit, its refusals."""

import os
import signal

import pytest
from tiny_run import TINY, npgpt

from npgpt import load_run, tales
from npgpt.cli import main
from npgpt.support.metrics import COLUMNS, REWARD_COLUMNS, read_metrics

# A model that knows three tales by heart: half of what it writes is right.
THREE = ["--tokenizer", "words", *TINY, "--block-size", "64", "--n-embd", "32", "--batch-size", "8",
         "--max-iters", "150", "--lr", "0.02", "--eval-interval", "150"]
LEARN = ["--max-iters", "10", "--batch-size", "8", "--eval-interval", "2", "--eval-tokens", "200",
         "--eval-stride", "0", "--sample-tokens", "0", "--lr", "1e-3", "--warmup-iters", "1"]
MOVES = ["--reward", "grammar", "--reward-kl", "0.01", "--reward-credit", "token"]
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


def test_the_files_of_a_run(learned):
    rows = read_metrics(learned / "metrics.csv")
    assert [row["step"] for row in rows] == list(range(1, 11))
    assert tuple(rows[0]) == COLUMNS + REWARD_COLUMNS
    assert rows[0]["kl"] == pytest.approx(0, abs=1e-6) and rows[-1]["kl"] > 1e-4
    assert 0 < rows[0]["valid"] == rows[0]["reward"] < rows[-1]["valid"]
    assert rows[0]["entropy"] > 0
    assert (learned / "reward.png").exists() and not (learned / "loss.png").exists()
    assert load_run(learned)[2].training.reward == "grammar"


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
    (["--reward-credit", "token"], "reward_credit=token needs reward="),
    (["--reward", "grammar", "--dropout", "0.1"], "--dropout 0"),
])
def test_what_is_refused_with_advice(start, tmp_path, capsys, flags, advice):
    assert learn(start, tmp_path / "run", *flags) == 1
    assert advice in capsys.readouterr().err and not (tmp_path / "run").exists()


@pytest.mark.parametrize(("arch", "advice"), [("gpt", "first 8 "), ("bert", "gpt or llama")])
def test_a_reward_needs_a_trained_model_that_writes(start, tmp_path, capsys, arch, advice):
    text = start.parent / "tales.txt"
    made = ["train", "--arch", arch, "--corpus", str(text), *THREE, "--max-iters", "1"]
    assert main([*made, "--out", str(tmp_path / "new")]) == 0
    assert learn(tmp_path / "new", tmp_path / "run", *MOVES, corpus=text) == 1
    assert advice in capsys.readouterr().err
