"""`npgpt generate`: continuations, stop strings, log-probabilities, a talk, folders of models."""

import json
import math
import re
from argparse import ArgumentParser
from types import SimpleNamespace

import pytest

from npgpt import CharTokenizer
from npgpt.cli import generate
from npgpt.cli.generate import note_unknown
from npgpt.config import TrainConfig
from npgpt.tokenizers import BPETokenizer

SHORT = ("--max-new-tokens", 12, "--seed", 1)


def test_what_is_not_typed_is_the_default_of_sampling():
    parser = ArgumentParser()
    generate.add_sampling(parser, 0.7)
    assert generate.sampling_settings(parser.parse_args([])) == {"temperature": 0.7}


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Return a folder of the transformers library; do not write to it."""
    from npgpt.cli import main

    folder = tmp_path_factory.mktemp("exported") / "hens"
    assert main(["export", str(finished), str(folder)]) == 0
    return folder


@pytest.fixture
def as_json(done):
    return lambda *arguments: json.loads(done("generate", *arguments, "--json"))


def test_a_folder_of_the_transformers_library_writes_what_its_run_does(
    as_json, refused, finished, exported
):
    assert as_json(exported, *SHORT) == as_json(finished, *SHORT)
    assert "eval MODEL TEXT" in refused("eval", exported)
    tales = ("--corpus", "tales", "--split", "val", "--json")
    refused("eval", exported, *tales)  # characters that the model does not know


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_the_first_of_several_continuations_is_the_one_of_a_single(
    as_json, done, finished, weights
):
    flags = (*SHORT, "--prompt", "the hen", "--weights", weights)
    one = as_json(finished, *flags)
    three = as_json(finished, *flags, "--n", 3)["samples"]
    assert three[0] | {"prompt": "the hen"} == one
    assert len({sample["text"] for sample in three}) == 3
    out = done("generate", finished, *flags, "--n", 3)
    assert out == "".join(
        f"--- {i} of 3\nthe hen{sample['text']}\n" for i, sample in enumerate(three, 1)
    ) + "\n"


def test_a_text_ends_before_a_stop_string(as_json, done, finished):
    whole = as_json(finished, *SHORT)["text"]
    stop = whole[4:6]
    cut = as_json(finished, *SHORT, "--stop", stop, "--stop", "\u20ac")
    assert cut["text"] == whole[: whole.index(stop)] and cut["tokens"] == whole.index(stop) + 2
    assert done("generate", finished, *SHORT, "--stop", stop) == cut["text"] + "\n"
    several = as_json(finished, *SHORT, "--stop", stop, "--n", 3)["samples"]
    assert not any(stop in sample["text"] for sample in several)


def test_log_probabilities_of_tokens_and_of_the_likeliest(as_json, finished):
    tokens = as_json(finished, *SHORT, "--logprobs", 3, "--temperature", 0)["logprobs"]
    assert len(tokens) == 12
    for token in tokens:
        likeliest = token["top"]
        assert token == likeliest[0] | {"top": likeliest}  # greedy
        assert [t["logprob"] for t in likeliest] == sorted(t["logprob"] for t in likeliest)[::-1]
        assert sum(math.exp(t["logprob"]) for t in likeliest) < 1


@pytest.mark.parametrize("bandwidth", [1e15, 1.0])  # 1.0: measured at a bad moment
def test_stats_say_how_fast_and_how_near_the_limit(as_json, cli, finished, monkeypatch, bandwidth):
    monkeypatch.setattr(generate, "read_bandwidth", lambda size: bandwidth)
    stats = as_json(finished, *SHORT, "--stats", *["--n", 2] * (bandwidth > 1))["stats"]
    assert stats["tokens_per_second"] > 0 and stats["seconds_to_first_token"] > 0
    limit = stats["memory_limit_tokens_per_second"]
    assert stats["share_of_memory_limit"] == pytest.approx(stats["tokens_per_second"] / limit)
    _, out, err = cli("generate", finished, *SHORT, "--stats")
    assert "tokens/s" in err and "tokens/s" not in out
    if bandwidth == 1:
        assert stats["share_of_memory_limit"] == 1 and "100%" in err


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        (["--prompt", "hé"], "U+00E9"),
        (["--prompt", ""], "empty"),
        (["--prompt-file", "nowhere.txt"], "nowhere.txt"),
        (["--temperature", -1], "temperature"),
        (["--max-new-tokens", -1], "max_new_tokens=-1"),
        (["--n", 0], "--n 0"),
        (["--logprobs", 2], "--json"),
        (["--logprobs", -1, "--json"], "--logprobs -1"),
        (["--stop", ""], "stop"),
    ],
)
def test_flags_that_make_no_sense_are_refused(cli, finished, arguments, fact):
    status, out, err = cli("generate", finished, *arguments)
    assert (status, out) == (1, "") and fact in err and err.count("\n") == 1


def test_eval_shows_the_loss_by_how_weights_are_stored(done, finished):
    whole = json.loads(done("eval", finished, "--json"))
    found = json.loads(done("eval", finished, "--json", "--weights"))
    losses = found.pop("loss_by_weights")
    assert found == whole and losses["fp32"] == whole["loss"]
    assert losses["bf16"] != whole["loss"] != losses["int8"]
    assert losses["int8"] == pytest.approx(whole["loss"], rel=1e-2)
    assert losses["bf16"] == pytest.approx(whole["loss"], rel=2e-3)
    out = done("eval", finished, "--weights", "int8")
    assert f"{losses['int8']:.4f}" in out and "bf16" not in out


# ---- Words that a model was never taught


def noted(capsys, text, tokenizer, **training):
    """Return the words that are noted."""
    run = SimpleNamespace(training=TrainConfig(**training))
    note_unknown(text, tokenizer, run)
    said = capsys.readouterr().err
    return re.search(r"has (.*):", said)[1].split(", ") if said else []


def test_words_that_the_tales_never_have_are_noted(capsys):
    """But no name, which the grammar invents."""
    letters = CharTokenizer.train("abc")
    assert noted(capsys, "Queen Dorela lost a spoon, a boat and a crown.", letters) == [
        "spoon", "boat"]
    assert noted(capsys, "Tell a story of a hen.", letters) == ["story"]
    taught = {"corpus": (), "conversations": ("tales",)}
    assert noted(capsys, "Tell a story of a hen. a spoon, spoon", letters, **taught) == ["spoon"]
    assert noted(capsys, "A hen <mask> <extra_id_0>.", letters) == []
    assert noted(capsys, "a spoon", BPETokenizer([])) == []
    own = {"corpus": ("my.txt",)}
    assert noted(capsys, "a spoon", letters, **own) == []  # nothing is known but its letters
