"""`npgpt generate`: continuations, stop strings, log-probabilities, a talk, folders of models."""

import math
from argparse import ArgumentParser
from functools import partial
from types import SimpleNamespace

import pytest
from tiny_run import run_program

from npgpt import CharTokenizer
from npgpt.cli import generate
from npgpt.cli.generate import note_unknown
from npgpt.config import TrainConfig

SHORT = ("--max-new-tokens", 12, "--seed", 1)


def test_what_is_not_typed_is_the_default_of_sampling():
    parser = ArgumentParser()
    generate.add_sampling(parser, 0.7)
    assert generate.sampling_settings(parser.parse_args([])) == {"temperature": 0.7}


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Return a folder of the transformers library; do not write to it."""
    folder = tmp_path_factory.mktemp("exported") / "hens"
    run_program("export", finished, folder)
    return folder


@pytest.fixture
def generated(as_json):
    return partial(as_json, "generate")


def test_a_folder_of_the_transformers_library_writes_what_its_run_does(
    generated, refused, finished, exported
):
    assert generated(exported, *SHORT) == generated(finished, *SHORT)
    assert "GPT2LMHeadModel" in (exported / "config.json").read_text()
    assert str(exported) in refused("export", finished, exported)
    assert "eval MODEL TEXT" in refused("eval", exported)
    refused("eval", exported, "tales", "--split", "val")  # characters that the model does not know


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_the_first_of_several_continuations_is_the_one_of_a_single(
    generated, done, finished, weights
):
    flags = (*SHORT, "--prompt", "the hen", "--weights", weights)
    one = generated(finished, *flags)
    three = generated(finished, *flags, "--n", 3)["samples"]
    assert three[0] | {"prompt": "the hen"} == one
    assert len({sample["text"] for sample in three}) == 3
    out = done("generate", finished, *flags, "--n", 3)
    assert all(f"{i} of 3" in out and three[i - 1]["text"] in out for i in (1, 2, 3))


def test_a_text_ends_before_a_stop_string(generated, done, finished):
    whole = generated(finished, *SHORT)["text"]
    stop = whole[4:6]
    cut = generated(finished, *SHORT, "--stop", stop, "--stop", "\u20ac")
    assert cut["text"] == whole[: whole.index(stop)] and cut["tokens"] == whole.index(stop) + 2
    assert done("generate", finished, *SHORT, "--stop", stop) == cut["text"] + "\n"
    greedy = (*SHORT, "--temperature", 0, "--stop", generated(
        finished, *SHORT, "--temperature", 0)["text"][4:6])
    one, two = generated(finished, *greedy), generated(finished, *greedy, "--n", 2)["samples"]
    assert [(each["text"], each["ids"]) for each in two] == [(one["text"], one["ids"])] * 2


def test_log_probabilities_of_tokens_and_of_the_likeliest(generated, finished):
    tokens = generated(finished, *SHORT, "--logprobs", 3, "--temperature", 0)["logprobs"]
    assert len(tokens) == 12
    for token in tokens:
        likeliest = token["top"]
        assert token == likeliest[0] | {"top": likeliest}  # greedy
        assert [t["logprob"] for t in likeliest] == sorted(t["logprob"] for t in likeliest)[::-1]
        assert sum(math.exp(t["logprob"]) for t in likeliest) < 1


@pytest.mark.parametrize("bandwidth", [1e15, 1.0])  # 1.0: measured at a bad moment
def test_stats_say_how_fast_and_how_near_the_limit(
    generated, cli, finished, monkeypatch, bandwidth
):
    monkeypatch.setattr(generate, "read_bandwidth", lambda size: bandwidth)
    stats = generated(finished, *SHORT, "--stats", "--n", 2)["stats"]
    rate, share = stats["tokens_per_second"], stats["share_of_memory_limit"]
    assert stats["seconds_to_first_token"] > 0
    assert share == pytest.approx(rate / stats["memory_limit_tokens_per_second"])
    _, out, err = cli("generate", finished, *SHORT, "--stats")
    assert "tokens/s" in err and "tokens" not in out
    assert (share == 1) == (bandwidth == 1) == ("100%" in err)


@pytest.mark.parametrize(("flags", "fact"), [
    ("--prompt hé", "U+00E9"), ("--prompt ", "empty"), ("--prompt-file nowhere.txt", "nowhere.txt"),
    ("--max-new-tokens -1", "max_new_tokens=-1"),
])
def test_flags_that_make_no_sense_are_refused(cli, finished, flags, fact):
    status, out, err = cli("generate", finished, *flags.split(" "))
    assert (status, out) == (1, "") and fact in err and err.count("\n") == 1


def test_eval_shows_the_loss_by_how_weights_are_stored(as_json, done, finished):
    whole, found = as_json("eval", finished), as_json("eval", finished, "--weights")
    losses = found.pop("loss_by_weights")
    assert found == whole and losses["fp32"] == whole["loss"]
    for kind, close in (("int8", 1e-2), ("bf16", 2e-3)):
        assert whole["loss"] != losses[kind] == pytest.approx(whole["loss"], rel=close)
    out = done("eval", finished, "--weights", "int8")
    assert f"{losses['int8']:.4f}" in out and "bf16" not in out


# ---- Words that a model was never taught


@pytest.mark.parametrize(("text", "words", "training"), [
    ("Queen Dorela lost a spoon, a boat and a crown.", "spoon, boat", {}),  # names are invented
    ("Tell a story of a hen.", "story", {}),
    ("Tell a story of a hen. a spoon, spoon", "spoon",
     {"corpus": (), "conversations": ("tales",)}),
    ("A hen <mask> <extra_id_0>.", None, {}),
    ("a spoon", None, {"corpus": ("my.txt",)}),  # of which nothing is known but its letters
])
def test_words_that_the_tales_never_have_are_noted(capsys, text, words, training):
    letters, run = CharTokenizer.train("abc"), SimpleNamespace(training=TrainConfig(**training))
    note_unknown(text, letters, run)
    said = capsys.readouterr().err
    assert f" {words}:" in said if words else said == ""
