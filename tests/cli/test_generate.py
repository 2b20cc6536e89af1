"""`npgpt generate`: continuations, stop strings, log-probabilities, a talk, folders of models."""

import io
import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from npgpt import GPT, GPTConfig, Llama
from npgpt.cli import generate
from npgpt.families.llama import LlamaConfig
from npgpt.files import read_arrays
from npgpt.tokenizers import BPETokenizer

ROOT = Path(__file__).parents[2]
SHORT = ("--max-new-tokens", 12, "--seed", 1)


@pytest.fixture(scope="module")
def exported(finished, tmp_path_factory):
    """Return a folder of the transformers library; do not write to it."""
    from npgpt.cli import main

    folder = tmp_path_factory.mktemp("exported") / "hens"
    assert main(["export", str(finished), str(folder)]) == 0
    return folder


def as_json(cli, *arguments):
    status, out, err = cli("generate", *arguments, "--json")
    assert status == 0, err
    return json.loads(out)


def test_a_folder_of_the_transformers_library_writes_what_its_run_does(cli, finished, exported):
    assert as_json(cli, exported, *SHORT) == as_json(cli, finished, *SHORT)
    corpus = ("--corpus", "tales", "--split", "val", "--json")
    _, of_run, _ = cli("eval", finished, "--json")
    status, out, err = cli("eval", exported)
    assert status == 1 and "its text is unknown; name one with --corpus" in err
    hens = json.loads(of_run)
    assert hens["loss"] > 0
    assert cli("eval", exported, *corpus)[0] == 1  # characters that the model does not know


