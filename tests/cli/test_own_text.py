"""What `npgpt train` says of a text of one's own, and the settings that it gets."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT, TINY

from npgpt.data.corpora import load_corpus
from npgpt.loading.runs import read_run
from npgpt.models.presets import from_preset


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


@pytest.fixture
def said(done):
    """Return what a step of training says before it."""

    def say(*arguments):
        out = done("train", *TINY, "--max-iters", 1, *arguments)
        return out[: out.index("run  ", out.index("steps "))]

    return say


def test_the_files_of_a_folder_are_counted_and_the_skipped_ones_too(said, here):
    for name in "abcde":
        write(here / "books" / f"{name}.txt", TEXT)
    write(here / "books" / "picture.png", b"\x89PNG\0\0")
    write(here / "books" / "old.gz", b"\x1f\x8b\0")
    assert re.search(r"files +5: a\.txt, b\.txt, c\.txt, \.\.\.; 2 ", said("--corpus", "books"))


def test_few_files_are_all_named_and_a_long_name_is_shortened(said, here):
    long = "long" * 30
    for name in ("a", "b", f"folder/{long}", "folder/x"):
        write(here / f"{name}.txt", TEXT)
    assert " 2: a.txt, b.txt\n" in said("--corpus", "a.txt", "b.txt", "--out", "both")
    assert " 1: a.txt\n" in said("--corpus", "a.txt")
    assert "files" not in said("--corpus", "tales", "--train-fraction", 0.999)
    assert f" 2: {long[:40]}, x.txt\n" in said("--corpus", "folder")


@given(sizes=st.lists(st.tuples(st.booleans(), st.integers(1, 9)), min_size=1, max_size=9))
def test_every_file_is_read_or_skipped(tmp_path_factory, sizes):
    folder = tmp_path_factory.mktemp("texts")
    for number, (is_text, size) in enumerate(sizes):
        write(folder / f"{number}", (b"a" if is_text else b"\0") * size)
    texts = sum(is_text for is_text, _ in sizes)
    if texts:
        corpus = load_corpus([str(folder)] * 2)
        assert (len(corpus.files), corpus.skipped) == (2 * texts, 2 * (len(sizes) - texts))
        assert len(corpus.documents) == len(corpus.files)


def test_how_often_the_text_is_read_and_what_reads_it_once(said, here):
    write(here / "hens.txt", TEXT * 3)
    out = said("--corpus", "hens.txt")
    train = int(re.search(r"([\d,]+) tokens to train on", out)[1].replace(",", ""))
    once = -(-train // 64)  # windows of 16, 4 a step
    assert f"{64 / train:.2g} times" in out and f"--max-iters {once} " in out
    out = said("--corpus", "hens.txt", "--max-iters", once, "--out", "once")
    assert f"{once * 64 / train:.2g} times" in out and "--max-iters" not in out


@pytest.mark.parametrize("kind", ["char", "words"])
def test_a_text_of_thousands_of_characters_is_better_read_as_byte_pairs(said, here, kind):
    write(here / "hanzi.txt", "".join(map(chr, range(0x4E00, 0x4E00 + 2400))) + TEXT)
    write(here / "hens.txt", TEXT)
    advice = "--tokenizer bpe"
    assert advice in said("--corpus", "hanzi.txt", "--tokenizer", kind)
    assert advice not in said("--corpus", "hens.txt", "--tokenizer", kind)
    bpe = ("--tokenizer", "bpe", "--vocab-size", 300, "--out", "bpe")
    assert advice not in said("--corpus", "hanzi.txt", *bpe)


def test_a_trained_model_goes_on_at_the_rate_of_before(done, here, corpus, finished):
    arguments = ["--init-from", finished, "--max-iters", 1]
    done("train", "--corpus", corpus, "--out", "tuned", *arguments)
    gentle = from_preset("shakespeare-cpu")[1]
    training = read_run("tuned").training
    assert (training.lr, training.batch_size) == (gentle.lr, gentle.batch_size)
    done("train", "--corpus", corpus, "--out", "fast", "--preset", "text", *arguments)
    assert read_run("fast").training.lr == from_preset("text")[1].lr
