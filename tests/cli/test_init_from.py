"""`npgpt train --init-from`: a run that begins with the weights of another."""

import numpy as np
import pytest
from tiny_run import TINY, assert_same_checkpoint, files, resumed_at

from npgpt.loading import load_model
from npgpt.loading.runs import load_run

SCHEDULE = ("--max-iters", 3, "--eval-interval", 3, "--warmup-iters", 1, "--sample-tokens", 4,
            "--batch-size", 2)


@pytest.fixture
def other_text(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("The hen slept.\n\nThe hen was too tired to cross.\n" * 20, encoding="utf-8")
    return path


def test_it_goes_on_from_the_model_and_its_tokenizer(done, refused, finished, other_text, tmp_path):
    before = files(finished)
    out = tmp_path / "tuned"
    arguments = ("train", "--init-from", finished, "--corpus", other_text, "--out", out)
    # flags and presets of the same shape are no contradiction
    same_shape = (*TINY[:8], "--preset", "tales")
    done(*arguments, *same_shape, *SCHEDULE, "--lr", 1e-9, "--min-lr", 0)
    model, tokenizer, run = load_run(out)
    start, start_tokenizer, start_run = load_run(finished)
    assert tokenizer.tokens == start_tokenizer.tokens and run.model == start_run.model
    assert run.training.max_iters == 3 and run.text.name != start_run.text.name
    for name, weight in model.parameters().items():  # the rate is almost 0
        np.testing.assert_allclose(weight.data, start.parameters()[name].data, atol=1e-6)
    assert files(finished) == before
    resume = ("train", "--resume", "--out", out)
    assert "--init-from" in refused(*resume, "--init-from", finished)
    done(*resume)


@pytest.mark.parametrize(
    ("flags", "leave_out"),
    [
        (["--n-layer", 7], "--n-layer"),
        (["--n-embd", 16, "--block-size", 800], "--block-size, --n-embd"),
        (["--arch", "llama"], "--arch"),
        (["--n-kv-head", 1], "--n-kv-head"),
        (["--tokenizer", "bpe", "--vocab-size", 300], "--vocab-size, --tokenizer"),
        (["--check"], "--check"),
        (["--preset", "tales-t5"], "--preset"),
    ],
)
def test_another_model_than_that_is_refused(refused, finished, tmp_path, flags, leave_out):
    out = tmp_path / "tuned"
    err = refused("train", "--init-from", finished, "--out", out, *flags)
    assert leave_out in err and str(finished) in err and not out.exists()


@pytest.mark.parametrize("arch", ["gpt", "llama", "bert"])
def test_a_shorter_window_has_the_first_positions(done, corpus, tmp_path, arch):
    start, out = tmp_path / "start", tmp_path / "tuned"
    done("train", "--arch", arch, "--corpus", corpus, "--out", start, *TINY, "--eval-stride", 0)
    done("train", "--init-from", start, "--corpus", corpus, "--out", out, "--block-size", 8,
         "--lr", 1e-9, "--min-lr", 0, *SCHEDULE)
    (old, *_), (model, *_) = load_run(start), load_run(out)
    assert model.config.block_size == 8 < old.config.block_size
    for name, weight in model.parameters().items():
        np.testing.assert_allclose(weight.data, old.parameters()[name].data[: len(weight.data)],
                                   atol=1e-6)


PROMPTS = {"bert": "(1) \u03b1 <mask>", "t5": "(1) \u03b1 <extra_id_0>"}
GREEK = "\u03b1\u03b2 (1): \x1b[2J the hen, said the hen\n\n" * 60
KINDS = [("gpt", "char"), ("gpt", "words"), ("llama", "char"), ("bert", "words"), ("t5", "words")]


@pytest.mark.parametrize(("arch", "tokens"), KINDS)
def test_characters_that_the_model_does_not_know_get_rows_of_their_own(
    cli, done, refused, corpus, tmp_path, monkeypatch, at_each_step, arch, tokens
):
    start, out, path = (tmp_path / name for name in ("start", "tuned", "greek.txt"))
    path.write_text(GREEK, encoding="utf-8")
    flags = ("--arch", arch, "--tokenizer", tokens, *TINY, "--eval-stride", 0)
    done("train", *flags, "--corpus", corpus, "--out", start)
    tune = ("train", "--init-from", start, "--corpus", path, "--seed", 7, *SCHEDULE)
    tune += ("--eval-interval", 1, "--lr", 1e-9, "--min-lr", 0)
    text, shown = done(*tune, "--out", out), "'\\x1b()12:J[\u03b1\u03b2'"
    [line] = [line for line in text.splitlines() if shown in line]
    assert "10 " in line

    (old, known, _), (model, tokenizer, run) = load_run(start), load_run(out)
    V = known.vocab_size
    assert tokenizer.tokens[:V] == known.tokens and run.model.vocab_size == V + 10
    assert tokenizer.special_ids == known.special_ids
    assert model.parameters().keys() == old.parameters().keys()
    for name, weight in model.parameters().items():  # the rate is almost 0
        before = old.parameters()[name].data
        same = weight.data[tuple(map(slice, before.shape))]
        np.testing.assert_allclose(same, before, atol=1e-6, err_msg=name)
    done("generate", out, "--prompt", PROMPTS.get(arch, "(1) \u03b1"))

    folder = tmp_path / "exported"
    done("export", out, folder)
    again = load_model(folder)
    assert again.tokenizer.tokens == tokenizer.tokens and type(again.tokenizer) is type(tokenizer)
    for name, weight in model.parameters().items():
        np.testing.assert_array_equal(weight.data, again.model.parameters()[name].data)
    refused("eval", start, "--corpus", path)  # that one knows no more than it did

    def stop(step, _):
        if step == 3:
            raise KeyboardInterrupt

    at_each_step(stop)
    assert cli(*tune, "--out", tmp_path / "resumed")[0] == 130
    monkeypatch.undo()
    text = done("train", "--resume", "--out", tmp_path / "resumed")
    assert resumed_at(text) == 2 and shown not in text
    assert_same_checkpoint(tmp_path / "resumed", out, "tokenizer.json", "samples.txt")


