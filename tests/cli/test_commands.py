"""generate, eval, info, export and gradcheck: what they print, and what they refuse."""

import io
import json
import math
import re
import shutil
import sys

import numpy as np
import pytest
from tiny_run import TEXT, files

from autograd import OPS, backend
from autograd.gradcheck_cases import CASES
from npgpt import GPT
from npgpt.batches import GrammarLoss, split_text
from npgpt.data.corpora import load_corpus
from npgpt.loading.runs import load_run
from npgpt.metrics import beside_grammar
from npgpt.models import ARCHITECTURES, architecture
from npgpt.models.size import parameters_by_part
from npgpt.tokenizers import load_tokenizer
from npgpt.train import evaluate


def test_generate_streams_the_text_of_its_seed(done, finished):
    first, again, other = (
        done("generate", finished, "--max-new-tokens", 40, "--seed", seed) for seed in (1, 1, 2)
    )
    assert first == again != other
    model, tokenizer, _ = load_run(finished)
    ids = model.stream(tokenizer.encode("\n\n"), 40, seed=1)
    assert first == tokenizer.decode(list(ids)) + "\n"


def test_a_prompt_is_continued_also_as_windows_writes_it(
    done, refused, finished, tmp_path, monkeypatch
):
    """With a byte order mark and CR LF, or as a pipe adds them; UTF-16, of old shells, is named."""
    arguments = ["generate", finished, "--max-new-tokens", 5, "--seed", 1, "--json"]
    result = json.loads(done(*arguments, "--prompt", "The hen\nThe end\n"))
    assert result["prompt"].startswith("The hen") and result["tokens"] == len(result["text"]) == 5
    windows = b"\xef\xbb\xbfThe hen\r\nThe end\r\n"
    prompt = tmp_path / "prompt.txt"
    prompt.write_bytes(windows)
    assert json.loads(done(*arguments, "--prompt-file", prompt)) == result
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(windows), "utf-8"))
    assert json.loads(done(*arguments, "--prompt-file", "-")) == result
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(windows), "utf-8"))
    assert json.loads(done(*arguments, "--prompt", "-")) == result
    prompt.write_text("The hen", encoding="utf-16")
    assert "prompt.txt" in refused(*arguments, "--prompt-file", prompt)


def test_eval_counts_the_validation_text_as_training_does(done, finished):
    result = json.loads(done("eval", finished, "--json"))
    text = split_text(TEXT, 0.9)[1]
    model, tokenizer, _ = load_run(finished)
    loss, tokens = evaluate(model, tokenizer.encode(text))
    assert result["loss"] == loss and result["tokens"] == tokens == len(text) - 1
    assert result["bits_per_byte"] == pytest.approx(loss / math.log(2))  # ASCII: a byte a token
    assert result["perplexity"] == pytest.approx(math.exp(loss))
    whole = json.loads(done("eval", finished, "--json", "--split", "all", "--stride", 4))
    assert whole["tokens"] == len(TEXT) - 1


