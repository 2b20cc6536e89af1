"""`npgpt tokenize`, and `npgpt train --tokenizer bpe`."""

import errno
import hashlib
import io
import json
import os
import socket
import sys

import numpy as np
import pytest
from tiny_run import CHAR, TEXT, TINY

from npgpt.loading.runs import load_run
from npgpt.tokenizers import BPETokenizer, gpt2_files


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


def test_flags_may_stand_before_the_text(cli, hug):
    for arguments in ((hug, "hugs", "--colour", "always"), ("--colour", "always", hug, "hugs")):
        painted = cli("tokenize", *arguments)[1]
        assert "\x1b[30;48;5;153mhug\x1b[0m\x1b[30;48;5;223ms\x1b[0m\n" in painted
    assert json.loads(cli("tokenize", hug, "--json", "hugs")[1])["ids"] == [257, 115]
    for wrong in (("--jsn", "hugs"), ("--json", "hugs", "pugs")):
        with pytest.raises(SystemExit):
            cli("tokenize", hug, *wrong)


def test_json_and_standard_input(cli, hug, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"hugs"), "utf-8"))
    result = json.loads(cli("tokenize", hug, "--json")[1])
    assert result == {"ids": [257, 115], "tokens": ["hug", "s"], "bytes": 4, "bytes_per_token": 2.0}
    assert json.loads(cli("tokenize", hug, "", "--json")[1])["bytes_per_token"] == 0.0


def test_a_run_of_characters_can_be_looked_at_too(cli, finished):
    status, out, _ = cli("tokenize", finished, "The hen", "--tree")
    assert status == 0 and out.startswith("T|h|e|␣|h|e|n\n")


def test_no_tokenizer_is_a_refusal(cli, tmp_path):
    status, _, err = cli("tokenize", tmp_path / "none.json", "text")
    assert status == 1 and "none.json" in err and "a tokenizer.json" in err


def test_a_text_is_no_tokenizer(cli, tmp_path):
    path = tmp_path / "hugs"
    path.write_text("hugs")
    status, _, err = cli("tokenize", path)
    assert status == 1 and f"- < {path}" in err and "damaged" not in err


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


def test_what_the_flags_of_the_tokenizer_refuse(cli, corpus, finished, tmp_path):
    new = ["--corpus", corpus, "--out", tmp_path / "run", *TINY]
    for arguments, fact in [
        ([*new, *CHAR, "--vocab-size", 300], "--tokenizer bpe"),
        ([*new, "--tokenizer", "bpe", "--vocab-size", 9], "vocab_size 9"),
        (["--resume", "--out", finished, "--tokenizer", "bpe"], "leave out --tokenizer"),
    ]:
        status, _, err = cli("train", *arguments)
        assert status == 1 and fact in err


def test_without_a_network_the_files_of_gpt2_can_be_put_where_they_are_looked_for(
    cli, tmp_path, monkeypatch
):
    """The message names the folder and the files."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}/"
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NPGPT_DATA", str(tmp_path / "cache"))
    monkeypatch.setattr(gpt2_files, "GPT2_URL", address)
    status, out, err = cli("tokenize", "gpt2", "hug")
    fetching, said = err.splitlines()
    assert (status, out) == (1, "") and f"{address}encoder.json" in fetching
    assert str(tmp_path / "cache") in fetching and os.strerror(errno.ECONNREFUSED) in said
    assert "gpt2-encoder.json and gpt2-vocab.bpe" in said and "NPGPT_DATA" in said
    table = gpt2_files.byte_to_unicode()
    contents = {"encoder.json": json.dumps({table[i]: i for i in range(256)}), "vocab.bpe": ""}
    for name, content in contents.items():
        (tmp_path / "cache" / f"gpt2-{name}").write_text(content, encoding="utf-8")
        digest = hashlib.sha256(content.encode()).hexdigest()
        monkeypatch.setitem(gpt2_files.GPT2_FILES, name, digest)
    status, out, err = cli("tokenize", "gpt2", "hug")
    assert (status, err) == (0, "") and out.startswith("h|u|g")
