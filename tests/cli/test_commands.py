"""generate, eval, info, export and gradcheck: what they print, and what they refuse."""

import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tiny_run import TEXT, TINY, environment, files

from autograd import backend
from autograd.gradcheck_cases import CASES
from npgpt import GPT
from npgpt.batches import Floor, split_text
from npgpt.checkpoint import load_run
from npgpt.cli.gradcheck import SOURCES, small_model
from npgpt.cli.info import scaled
from npgpt.families import FAMILIES
from npgpt.families.size import parameters_by_part
from npgpt.io.corpora import load_corpus
from npgpt.metrics import beside_floor
from npgpt.tokenizers import load_tokenizer
from npgpt.train import evaluate

ROOT = Path(__file__).parents[2]


def test_generate_streams_the_text_of_its_seed(cli, finished):
    _, first, _ = cli("generate", finished, "--max-new-tokens", 40, "--seed", 1)
    _, again, _ = cli("generate", finished, "--max-new-tokens", 40, "--seed", 1)
    _, other, _ = cli("generate", finished, "--max-new-tokens", 40, "--seed", 2)
    assert first == again != other
    model, tokenizer, _ = load_run(finished)
    ids = model.stream(tokenizer.encode("\n\n"), 40, seed=1)
    assert first == tokenizer.decode(list(ids)) + "\n"


def test_generate_continues_a_prompt_and_gives_json(cli, finished):
    arguments = ["generate", finished, "--max-new-tokens", 5, "--seed", 1, "--json"]
    status, out, _ = cli(*arguments, "--prompt", "The hen")
    result = json.loads(out)
    assert status == 0 and result["prompt"] == "The hen"
    assert result["tokens"] == len(result["text"]) == 5


def test_a_prompt_as_windows_writes_it_is_the_same_text(cli, finished, tmp_path, monkeypatch):
    """With a byte order mark and CR LF, or as a pipe adds them; UTF-16, of old shells, is named."""
    arguments = ["generate", finished, "--max-new-tokens", 5, "--seed", 1, "--json"]
    result = json.loads(cli(*arguments, "--prompt", "The hen\nThe end\n")[1])
    windows = b"\xef\xbb\xbfThe hen\r\nThe end\r\n"
    prompt = tmp_path / "prompt.txt"
    prompt.write_bytes(windows)
    assert json.loads(cli(*arguments, "--prompt-file", prompt)[1]) == result
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(windows), "utf-8"))
    assert json.loads(cli(*arguments, "--prompt-file", "-")[1]) == result
    prompt.write_text("The hen", encoding="utf-16")
    status, _, err = cli(*arguments, "--prompt-file", prompt)
    assert status == 1 and "prompt.txt is not UTF-8 text" in err


def test_a_prompt_longer_than_a_block_is_continued_from_its_end(cli, finished):
    model, _, _ = load_run(finished)
    block = model.config.block_size
    long = (TEXT * 2)[: 5 * block]
    arguments = ["generate", finished, "--max-new-tokens", 8, "--seed", 1, "--json", "--prompt"]
    from_all = json.loads(cli(*arguments, long)[1])
    from_end = json.loads(cli(*arguments, long[-block:])[1])
    assert from_all["text"] == from_end["text"]


def test_eval_counts_the_validation_text_as_training_does(cli, finished):
    status, out, _ = cli("eval", finished, "--json")
    result = json.loads(out)
    text = split_text(TEXT, 0.9)[1]
    model, tokenizer, _ = load_run(finished)
    loss, tokens = evaluate(model, tokenizer.encode(text))
    assert status == 0
    assert result["loss"] == loss and result["tokens"] == tokens == len(text) - 1
    assert result["bits_per_byte"] == pytest.approx(loss / math.log(2))  # ASCII: a byte a token
    assert result["perplexity"] == pytest.approx(math.exp(loss))
    whole = json.loads(cli("eval", finished, "--json", "--split", "all", "--stride", 4)[1])
    assert whole["tokens"] == len(TEXT) - 1