def test_eval_of_another_text(cli, done, finished, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("said the hen " * 20, encoding="utf-8")
    assert "--split all" in cli("eval", finished, "--corpus", other)[2]
    out = done("eval", finished, "--corpus", other, "--split", "all")
    assert "259" in out


@pytest.mark.parametrize(("loss", "targets", "fact"), [
    (0.5, 9, "0.1000 (25.0%) above"), (0.9, 9, "0.5000 above"),  # no share above 100 %
    (0.3, 80, "0.1000 (25.0%) below: it has seen this text"),
    (0.3, 60, "0.1000 (25.0%) below, as may be by chance"),  # e^-6 is more than 1 in 1,000
])
def test_a_loss_is_said_to_be_above_or_below_the_grammars(loss, targets, fact):
    said = beside_grammar(loss, GrammarLoss(0.4, targets))
    assert "loses 0.4000" in said and said.endswith(fact) and "derives" not in said
    part = beside_grammar(loss, GrammarLoss(0.4, targets, 0.5, exact=False))
    assert "about 0.4000" in part and "50.0% that it derives" in part and part.endswith(fact)


def test_info_of_a_run_and_of_a_preset(done, refused, finished):
    result = json.loads(done("info", finished, "--json"))
    model, _, run = load_run(finished)
    assert result["parameters"] == model.num_parameters()
    assert result["parameters_by_part"] == parameters_by_part(run.model)
    out = done("info", "--preset", "shakespeare-cpu")
    assert "804,096" in out and "MLP" in out and "MFLOP" in out
    assert "--vocab-size" in refused("info", finished, "--vocab-size", 9)
    assert "--preset" in refused("info", finished, "--preset", "tales")
    model = json.loads(done("info", "--preset", "tales", "--json"))["model"]
    assert model["vocab_size"] == len(set(load_corpus(["tales"]).text))


@pytest.mark.parametrize("command", ["generate", "eval", "info", "look"])
@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", b'{"model_type": "gpt2"}'), ("config.json", b'{"model_type": []}'),
        ("config.json", b"{}"), ("config.json", None), ("metrics.csv", b"step,loss\n1,2\n"),
        ("tokenizer.json", b"{}"), ("tokenizer.json", None), ("model.safetensors", b"no weights"),
    ],
)
def test_a_damaged_run_is_refused_with_the_file(
    cli, finished, here, command, name, content
):
    reads = {"info": ["config.json"], "look": [name], "generate": ["config.json", "tokenizer.json"]}
    reads = reads.get(command, [name] * (name[:7] != "metrics"))
    path = shutil.copytree(finished, here / "run") / name
    if content is None:
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.write_bytes(content)
    before = files(here)
    status, out, err = cli(command, "run")
    assert status == (name in reads) and "Traceback" not in err
    assert not status or (name in err and out == "" and files(here) == before)


def test_gradcheck_prints_a_table_of_ops(done):
    out = done("gradcheck", "--op", "layer_norm")
    assert "1 of 1" in out and re.search(r"  (x|weight|bias)\[\d+(, \d+)*\] \([^)]+\)\n", out)
    assert "neither" not in {case.label for cases in CASES.values() for case in cases}
    assert f"backend {backend.name}" in out  # whose gradients these are
    row = json.loads(done("gradcheck", "--op", "gelu", "--json"))["rows"][0]
    assert row["name"] == "gelu" and row["error"] < 1e-6 and row["samples"] >= 2
    assert row["transpose"] is None  # its reference calls logaddexp, which has no complex numbers
    row = json.loads(done("gradcheck", "--op", "tanh", "--json"))["rows"][0]
    assert row["transpose"] < 1e-14


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_gradcheck_of_a_model_covers_every_parameter(done, arch):
    """Without --arch, of a GPT."""
    of_arch = ["--arch", arch] * (arch != "gpt")
    result = json.loads(done("gradcheck", "--model", *of_arch, "--json"))
    assert result["passed"]
    assert [row["name"] for row in result["rows"]] == [
        *architecture(arch).small_model(0)[0].parameters()
    ]


def test_gradcheck_finds_a_wrong_gradient_and_says_where(cli, monkeypatch):
    right = OPS["tanh"].vjp
    monkeypatch.setattr(OPS["tanh"], "vjp", lambda dz, saved: np.negative(right(dz, saved)))
    status, out, err = cli("gradcheck", "--op", "tanh")
    assert status == 1 and "0 of 1" in out and "ratio -1" in err


@pytest.mark.pictures
@pytest.mark.slow
def test_gradcheck_draws_the_error_by_step(done, tmp_path):
    done("gradcheck", "--plot", tmp_path / "v.png")
    assert (tmp_path / "v.png").read_bytes().startswith(b"\x89PNG")


def test_gradcheck_names_the_op_that_is_near(refused):
    assert "softmax" in refused("gradcheck", "--op", "sofmax")


def test_export_writes_what_transformers_and_from_pretrained_load(
    done, refused, finished, tmp_path
):
    assert "GPT2LMHeadModel" in done("export", finished, tmp_path / "out")
    model, tokenizer, _ = load_run(finished)
    again = GPT.from_pretrained(tmp_path / "out")
    idx_BT = np.arange(4)[None] % tokenizer.vocab_size
    np.testing.assert_array_equal(again.next_logits(idx_BT), model.next_logits(idx_BT))
    assert load_tokenizer(tmp_path / "out" / "tokenizer.json").vocab_size == tokenizer.vocab_size
    assert "out" in refused("export", finished, tmp_path / "out")
