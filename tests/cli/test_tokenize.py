"""`npgpt tokenize`, and `npgpt train --tokenizer bpe`."""

import io
import json
import sys

import numpy as np
import pytest
from tiny_run import TEXT, TINY

from npgpt.loading.runs import load_run
from npgpt.tokenizers import BPETokenizer


@pytest.fixture
def hug(tmp_path):
    path = tmp_path / "hug.json"
    BPETokenizer.train("hug hug hug pug", 258).save(path)
    return path


def test_tokens_ids_and_the_tree_of_merges(cli, hug):
    status, out, _ = cli("tokenize", hug, "hugs\né", "--tree")
    assert status == 0 and "\x1b" not in out
    assert out.startswith("hug|s|⏎|<c3>|<a9>\n257 hug  115 s  10 ⏎  195 <c3>  169 <a9>\n")
    assert "5 tokens for 7 bytes: 1.40 " in out
    assert "257 hug\n├─ 104 h\n└─ 256 ug\n   ├─ 117 u\n   └─ 103 g\n" in out


def test_json_and_standard_input(cli, hug, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hugs"), "utf-8"))
    result = json.loads(cli("tokenize", hug, "--json")[1])
    assert result == {"ids": [257, 115], "tokens": ["hug", "s"], "bytes": 4, "bytes_per_token": 2.0}
    assert json.loads(cli("tokenize", hug, "", "--json")[1])["bytes_per_token"] == 0.0


def test_a_text_is_no_tokenizer(cli, tmp_path):
    path = tmp_path / "hugs"
    path.write_text("hugs")
    status, _, err = cli("tokenize", path)
    assert status == 1 and str(path) in err


def test_training_on_byte_pairs(cli, corpus, tmp_path):
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--tokenizer", "bpe", "--vocab-size", 280]
    status, out, _ = cli(*arguments, "--out", folder, *TINY)
    assert status == 0 and "280 " in out and "bits per byte" in out
    model, tokenizer, _ = load_run(folder)
    assert tokenizer.merges == BPETokenizer.train(TEXT[: int(len(TEXT) * 0.9)], 280).merges
    assert model.config.vocab_size == tokenizer.vocab_size == 280
    result = json.loads(cli("eval", folder, "--json")[1])
    val_ids = tokenizer.encode(TEXT[int(len(TEXT) * 0.9) :])
    assert result["tokens"] == len(val_ids) - 1
    n_bytes = sum(len(tokenizer.tokens[i]) for i in val_ids[1:])
    expected = result["loss"] * result["tokens"] / n_bytes / np.log(2)
    assert result["bits_per_byte"] == pytest.approx(expected)
