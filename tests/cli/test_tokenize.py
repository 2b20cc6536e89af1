"""`npgpt tokenize`, and `npgpt train --tokenizer bpe`."""

import numpy as np
import pytest
from tiny_run import TEXT, TINY

from npgpt.batches import split_text
from npgpt.loading.runs import load_run
from npgpt.tokenizers import BPETokenizer


@pytest.fixture
def hug(tmp_path):
    path = tmp_path / "hug.json"
    BPETokenizer.train("hug hug hug pug", 258).save(path)
    return path


def test_tokens_ids_and_the_tree_of_merges(done, refused, hug, tmp_path):
    out = done("tokenize", hug, "hugs\né", "--tree")
    assert out.startswith("hug|s|⏎|<c3>|<a9>\n257 hug  115 s  10 ⏎  195 <c3>  169 <a9>\n")
    assert "5 tokens for 7 bytes: 1.40 " in out and "\x1b" not in out
    assert "257 hug\n├─ 104 h\n└─ 256 ug\n   ├─ 117 u\n   └─ 103 g\n" in out
    (tmp_path / "hugs").write_text("hugs")
    assert "hugs" in refused("tokenize", tmp_path / "hugs")  # is a text


def test_json_and_standard_input(as_json, hug, piped):
    piped(b"hugs")
    assert as_json("tokenize", hug) == {
        "ids": [257, 115], "tokens": ["hug", "s"], "bytes": 4, "bytes_per_token": 2.0}
    assert as_json("tokenize", hug, "")["bytes_per_token"] == 0.0


def test_training_on_byte_pairs(as_json, done, corpus, tmp_path):
    train, val = split_text(TEXT, 0.9)
    pairs = ("--tokenizer", "bpe", "--vocab-size", 280)
    out = done("train", corpus, *pairs, "--out", tmp_path, *TINY)
    assert "bits per byte" in out
    model, tokenizer, _ = load_run(tmp_path)
    assert tokenizer.merges == BPETokenizer.train(train, 280).merges
    assert model.config.vocab_size == 280
    result, ids = as_json("eval", tmp_path), tokenizer.encode(val)[1:]
    assert result["tokens"] == len(ids)
    bits = result["loss"] * len(ids) / len(tokenizer.decode(ids)) / np.log(2)
    assert result["bits_per_byte"] == pytest.approx(bits)
