"""Memory does not grow with the corpus; `npgpt prepare` makes what `npgpt train` reads."""

from pathlib import Path

import numpy as np
import pytest
from tiny_run import TEXT, TINY, files, npgpt

from npgpt import CharTokenizer
from npgpt.data.tokens import SAMPLE

pytestmark = pytest.mark.slow

SETTINGS = [*TINY, "--sample-tokens", "0"]

# Trains, then tells the most memory that this process has held (VmHWM is in units of 1024 bytes).
MEASURED = """
import re, sys
from npgpt.cli import main
status = main(sys.argv[1:])
said = open("/proc/self/status", encoding="utf-8").read()
print(int(re.search(r"VmHWM:\\s+(\\d+) kB", said)[1]) * 1024)
sys.exit(status)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_two_gigabytes_train_in_the_memory_of_one_megabyte(tmp_path):
    peaks = []
    for size in (10**6, 2 * 10**9):
        folder = tmp_path / str(size)
        folder.mkdir()
        CharTokenizer("abc").save(folder / "tokenizer.json")
        for name, length in (("train.bin", size), ("val.bin", 1000)):
            with open(folder / name, "wb") as file:
                file.truncate(length)  # zeros that take no room on the disk
        done = npgpt("train", "--corpus", folder, *SETTINGS, "--out", tmp_path / f"run{size}",
                     "--max-iters", 100, code=MEASURED)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]))
    assert peaks[1] - peaks[0] < 100e6, peaks


@pytest.fixture
def books(here):
    for i in range(10):
        (here / "books").mkdir(exist_ok=True)
        (here / "books" / f"{i}.txt").write_text(f"{i} {TEXT}")
    return here / "books"


def test_prepared_tokens_train_as_their_text_does(as_json, done, here, books):
    settings = ["--split", "documents", "--train-fraction", "0.8"]
    assert "--corpus tokens" in done("prepare", "tokens", "--corpus", "books/*.txt", *settings)
    assert sorted(files(here / "tokens")) == ["tokenizer.json", "train.bin", "val.bin"]
    done("train", "--corpus", "books", "--out", "text", *SETTINGS, *settings)
    done("train", "--corpus", "tokens", "--out", "ids", *SETTINGS)
    name = "model.safetensors"
    assert (here / "text" / name).read_bytes() == (here / "ids" / name).read_bytes()
    text, ids = as_json("eval", "text"), as_json("eval", "ids")
    assert text["loss"] == ids["loss"] and text["tokens"] == ids["tokens"] == 2 * len(TEXT) + 3
    done("train", "--resume", "ids")
    found = as_json("eval", "ids", "books", "--split", "all")
    assert found["tokens"] == 10 * len(f"0 {TEXT}") - 1


def test_prepared_with_a_given_tokenizer(done, here, books):
    CharTokenizer.train(TEXT + "0123456789é").save(here / "mine.json")
    done("prepare", "tokens", "--corpus", "books", "--tokenizer", "mine.json")
    assert (here / "tokens/tokenizer.json").read_bytes() == (here / "mine.json").read_bytes()


def test_token_files_of_another_corpus_or_tokenizer_are_refused(done, refused, here):
    for name in ("one", "two"):
        (here / f"{name}.txt").write_text(TEXT.replace("hen", name.upper()))
        done("prepare", name, "--corpus", f"{name}.txt")
    train = ("train", *SETTINGS, "--corpus")
    done(*train, "one", "--out", "run")
    resume = ("train", "--resume", "run", "--corpus", "two")
    assert "tokenizer.json" in refused(*resume)
    (here / "two" / "tokenizer.json").write_bytes((here / "one/tokenizer.json").read_bytes())
    np.zeros(500, "<u2").tofile(here / "two" / "train.bin")
    assert "two" in refused(*resume)
    assert "one" in refused("prepare", "one", "--corpus", "two.txt")
    assert "alone" in refused(*train, "one", "two")
    assert "split" in refused(*train, "one", "--split", "documents")


def test_every_id_of_a_token_file_is_looked_at(refuses, here):
    CharTokenizer("abc").save(here / "tokenizer.json")
    ids_N = np.zeros(2 * SAMPLE, "<u2")
    ids_N[SAMPLE + 7] = 3
    for name in ("train.bin", "val.bin"):
        ids_N.tofile(here / name)
    refuses("train.bin token 3 tokenizer.json", "train", "--corpus", ".", *SETTINGS)


