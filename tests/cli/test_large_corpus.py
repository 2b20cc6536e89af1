"""Memory does not grow with the corpus; `npgpt prepare` makes what `npgpt train` reads."""

import json
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


measured = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="memory is read from /proc"
)


def peak(*command, stdin=None):
    """Return the peak memory of the program in bytes."""
    done = npgpt(*command, code=MEASURED, stdin=stdin)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split()[-1])


@measured
def test_two_gigabytes_train_in_the_memory_of_one_megabyte(tmp_path):
    peaks = []
    for size in (10**6, 2 * 10**9):
        folder = tmp_path / str(size)
        folder.mkdir()
        CharTokenizer("abc").save(folder / "tokenizer.json")
        for name, length in (("train", size), ("val", 1000)):
            with open(folder / f"{name}.bin", "wb") as file:
                file.truncate(length)  # zeros that take no room on the disk
        peaks.append(peak("train", "--corpus", folder, *SETTINGS, "--out", folder / "run",
                          "--max-iters", "100"))
    assert peaks[1] - peaks[0] < 100e6, peaks


@pytest.fixture
def books(here):
    for i in range(10):
        (here / "books").mkdir(exist_ok=True)
        (here / "books" / f"{i}.txt").write_text(f"{i} {TEXT}", encoding="utf-8")
    return here / "books"


def test_prepared_tokens_train_as_their_text_does(done, here, books):
    settings = ["--split", "documents", "--train-fraction", "0.8"]
    out = done("prepare", "tokens", "--corpus", "books/*.txt", *settings)
    assert "--corpus tokens" in out
    assert sorted(files(here / "tokens")) == ["tokenizer.json", "train.bin", "val.bin"]
    done("train", "--corpus", "books", "--out", "text", *SETTINGS, *settings)
    done("train", "--corpus", "tokens", "--out", "ids", *SETTINGS)
    name = "model.safetensors"
    assert (here / "text" / name).read_bytes() == (here / "ids" / name).read_bytes()
    text, ids = (json.loads(done("eval", run, "--json")) for run in ("text", "ids"))
    assert text["loss"] == ids["loss"] and text["tokens"] == ids["tokens"] == 2 * len(TEXT) + 3
    done("train", "--resume", "--out", "ids")
    other = json.loads(done("eval", "ids", "--corpus", "books", "--split", "all", "--json"))
    assert other["tokens"] == sum(len(path.read_text("utf-8")) for path in books.iterdir()) - 1


def test_prepared_with_a_given_tokenizer(done, here, books):
    CharTokenizer.train(TEXT + "0123456789é").save(here / "mine.json")
    done("prepare", "tokens", "--corpus", "books", "--tokenizer", "mine.json")
    assert (here / "tokens/tokenizer.json").read_bytes() == (here / "mine.json").read_bytes()
    done("train", "--corpus", "books", "--out", "run", *SETTINGS)
    done("prepare", "more", "--corpus", "books", "--tokenizer", "run")
    assert (here / "more/tokenizer.json").read_bytes() == (here / "run/tokenizer.json").read_bytes()


def test_token_files_of_another_corpus_or_tokenizer_are_refused(done, refused, here, books):
    for name in ("one", "two"):
        (here / f"{name}.txt").write_text(TEXT.replace("hen", name.upper()), encoding="utf-8")
        done("prepare", name, "--corpus", f"{name}.txt")
    done("train", "--corpus", "one", "--out", "run", *SETTINGS)
    resume = ("train", "--resume", "--out", "run", "--corpus", "two")
    assert "tokenizer.json" in refused(*resume)
    np.zeros(500, "<u2").tofile(here / "two" / "train.bin")
    (here / "two" / "tokenizer.json").write_bytes((here / "one/tokenizer.json").read_bytes())
    assert "two" in refused(*resume)
    assert "one" in refused("prepare", "one", "--corpus", "two.txt")
    assert "alone" in refused("train", "--corpus", "one", "two", *SETTINGS)
    assert "split" in refused("train", "--corpus", "one", "--split", "documents", *SETTINGS)
    np.array([9, 9, 400] * 99, "<u2").tofile(here / "one" / "train.bin")
    err = refused("train", "--corpus", "one", *SETTINGS)
    assert "token 400" in err and "tokenizer.json" in err


@pytest.mark.parametrize("place", [SAMPLE + 7, 2 * SAMPLE - 1])
def test_every_id_of_a_token_file_is_looked_at(refused, here, place):
    CharTokenizer("abc").save(here / "tokenizer.json")
    ids_N = np.zeros(2 * SAMPLE, "<u2")
    ids_N.tofile(here / "train.bin")
    ids_N[place] = 3
    ids_N.tofile(here / "val.bin")
    err = refused("train", "--corpus", ".", *SETTINGS)
    assert "val.bin has token 3" in err
    assert not (here / "runs").exists()


def test_a_prepared_corpus_is_whole_or_absent(refused, here, books):
    (books / "9.txt").write_bytes(b"not \xff text")
    refused("prepare", "tokens", "--corpus", "books")
    assert not (here / "tokens").exists()
