"""`npgpt generate`: continuations, stop strings, log-probabilities, a talk, folders of models."""

import json
import math
import os
import re
import subprocess
from argparse import ArgumentParser
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import npgpt

from npgpt import GPT, CharTokenizer, Llama
from npgpt.cli import generate
from npgpt.cli.generate import note_unknown
from npgpt.config import TrainConfig
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.models.llama import LlamaConfig
from npgpt.tales.questions import known_words, questions
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


def test_a_repetition_penalty_changes_what_is_written(as_json, finished):
    plain = as_json(finished, *SHORT, "--temperature", 0)["text"]
    other = as_json(finished, *SHORT, "--temperature", 0, "--repetition-penalty", 9)["text"]
    assert len(set(other)) > len(set(plain))


def test_a_text_that_was_liked_can_be_had_again(cli, finished):
    command, seeds = ("generate", finished, "--max-new-tokens", 30, "--stats"), []
    for _ in range(2):
        _, out, err = cli(*command)
        seeds += re.findall(r"--seed (\d+)", err)
        _, again, err = cli(*command, "--seed", seeds[-1])
        assert again == out and "--seed" not in err
    assert seeds[0] != seeds[1]
    assert "--seed" not in cli(*command, "--temperature", 0)[2]
    assert cli(*command[:-1])[2] == ""  # not a terminal


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_is_told_the_seed(finished):
    reading, terminal = os.openpty()
    npgpt("generate", finished, "--max-new-tokens", 3, capture_output=False,
          stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    assert b"--seed" in os.read(reading, 1000)
    os.close(reading)


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


def test_a_model_that_is_changed_changes_no_file(exported):
    before = (exported / "model.safetensors").read_bytes()
    model = GPT.from_pretrained(exported, weights="int8")
    for weight in model.parameters().values():
        weight.data += 1
    assert (exported / "model.safetensors").read_bytes() == before


def test_a_llama_has_storage_formats_that_fit_its_channels(done, refused, tmp_path):
    Llama(LlamaConfig(258, 8, 1, 1, 32)).save_pretrained(tmp_path)
    BPETokenizer.train("hug hug hug pug", 258).save(tmp_path / "tokenizer.json")
    done("generate", tmp_path, *SHORT, "--n", 2)
    done("generate", tmp_path, *SHORT, "--stats")
    done("generate", tmp_path, *SHORT, "--weights", "int8")
    assert "int8" in refused("generate", tmp_path, *SHORT, "--weights", "q8")  # 88 = 8/3 * 32


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


@given(st.integers(0, 10**9))
def test_no_word_of_a_tale_or_a_question_is_noted(seed):
    (asked,) = questions(1, seed)
    assert {w for w in re.findall(r"\w+", asked.prompt + asked.answer) if w.islower()} <= (
        known_words(True))


@pytest.mark.parametrize("command", ["generate", "chat"])
def test_the_packaged_model_says_which_word_it_never_read(cli, command):
    said = [cli(command, SHIPPED_RUN, "--prompt", prompt, "--max-new-tokens", 1)[2]
            for prompt in ("One night a hen lost a", "One night a hen lost a spoon")]
    assert "spoon" not in said[0] and "spoon" in said[1]