def test_the_files_of_gpt2_are_a_tokenizer_too(cli, tmp_path):
    tokenizer = BPETokenizer.train("hug hug hug pug", 258)
    GPT(GPTConfig(258, 8, 1, 1, 4)).save_pretrained(tmp_path)
    from npgpt.tokenizers.gpt2_files import byte_to_unicode

    table = byte_to_unicode()
    spelled = ["".join(table[byte] for byte in token) for token in tokenizer.tokens]
    vocab = {token: i for i, token in enumerate(spelled)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    merges = [f"{spelled[a]} {spelled[b]}" for a, b in tokenizer.merges]
    (tmp_path / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    assert as_json(cli, tmp_path, *SHORT, "--prompt", "hug")["tokens"] == 12
    (tmp_path / "merges.txt").unlink()
    status, _, err = cli("generate", tmp_path)
    assert status == 1 and "no tokenizer.json, nor vocab.json and merges.txt" in err
    BPETokenizer.train("hug hug hug pug", 257).save(tmp_path / "tokenizer.json")
    status, _, err = cli("generate", tmp_path)
    assert status == 1 and "has 257 tokens, but the model in config.json 258" in err


@pytest.mark.parametrize("weights", ["fp32", "bf16", "int8"])
def test_the_first_of_several_continuations_is_the_one_of_a_single(cli, finished, weights):
    flags = (*SHORT, "--prompt", "the hen", "--weights", weights)
    one = as_json(cli, finished, *flags)
    three = as_json(cli, finished, *flags, "--n", 3)
    assert len(three["samples"]) == 3
    assert three["samples"][0] | {"prompt": "the hen"} == one
    assert len({sample["text"] for sample in three["samples"]}) == 3
    _, out, _ = cli("generate", finished, *flags, "--n", 3)
    shown = "".join(
        f"--- {i} of 3\nthe hen{sample['text']}\n" for i, sample in enumerate(three["samples"], 1)
    )
    assert out == shown + "\n"


def test_a_text_ends_before_a_stop_string(cli, finished):
    whole = as_json(cli, finished, *SHORT)["text"]
    stop = whole[4:6]
    cut = as_json(cli, finished, *SHORT, "--stop", stop, "--stop", "\u20ac")
    assert cut["text"] == whole[: whole.index(stop)] and cut["tokens"] == whole.index(stop) + 2
    _, out, _ = cli("generate", finished, *SHORT, "--stop", stop)
    assert out == cut["text"] + "\n"
    several = as_json(cli, finished, *SHORT, "--stop", stop, "--n", 3)["samples"]
    assert not any(stop in sample["text"] for sample in several)


def test_log_probabilities_of_tokens_and_of_the_likeliest(cli, finished):
    tokens = as_json(cli, finished, *SHORT, "--logprobs", 3, "--temperature", 0)["logprobs"]
    assert len(tokens) == 12
    for token in tokens:
        likeliest = token["top"]
        assert token == likeliest[0] | {"top": likeliest}  # greedy
        assert [t["logprob"] for t in likeliest] == sorted(t["logprob"] for t in likeliest)[::-1]
        assert sum(math.exp(t["logprob"]) for t in likeliest) < 1


def test_a_repetition_penalty_changes_what_is_written(cli, finished):
    plain = as_json(cli, finished, *SHORT, "--temperature", 0)["text"]
    other = as_json(cli, finished, *SHORT, "--temperature", 0, "--repetition-penalty", 1.5)["text"]
    assert len(set(other)) > len(set(plain))


def test_a_talk_continues_what_is_typed_as_it_stands(cli, finished, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("the h\nand\nx\u20ac\n\nthe h\n"))
    status, out, err = cli("generate", finished, *SHORT, "--interactive", "--stop", "zzz")
    assert status == 0
    first = as_json(cli, finished, *SHORT, "--prompt", "the h")["text"]
    second = as_json(cli, finished, *SHORT, "--prompt", f"the h{first}and")["text"]
    assert out.startswith(f"{first}\n{second}\n")
    assert "unknown character 'x'" in out  # the line that it cannot read, explained
    assert out.endswith(f"\n{first}\n")  # after an empty line, nothing was said before
    assert err.count("\n") == 1 and "an empty line starts afresh" in err and "Ctrl-D" in err


def test_a_talk_writes_what_a_prompt_writes(finished):
    command = [sys.executable, "-m", "npgpt.cli", "generate", finished, "--temperature", "0",
               "--max-new-tokens", "30"]
    prompted = subprocess.check_output([*command, "--prompt", "the he"], cwd=ROOT)
    talked = subprocess.check_output([*command, "--interactive"], cwd=ROOT, input=b"the he\n")
    assert prompted == b"the he" + talked


def test_a_text_that_was_liked_can_be_had_again(cli, finished):
    told = []
    for _ in range(2):
        _, out, err = cli("generate", finished, "--max-new-tokens", 30, "--stats")
        (seed,) = re.findall(r"^--seed (\d+) writes this text again$", err, re.M)
        _, again, err = cli("generate", finished, "--max-new-tokens", 30, "--seed", seed, "--stats")
        assert again == out and "again" not in err
        told.append(seed)
    assert told[0] != told[1]
    greedy = cli("generate", finished, *SHORT[:2], "--stats", "--temperature", 0)
    assert "again" not in greedy[2]
    assert cli("generate", finished, "--max-new-tokens", 3)[2] == ""  # not a terminal


@pytest.mark.skipif(os.name == "nt", reason="terminals of POSIX")
def test_a_terminal_is_told_the_seed(finished):
    reading, terminal = os.openpty()
    command = [sys.executable, "-m", "npgpt.cli", "generate", finished, "--max-new-tokens", "3"]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=terminal)
    os.close(terminal)
    assert b"writes this text again" in os.read(reading, 1000)
    os.close(reading)


def test_stats_say_how_fast_and_how_near_the_limit(cli, finished, monkeypatch):
    monkeypatch.setattr(generate, "read_bandwidth", lambda size: 1e15)
    stats = as_json(cli, finished, *SHORT, "--stats", "--n", 2)["stats"]
    assert stats["tokens_per_second"] > 0 and stats["seconds_to_first_token"] > 0
    limit = stats["memory_limit_tokens_per_second"]
    assert stats["share_of_memory_limit"] == pytest.approx(stats["tokens_per_second"] / limit)
    status, out, err = cli("generate", finished, *SHORT, "--stats")
    assert "tokens/s" in err and "tokens/s" not in out and "% of what reading" in err


def test_no_share_of_the_limit_is_above_1(cli, finished, monkeypatch):
    monkeypatch.setattr(generate, "read_bandwidth", lambda size: 1.0)  # measured at a bad moment
    stats = as_json(cli, finished, *SHORT, "--stats")["stats"]
    assert stats["memory_limit_tokens_per_second"] == stats["tokens_per_second"] > 0
    assert stats["share_of_memory_limit"] == 1
    err = cli("generate", finished, *SHORT, "--stats")[2]
    assert "tokens/s, 100% of what reading" in err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--prompt", "hé"], "unknown character 'é' (U+00E9) at position 1"),
        (["--prompt", ""], "the prompt is empty"),
        (["--prompt-file", "nowhere.txt"], "nowhere.txt"),
        (["--temperature", -1], "temperature"),
        (["--top-k", 0], "top_k"),
        (["--top-p", 1.5], "top_p"),
        (["--max-new-tokens", -1], "max_new_tokens=-1"),
        (["--n", 0], "--n 0: give 1 continuation or more"),
        (["--logprobs", 2], "--logprobs 2: give 0 or more, and --json with it"),
        (["--logprobs", -1, "--json"], "--logprobs -1: give 0 or more"),
        (["--interactive", "--json"], "leave --json and --n out"),
        (["--stop", ""], "a stop string is empty"),
        (["--min-p", 2], "min_p=2.0: use"),
        (["--repetition-penalty", 0], "repetition_penalty=0.0: use"),
    ],
)
def test_flags_that_make_no_sense_are_refused(cli, finished, arguments, said):
    status, out, err = cli("generate", finished, *arguments)
    assert (status, out) == (1, "") and said in err and err.count("\n") == 1


