"""generate, eval, info and gradcheck: what they print, and what they refuse."""

import math
import re
import shutil

import numpy as np
import pytest
from tiny_run import TEXT

from autograd import OPS, backend
from npgpt.batches import GrammarLoss, split_text
from npgpt.data.corpora import load_corpus
from npgpt.loading.runs import load_run
from npgpt.models import ARCHITECTURES, architecture
from npgpt.models.size import parameters_by_part
from npgpt.support.metrics import beside_grammar
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
    as_json, refused, finished, tmp_path, piped
):
    """With a byte order mark and CR LF, or as a pipe adds them; UTF-16, of old shells, is named."""
    generate = ("generate", finished, "--max-new-tokens", 5, "--seed", 1)
    result = as_json(*generate, "--prompt", "The hen\nThe end\n")
    assert result["prompt"].startswith("The hen") and result["tokens"] == len(result["text"]) == 5
    prompt, windows = tmp_path / "prompt.txt", b"\xef\xbb\xbfThe hen\r\nThe end\r\n"
    prompt.write_bytes(windows)
    for given in (["--prompt-file", prompt], ["--prompt-file", "-"], ["--prompt", "-"]):
        piped(windows)
        assert as_json(*generate, *given) == result
    prompt.write_text("The hen", encoding="utf-16")
    assert "prompt.txt" in refused(*generate, "--prompt-file", prompt)


def test_eval_counts_the_validation_text_as_training_does(as_json, cli, finished, tmp_path):
    result = as_json("eval", finished)
    text = split_text(TEXT, 0.9)[1]
    model, tokenizer, _ = load_run(finished)
    loss, tokens = evaluate(model, tokenizer.encode(text))
    assert result["loss"] == loss and result["tokens"] == tokens == len(text) - 1
    assert result["bits_per_byte"] == pytest.approx(loss / math.log(2))  # ASCII: a byte a token
    assert result["perplexity"] == pytest.approx(math.exp(loss))
    assert as_json("eval", finished, "--split", "all")["tokens"] == len(TEXT) - 1
    closer = as_json("eval", finished, "--stride", "2")
    assert closer["stride"] == 2 and closer["loss"] == evaluate(
        model, tokenizer.encode(text), stride=2)[0]
    taught = as_json("eval", finished, "--split", "train")
    assert taught["tokens"] == len(TEXT) - len(text) - 1 and taught["loss"] != loss
    other = tmp_path / "other.txt"
    other.write_text("said the hen " * 20)
    assert "--split all" in cli("eval", finished, other)[2]
    assert "259" in cli("eval", finished, other, "--split", "all")[1]


@pytest.mark.parametrize(("loss", "targets", "fact"), [
    (0.5, 9, "0.1000 (25.0%) above"), (0.9, 9, "0.5000 above"),  # no share above 100 %
    (0.3, 80, "seen"), (0.3, 60, "chance"),  # e^-6 is more than 1 in 1,000
])
def test_a_loss_is_said_to_be_above_or_below_the_grammars(loss, targets, fact):
    said = beside_grammar(loss, GrammarLoss(0.4, targets))
    assert "0.4000" in said and fact in said
    part = beside_grammar(loss, GrammarLoss(0.4, targets, 0.5, exact=False))
    assert "about 0.4000" in part and "50.0%" in part and fact in part


def test_info_of_a_run_and_of_a_preset(as_json, done, refused, finished):
    result = as_json("info", finished)
    assert result["flops_per_token_training"] == 3 * result["flops_per_token_forward"]
    model, _, run = load_run(finished)
    assert result["parameters"] == model.num_parameters()
    assert result["parameters_by_part"] == parameters_by_part(run.model)
    out = done("info", "--preset", "shakespeare-cpu")
    assert "804,096" in out and "MFLOP" in out
    model = as_json("info", "--preset", "tales")["model"]
    assert model["vocab_size"] == len(set(load_corpus(["tales"]).text))


PARTS = ("config.json", "tokenizer.json", "model.safetensors")


@pytest.mark.parametrize("content", [b'{"model_type": []}', b""])
@pytest.mark.parametrize("name", PARTS)
def test_a_damaged_run_is_refused_with_the_file(refuses, finished, here, name, content):
    (shutil.copytree(finished, here / "run") / name).write_bytes(content)
    for command in ["info"] * (name == PARTS[0]) + ["eval", "look"]:
        refuses(name, command, "run")


def test_gradcheck_prints_a_table_of_ops(as_json, done, refused):
    out = done("gradcheck", "--op", "layer_norm")
    assert "1 of 1" in out and re.search(r"  (x|weight|bias)\[\d+(, \d+)*\] \([^)]+\)\n", out)
    assert f"backend {backend.name}" in out  # whose gradients these are
    row = as_json("gradcheck", "--op", "gelu")["rows"][0]
    # its reference calls logaddexp, which has no complex numbers
    assert row["error"] < 1e-6 and row["transpose"] is None
    assert as_json("gradcheck", "--op", "tanh")["rows"][0]["transpose"] < 1e-14
    assert "softmax" in refused("gradcheck", "--op", "sofmax")


@pytest.mark.slow
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_gradcheck_of_a_model_covers_every_parameter(as_json, arch):
    """Without --arch, of a GPT."""
    result = as_json("gradcheck", "--model", *["--arch", arch] * (arch != "gpt"))
    names = [row["name"] for row in result["rows"]]
    assert result["passed"] and names == [*architecture(arch).small_model(0)[0].parameters()]


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