def test_eval_of_another_text(cli, finished, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("said the hen " * 20, encoding="utf-8")
    _, out, _ = cli("eval", finished, "--corpus", other, "--split", "all")
    assert "over 259 tokens" in out and "bits per byte" in out


def test_eval_of_one_document_by_a_run_that_split_by_documents_advises_what_works(
    cli, tmp_path
):
    for name in ("a.txt", "b.txt"):
        (tmp_path / "texts").mkdir(exist_ok=True)
        (tmp_path / "texts" / name).write_text(TEXT, encoding="utf-8")
    train = ["train", "--corpus", tmp_path / "texts", "--out", tmp_path / "run", *TINY]
    assert cli(*train, "--split", "documents")[0] == 0
    command = ["eval", tmp_path / "run", "--corpus", tmp_path / "texts" / "a.txt"]
    status, _, err = cli(*command)
    assert status == 1 and "is one document" in err
    advised = re.search(r"with npgpt eval (--\w+ \w+)", err)[1].split()
    status, out, err = cli(*command, *advised)
    assert (status, err) == (0, "") and f"over {len(TEXT) - 1:,} tokens" in out
    advised = re.search(r"train with (--split \w+)", cli(*command)[2])[1].split()
    one = ["train", "--corpus", tmp_path / "texts" / "a.txt", "--out", tmp_path / "one", *TINY]
    assert cli(*one, *advised)[0] == 0


def test_eval_in_a_pipe_says_how_far_it_is(cli, finished, monkeypatch):
    monkeypatch.setattr("npgpt.run.progress.COUNT_SECONDS", 0)
    _, out, err = cli("eval", finished, "--json")
    assert json.loads(out) and re.search(r"hens.txt \(val\): \d+ of \d+ tokens\n", err)


def test_eval_without_the_text_of_the_run_asks_for_it(cli, finished, tmp_path, monkeypatch):
    folder = shutil.copytree(finished, tmp_path / "run")
    config = (folder / "config.json").read_text(encoding="utf-8")
    corpus = json.dumps(load_run(finished)[2].training.corpus[0])
    (folder / "config.json").write_text(config.replace(corpus, '"gone.txt"'), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for split in ("val", "train", "all"):
        status, _, err = cli("eval", folder, "--split", split)
        assert status == 1 and "no corpus gone.txt" in err
        assert "by its path from here: --corpus" in err
        status, _, err = cli("eval", folder, "--split", split, "--corpus", "nowhere.txt")
        assert status == 1 and "no corpus nowhere.txt" in err and "from here" not in err


@pytest.mark.parametrize(("loss", "said"), [(0.5, "25.0% above it"), (0.3, "25.0% BELOW it")])
def test_a_loss_is_said_to_be_above_or_below_the_least_possible(loss, said):
    assert f"entropy 0.4000: the loss is {said}" in beside_floor(loss, Floor("entropy", 0.4, 1.0))
    part = beside_floor(loss, Floor("entropy", 0.4, 0.5))
    assert f"(of 50.0% of the draws, which are enumerated): the loss is {said}" in part


@pytest.mark.parametrize(
    ("value", "shown"),
    [(0, "0.00 B"), (999, "999.00 B"), (1000, "1.00 kB"), (13072.31e9, "13.07 TB"),
     (24_500, "24.50 kB"), (10**15, "1.00 PB"), (4 * 10**18, "4,000.00 PB")],
)
def test_numbers_are_in_units_that_can_be_read(value, shown):
    assert scaled(value, "B") == shown


def test_info_of_a_large_model_is_in_large_units(cli):
    out = cli("info", "--preset", "gpt2-xl")[1]
    result = json.loads(cli("info", "--preset", "gpt2-xl", "--json")[1])
    flops = result["flops_per_token_training"] * result["tokens_per_step"]
    memory = result["step_memory_bytes"]["total"]
    assert f"{flops / 1e12:.2f} TFLOP" in out and f"{memory / 1e9:.2f} GB" in out
    assert not re.search(r"\d{4}", out.replace("50257", "").replace("1024", "").replace("1600", ""))


def test_info_of_a_run_and_of_a_preset(cli, finished):
    result = json.loads(cli("info", finished, "--json")[1])
    model, _, run = load_run(finished)
    assert result["parameters"] == model.num_parameters()
    assert result["parameters_by_part"] == parameters_by_part(run.model)
    status, out, _ = cli("info", "--preset", "shakespeare-cpu")
    assert status == 0
    assert "804,096" in out and "MLP" in out and "MFLOP" in out and "memory in all" in out
    status, _, err = cli("info", finished, "--vocab-size", 9)
    assert status == 1 and "--vocab-size is for --preset" in err


def test_info_counts_the_tokens_that_tales_has(cli):
    model = json.loads(cli("info", "--preset", "tales", "--json")[1])["model"]
    assert model["vocab_size"] == len(set(load_corpus(["tales"]).text))


@pytest.mark.parametrize("command", ["generate", "eval", "info"])
@pytest.mark.parametrize("damage", ["missing", "foreign", "cut"])
def test_a_folder_that_is_no_whole_run_is_refused(cli, finished, tmp_path, command, damage):
    folder = tmp_path / "run"
    if damage == "foreign":
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": "gpt2"}', encoding="utf-8")
    elif damage == "cut":
        shutil.copytree(finished, folder)
        content = (folder / "config.json").read_bytes()
        (folder / "config.json").write_bytes(content[: len(content) // 2])
    before = files(tmp_path)
    status, _, err = cli(command, folder)
    says = "is not there" if damage == "missing" else "config.json"
    assert status == 1 and says in err and "Traceback" not in err
    assert files(tmp_path) == before


def test_gradcheck_prints_a_table_of_ops(cli):
    status, out, _ = cli("gradcheck", "--op", "layer_norm")
    assert status == 0
    assert "worst error" in out and "layer_norm" in out and "1 of 1 right" in out
    assert SOURCES[backend.name] in out  # whose gradients these are
    row = json.loads(cli("gradcheck", "--op", "gelu", "--json")[1])["rows"][0]
    assert row["name"] == "gelu" and row["error"] < 1e-6 and row["samples"] >= 2
    assert row["transpose"] is None  # its reference calls logaddexp, which has no complex numbers
    row = json.loads(cli("gradcheck", "--op", "tanh", "--json")[1])["rows"][0]
    assert row["transpose"] < 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("arch", FAMILIES)
def test_gradcheck_of_a_model_covers_every_parameter(cli, arch):
    result = json.loads(cli("gradcheck", "--model", "--arch", arch, "--json")[1])
    assert result["passed"]
    assert [row["name"] for row in result["rows"]] == list(small_model(arch, 0)[0].parameters())


@pytest.mark.slow
def test_gradcheck_of_a_model_is_of_a_gpt_by_default(cli):
    result = json.loads(cli("gradcheck", "--model", "--json")[1])
    names = {row["name"] for row in result["rows"]}
    assert result["passed"] and "wte.weight" in names and "h.1.mlp.c_proj.bias" in names


def test_gradcheck_finds_a_wrong_gradient_and_says_where(cli, monkeypatch):
    from autograd import OPS

    right = OPS["tanh"].vjp
    monkeypatch.setattr(OPS["tanh"], "vjp", lambda dz, saved: np.negative(right(dz, saved)))
    status, out, err = cli("gradcheck", "--op", "tanh")
    assert status == 1
    assert "WRONG" in out and "analytic" in err and "numeric" in err and "ratio -1" in err


@pytest.mark.slow
def test_gradcheck_draws_the_error_by_step(cli, tmp_path):
    status, _, _ = cli("gradcheck", "--plot", tmp_path / "v.png")
    assert status == 0
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")


def test_gradcheck_of_an_op_without_cases_says_what_to_add_before_any_table(cli, monkeypatch):
    monkeypatch.delitem(CASES, "tanh")
    for options in (["--op", "tanh"], [], ["--json"]):
        status, out, err = cli("gradcheck", *options)
        assert (status, out) == (1, "")
        assert "op 'tanh' has no gradcheck cases" in err and "autograd/gradcheck_cases.py" in err


def test_gradcheck_of_an_unknown_op_lists_the_known(cli):
    status, _, err = cli("gradcheck", "--op", "sofmax")
    assert status == 1 and "no such op" in err and "softmax" in err
    status, _, err = cli("gradcheck", "--arch", "t5")
    assert status == 1 and "--arch t5 is for a model: give --model, too" in err
    status, _, err = cli("gradcheck", "--seed", -1)
    assert status == 1 and "--seed -1: give 0 or more" in err


@pytest.mark.slow
def test_a_picture_without_matplotlib_says_how_to_install_it(cli, tmp_path, monkeypatch):
    for name in ("matplotlib", "matplotlib.figure", "matplotlib.backends.backend_agg"):
        monkeypatch.setitem(sys.modules, name, None)

    def compute(*arguments):
        raise AssertionError("computed before it is known whether a picture can be drawn")

    monkeypatch.setattr("npgpt.cli.gradcheck.error_by_step", compute)
    status, _, err = cli("gradcheck", "--plot", tmp_path / "v.png")
    assert status == 1 and "pip install -e '.[plot]'" in err
    assert files(tmp_path) == {}


def test_export_writes_what_transformers_and_from_pretrained_load(cli, finished, tmp_path):
    status, out, _ = cli("export", finished, tmp_path / "out")
    assert status == 0 and "GPT2LMHeadModel.from_pretrained" in out
    model, tokenizer, _ = load_run(finished)
    again = GPT.from_pretrained(tmp_path / "out")
    idx_BT = np.arange(4)[None] % tokenizer.vocab_size
    np.testing.assert_array_equal(again.next_logits(idx_BT), model.next_logits(idx_BT))
    assert load_tokenizer(tmp_path / "out" / "tokenizer.json").vocab_size == tokenizer.vocab_size
    status, _, err = cli("export", finished, tmp_path / "out")
    assert status == 1 and "nothing in it is overwritten: name another" in err


@pytest.mark.parametrize("arguments", [["info", "--preset", "tales"], ["train", "--help"]])
def test_a_reader_that_has_seen_enough_is_no_error(arguments):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "npgpt.cli", *arguments], cwd=ROOT,
            env=environment(PYTHONUNBUFFERED=""), stdout=writing, stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (ended.returncode, ended.stderr) == (0, b"")
