"""`npgpt train --init-from`: a run that begins with the weights of another."""

import numpy as np
import pytest
from tiny_run import TINY, assert_same_checkpoint, files, resumed_at

from npgpt.loading.runs import load_run

# At this rate the weights stay what they were.
SCHEDULE = ("--max-iters", 3, "--eval-interval", 1, "--warmup-iters", 1, "--sample-tokens", 4,
            "--batch-size", 2, "--lr", 1e-9, "--min-lr", 0)


def assert_begins(model, start):
    """Check that the weights of a model begin with those of another, or are their first rows."""
    assert model.parameters().keys() == start.parameters().keys()
    for name, weight in model.parameters().items():
        old = start.parameters()[name].data
        one, two = (data[tuple(map(slice, np.minimum(old.shape, weight.shape)))]
                    for data in (weight.data, old))
        np.testing.assert_allclose(one, two, atol=1e-6, err_msg=name)


def test_it_goes_on_from_the_model_and_its_tokenizer(done, refused, finished, tmp_path):
    before, out, text = files(finished), tmp_path / "tuned", tmp_path / "other.txt"
    text.write_text("The hen slept.\n\nThe hen was too tired to cross.\n" * 20)
    # flags and presets of the same shape are no contradiction
    same_shape = (*TINY[:8], "--preset", "tales")
    done("train", "--init-from", finished, text, "--out", out, *same_shape, *SCHEDULE)
    (model, tokenizer, run), (start, start_tokenizer, start_run) = map(load_run, (out, finished))
    assert_begins(model, start)
    assert tokenizer.tokens == start_tokenizer.tokens and run.model == start_run.model
    assert run.text.name == str(text) and files(finished) == before
    resume = ("train", "--resume", out)
    assert "--init-from" in refused(*resume, "--init-from", finished)
    done(*resume)


@pytest.mark.parametrize(("flags", "leave_out"), [
    ("--n-embd 16 --block-size 800", "--block-size, --n-embd"),
    ("--arch llama", "--arch"),
    ("--tokenizer bpe --vocab-size 300", "--vocab-size, --tokenizer"),
    ("--check", "--check"),
])
def test_another_model_than_that_is_refused(refuses, finished, flags, leave_out):
    refuses(f"{finished} {leave_out}", "train", "--init-from", finished, *flags.split())


@pytest.mark.parametrize("arch", ["gpt", "llama", "bert"])
def test_a_shorter_window_has_the_first_positions(done, corpus, tmp_path, arch):
    start, out = tmp_path / "start", tmp_path / "tuned"
    train = ("train", corpus, *TINY, "--eval-stride", 0, "--out")
    done(*train, start, "--arch", arch)
    done(*train, out, "--init-from", start, *SCHEDULE, "--block-size", 8)
    (old, *_), (model, *_) = load_run(start), load_run(out)
    assert model.config.block_size == 8 < old.config.block_size
    assert_begins(model, old)


def test_its_dropout_and_its_seed_are_those_of_the_new_run(
    done, interrupted, finished, corpus, tmp_path
):
    tune = ("train", "--init-from", finished, corpus, *SCHEDULE, "--dropout", 0.5, "--seed", 7,
            "--lr", 0.01, "--out")
    done(*tune, tmp_path / "whole")
    interrupted(2, *tune, tmp_path / "parts")
    done("train", "--resume", tmp_path / "parts")
    assert_same_checkpoint(tmp_path / "whole", tmp_path / "parts")


PROMPTS = {"bert": "(1) \u03b1 <mask>", "t5": "(1) \u03b1 <extra_id_0>"}
GREEK = "\u03b1\u03b2 (1): \x1b[2J the hen, said the hen\n\n" * 60
KINDS = [("gpt", "char"), ("gpt", "words"), ("llama", "char"), ("bert", "words"), ("t5", "words")]


@pytest.mark.parametrize(("arch", "tokens"), KINDS)
def test_characters_that_the_model_does_not_know_get_rows_of_their_own(
    done, refused, interrupted, corpus, tmp_path, arch, tokens
):
    start, out, same, path = (
        tmp_path / name for name in ("start", "tuned", "resumed", "greek.txt"))
    path.write_text(GREEK, encoding="utf-8")
    flags = ("--arch", arch, "--tokenizer", tokens, *TINY, "--eval-stride", 0)
    done("train", *flags, corpus, "--out", start)
    tune = ("train", "--init-from", start, "--corpus", path, "--seed", 7, *SCHEDULE)
    shown = "10 tokens", "\\x1b ( ) 1 2 : J [ \u03b1 \u03b2"
    text = done(*tune, "--out", out)
    assert all(fact in text for fact in shown)
    (old, known, _), (model, tokenizer, run) = load_run(start), load_run(out)
    V = known.vocab_size
    assert tokenizer.tokens[:V] == known.tokens and run.model.vocab_size == V + 10
    assert_begins(model, old)
    done("generate", out, PROMPTS.get(arch, "(1) \u03b1"))
    refused("eval", start, path)  # that one knows no more than it did

    interrupted(3, *tune, "--out", same)
    text = done("train", "--resume", same)
    assert resumed_at(text) == 2 and shown[1] not in text
    assert_same_checkpoint(same, out, "tokenizer.json", "samples.txt")
