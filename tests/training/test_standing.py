"""Where a training stands, by curves that are known, and what helps: commands that work."""

import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import BPETokenizer, CharTokenizer, GPTConfig
from npgpt import cli as program
from npgpt.batches import TextSource
from npgpt.config import TrainConfig
from npgpt.loading.runs import Run
from npgpt.run.standing import standing, what_helps

RUN = Run(Path("runs/my text"), GPTConfig(9, 8, 3, 2, 16, dropout=0.4),
          TrainConfig(corpus=("my text.txt",), max_iters=70), TextSource("my", 5, "0" * 64, None))


def rows(training, validation, between=3):
    """Rows of metrics.csv with an evaluation after each `between` steps."""
    return [
        {"loss": loss, "val_loss": held if step == between else None}
        for loss, held in zip(training, validation, strict=True) for step in range(1, between + 1)
    ]


@pytest.mark.parametrize(
    ("training", "validation", "word"),
    [
        ([3, 2, 1.7, 1.66], [3, 2, 1.7, 1.65], "still falling"),
        ([3, 1, 0.5, 0.2], [3, 2.4, 2.9, 3.4], "overfitting"),
        ([3, 1, 0.2, 0.2], [3, 2.4, 3.4, 3.4], "overfitting"),  # nothing is left to memorise
        ([3, 2, 1.8, 1.6], [3, 2, 2.001, 2], "overfitting"),  # it gains nothing that holds
        ([3, 2.8, 2.6, 2.5], [3, 2.4, 2.41, 2.4], "still falling"),  # noise of a young model
        ([3, 2, 2, 2], [3, 2.5, 2.5, 2.499], "flat"),  # other text, which is harder: no memory
        ([3, 2, 2.2, 2.4], [3, 2, 2.2, 2.4], "flat"),  # a rate that is too high
        ([3, 2, *[1.9] * 10], [3, 2, *[1.9] * 10], "flat"),
        ([3, *[2 - i / 250 for i in range(11)]], [3, *[2 - i / 250 for i in range(11)]],
         "still falling"),  # slowly
    ],
)
def test_the_losses_tell(training, validation, word):
    found, *losses = standing(rows(training, validation))
    assert found == word and losses == pytest.approx([training[-1], validation[-1]])
    assert standing(rows(training[:2], validation[:2])) is None
    assert standing([row | {"reward": 0.5} for row in rows(training, validation)]) is None


@given(st.lists(st.tuples(st.floats(0.01, 9), st.floats(0.01, 9)), min_size=3), st.floats(0.1, 10))
def test_neither_the_unit_nor_rows_since_the_last_evaluation_change_it(pairs, unit):
    training, validation = zip(*pairs, strict=True)
    found = standing(rows(training, validation))[0]
    later = [{"loss": 1e9, "val_loss": None}]
    assert found == standing(rows(training, validation) + later)[0]
    if found == "still falling" and validation[-1] < 0.99 * min(validation[:-1]):
        scaled = ([x * unit for x in values] for values in (training, validation))
        assert standing(rows(*scaled))[0] == found


@pytest.mark.parametrize("word", ["still falling", "overfitting", "flat"])
@pytest.mark.parametrize("tokenizer", [CharTokenizer("ab"), BPETokenizer.train("aab" * 9, 257)])
def test_what_helps_is_a_command(word, tokenizer):
    args = program._parsed(["train", *shlex.split(what_helps(word, RUN, tokenizer)[1])])
    if word == "still falling":
        assert (args.resume, args.out, args.max_iters) == (True, "runs/my text", 140)
        return
    assert args.corpus == ["my text.txt"]
    assert args.dropout == (0.5 if word == "overfitting" else None)
    assert (args.n_layer, args.n_embd) == ((3, 32) if word == "flat" else (None, None))
    assert args.bpe_size == (257 if word == "flat" and tokenizer.vocab_size == 257 else None)
    talks = replace(RUN, training=replace(RUN.training, conversations=("a.jsonl",)))
    args = program._parsed(["train", *shlex.split(what_helps(word, talks, tokenizer)[1])])
    assert (args.corpus, args.conversations) == (None, ["a.jsonl"])