def test_eval_shows_the_loss_by_how_weights_are_stored(cli, finished):
    whole = json.loads(cli("eval", finished, "--json")[1])
    status, out, _ = cli("eval", finished, "--json", "--weights")
    found = json.loads(out)
    losses = found.pop("loss_by_weights")
    assert found == whole and losses["fp32"] == whole["loss"]
    assert losses["bf16"] != whole["loss"] != losses["int8"]
    assert losses["int8"] == pytest.approx(whole["loss"], rel=1e-2)
    assert losses["bf16"] == pytest.approx(whole["loss"], rel=2e-3)
    _, out, _ = cli("eval", finished, "--weights", "int8")
    assert f"weights in int8: loss {losses['int8']:.4f}" in out and "bf16" not in out


# ---- weights that cannot be used


def test_weights_that_are_not_finite_are_refused(cli, exported, tmp_path):
    for name in ("config.json", "tokenizer.json"):
        (tmp_path / name).write_bytes((exported / name).read_bytes())
    arrays = load_file(exported / "model.safetensors")
    arrays["transformer.ln_f.weight"][1] = math.inf
    save_file(arrays, tmp_path / "model.safetensors")
    status, _, err = cli("generate", tmp_path)
    assert status == 1 and "weight ln_f.weight has values that are not finite" in err


def test_half_precision_is_read(exported, tmp_path):
    arrays = load_file(exported / "model.safetensors")
    save_file({k: a.astype(np.float16) for k, a in arrays.items()}, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_bytes((exported / "config.json").read_bytes())
    half, whole = GPT.from_pretrained(tmp_path), GPT.from_pretrained(exported)
    for name, weight in half.parameters().items():
        expected = whole.parameters()[name].data.astype(np.float16).astype(np.float32)
        np.testing.assert_array_equal(weight.data, expected)
        assert weight.dtype == np.float32


def test_a_model_that_is_changed_changes_no_file(exported):
    before = (exported / "model.safetensors").read_bytes()
    model = GPT.from_pretrained(exported, weights="int8")
    for weight in model.parameters().values():
        weight.data += 1
    assert (exported / "model.safetensors").read_bytes() == before
    arrays = read_arrays(exported / "model.safetensors")
    assert all(array.flags.writeable for array in arrays.values())


@pytest.mark.parametrize("flag", [["--n", 2], ["--stats"], ["--weights", "int8"]])
def test_a_llama_continues_by_the_plain_path(cli, tmp_path, flag):
    tokenizer = BPETokenizer.train("hug hug hug pug", 258)
    Llama(LlamaConfig(258, 8, 1, 1, 4)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    status, _, err = cli("generate", tmp_path, *SHORT, *flag)
    if flag[0] == "--weights":
        assert status == 1 and "'int8' is for a GPT; a Llama has float32: use fp32" in err
    else:
        assert status == 0
