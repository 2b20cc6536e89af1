"""Where a training stands, by curves that are known, and what helps: commands that work."""

import math
import re
import shlex
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tiny_run import TINY

from npgpt.config import GPTConfig, TrainConfig
from npgpt.run.learning_curve import state_of, what_helps

TAIL = TrainConfig()
DOCUMENTS = TrainConfig(split="documents")


def rows(training, validation):
    """Return rows of metrics.csv with an evaluation after each three steps."""
    return [{"step": i, "loss": training[(i - 1) // 3],
             "val_loss": None if i % 3 else validation[i // 3 - 1]}
            for i in range(1, 3 * len(training) + 1)]


SLOWLY = [3, *(2 - i / 250 for i in range(11))]


@pytest.mark.parametrize(
    ("training", "validation", "word"),
    [
        ([3, 2, 1.7, 1.66], [3, 2, 1.7, 1.65], "still falling"),
        ([3, 1, 0.5, 0.2], [3, 2.4, 2.9, 3.4], "overfitting"),
        ([3, 1, 0.2, 0.2], [3, 2.4, 3.4, 3.4], "overfitting"),  # nothing is left to memorise
        ([3, 2, 1.8, 1.6], [3, 2, 2.001, 2], "overfitting"),  # it gains nothing that holds
        ([3, 2.8, 2.6, 2.5], [3, 2.4, 2.41, 2.4], "still falling"),  # noise of a young model
        ([3, 2, 2, 2], [3, 2.5, 2.5, 2.499], "flat"),  # other text, which is harder: no memory
        (SLOWLY, SLOWLY, "still falling"),
    ],
)
def test_the_losses_tell_once_the_text_was_read(training, validation, word):
    found = rows(training, validation)
    assert state_of(found, TAIL, 2) == state_of(found, DOCUMENTS, len(found)) == word
    assert state_of(found, DOCUMENTS, steps_per_epoch=len(found) + 1) is None
    assert state_of(found[:6], TAIL, steps_per_epoch=2) is None
    assert state_of([row | {"reward": 0.5} for row in found], TAIL, steps_per_epoch=2) is None


def test_a_tail_that_is_another_kind_of_text_shows_before_any_text_was_read_twice():
    found = rows([3.2, 2.6, 2.4], [4.5, 4.1, 4.0])
    assert state_of(found, TAIL, 3) == state_of(found, TAIL, 1000) == "another kind"
    # later a model may have memorised its text
    assert state_of(found, TAIL, steps_per_epoch=2) != "another kind"
    for config in (DOCUMENTS, replace(TAIL, conversations=("talk.jsonl",))):
        assert state_of(found, config, 1000) is None
    assert state_of(rows([3.2, 2.6, 2.4], [3.2, 2.8, 2.6]), TAIL, 1000) is None


# ---- what helps


@pytest.mark.parametrize(("state", "flag", "change"), [
    ("overfitting", "--dropout 0.3", ("dropout", 0.3)), ("flat", "--n-embd 32", ("n_embd", 32)),
])
def test_a_state_is_helped_by_the_change_that_its_words_name(state, flag, change):
    run = SimpleNamespace(model=GPTConfig(5, 8, 1, 2, 16, dropout=0.1))
    helps, command = what_helps(state, run, 9, lambda *changed: changed)
    assert flag in helps and command == change


def test_the_help_of_a_training_is_a_training(done, here):
    """The last text differs from the others; then the losses only say that few steps were taken."""
    for i, text in enumerate(["the cat ran. ", "a hen sat. ", "12345 67890 "]):
        (here / f"{i}.txt").write_text(text * 99)
    typed = ["0.txt", "1.txt", "2.txt", *TINY, "--lr", "0.01", "--train-fraction", "0.7"]
    for split, folder in (["--split=tail"], ["--out", "a"]), (["--split", "tail"], ["--out=b"]):
        out = done("train", *folder, *typed, *split)  # that folder is taken then
        command = re.search(r"another kind(?s:.*)\n    npgpt (train .*)", out)[1]
        assert shlex.split(command) == ["train", *typed, "--split", "documents"]
    out = done("train", "--resume", "--out", "a", "--max-iters", 9)  # what began it is not known
    assert "another kind" in out and "\n    npgpt" not in out
    out = done(*shlex.split(command))
    command = re.search(r"more steps(?s:.*)\n    npgpt (train .*)", out)[1]
    assert "another kind" not in out and "step 12:" in done(*shlex.split(command))


def test_a_text_that_was_not_read_once_is_to_be_read_once(done, here):
    (here / "hens.txt").write_text("a hen sat. " * 400)
    out = done("train", "hens.txt", *TINY, "--lr", "0.01", "--max-iters", "30")
    once, again = re.findall(r"--max-iters\s+(\d+)", out)
    assert once == again and "worse than" not in out


def test_a_single_text_whose_end_differs_is_to_be_cut_into_several(done, here):
    text = "the cat ran. " * 300 + "12345 67890 " * 40
    (here / "end.txt").write_text(text)
    out = done("train", "end.txt", *TINY, "--lr", "0.1", "--max-iters", "12")
    assert "several" in out and "npgpt train end" not in out
    assert f"{math.log(len(set(text))):.4f}" in out  # a blind guess is better
