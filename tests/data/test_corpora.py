"""Corpora by name, and the errors for missing texts.

Modules: `npgpt.data.corpora`, `npgpt.support.download`.
"""

import encodings.utf_8_sig  # noqa: F401 (nobody, as one test is, may not read it)
import gzip
import hashlib
import io
import os
import sys
from pathlib import Path

import pooch
import pytest

from npgpt.data import corpora
from npgpt.data.corpora import load_corpus
from npgpt.support import download

PLAY = "First Citizen:\nSpeak, speak.\n"


def read(specs):
    corpus = load_corpus(specs)
    return corpus.name, corpus.text, corpus.entropy_rate


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


# ---- texts


def test_windows_line_ends_and_a_byte_order_mark_are_not_text(here):
    write(here / "a.txt", b"\xef\xbb\xbfone\r\ntwo\n\rthree\r\n")
    assert load_corpus(["a.txt"]).text == "one\ntwo\n\rthree\n"


def test_a_folder_is_its_text_files_in_sorted_order(here):
    write(here / "books/b.txt", "second")
    write(here / "books/a/z.md", "first\n")
    write(here / "books/c/deep/er", "third")
    write(here / "books/c/empty", "")
    write(here / "books/picture.png", b"\x89PNG\0\0")
    write(here / "books/.hidden", "no")
    write(here / "books/.git/config", "no")
    assert read(["books"]) == ("books", "first\nsecond\nthird", None)
    assert load_corpus(["books/.git"]).text == "no"


@pytest.mark.skipif(os.name == "nt", reason="links there need a right")
@pytest.mark.parametrize("spec", ["books", "books/**/*.txt", "**/**/*.txt"])
def test_links_to_folders_are_not_followed_and_a_file_is_read_once(here, spec):
    write(here / "books/a.txt", "one\n")
    write(here / "books/sub/b.txt", "two\n")
    write(here / "books/.sub/c.txt", "hidden")
    (here / "books/sub/up").symlink_to("..")
    (here / "books/self").symlink_to(".")
    assert load_corpus([spec]).text == "one\ntwo\n"
    if spec != "books":
        (here / "books/sub/c.txt").symlink_to("b.txt")
        assert load_corpus([spec]).text == "one\ntwo\n"


@pytest.mark.skipif(os.name == "nt", reason="links there need a right")
@pytest.mark.parametrize("spec", ["books", "books/*.txt", "books/*/*.txt"])
def test_a_link_out_of_a_folder_or_pattern_is_named_and_not_read(here, spec):
    write(here / "books/a.txt", "one\n")
    write(here / "books/sub/b.txt", "two\n")
    write(here / "secret/key.txt", "secret")
    (here / "books/link.txt").symlink_to(here / "secret/key.txt")
    (here / "books/far").symlink_to("../secret")
    with pytest.raises(ValueError, match=r"books/(link|far/key).txt .*key.txt"):
        load_corpus([spec])
    assert load_corpus(["books/link.txt"]).text == "secret"


@pytest.mark.parametrize("name", corpora.NO_TEXT)
def test_what_npgpt_made_is_no_text(here, name):
    """A folder of texts is read without it; the folder itself is refused by name."""
    write(here / "books/a", "text")
    write(here / "books/made" / name, "{}")
    write(here / "books/made/below/samples.txt", "no")
    assert load_corpus(["books"]).text == "text"
    with pytest.raises(ValueError, match=f"made .*{name}"):
        load_corpus(["books/made"])


def test_several_are_joined_each_on_a_new_line(here):
    write(here / "a", "one")
    write(here / "b/c", "two\n")
    assert read(("a", "b", "a")) == ("a + b + a", "one\ntwo\none", None)


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("été\r\n".encode()), "latin-1"))
    assert read(["-"]) == ("standard input", "été\n", None)


# ---- no text


@pytest.mark.parametrize(("content", "message"), [
    (b"", "bad .*empty"), (b"\xef\xbb\xbf", "bad .*empty"),
    (b"one\ntwo \xe9t\xe9", "bad .*0xe9 .* 8"), (b"hen\0", "bad .*zero"),
    (gzip.compress(b"hen", mtime=0), "bad .*0x"), ("hen".encode("utf-16"), "bad .*0x"),
])
def test_a_file_without_text_is_an_error(here, monkeypatch, content, message):
    write(here / "bad", content)
    with pytest.raises(ValueError, match=message):
        load_corpus(["bad"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "latin-1"))
    with pytest.raises(ValueError, match=message.replace("bad", "standard input")):
        load_corpus(["-"])


# ---- Shakespeare


def test_shakespeare_is_fetched_once_and_another_text_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("NPGPT_DATA", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    digest = hashlib.sha256(PLAY.encode("utf-8")).hexdigest()
    monkeypatch.setattr(download, "SHAKESPEARE_SHA256", digest)
    for content in ("<html>Log in to this network</html>", PLAY, "not asked for"):
        monkeypatch.setattr(pooch, "HTTPDownloader", lambda content=content: (
            lambda url, file, _: write(Path(file), content)))
        if content[0] == "<":
            with pytest.raises(FileNotFoundError, match="SHA256"):
                load_corpus(["shakespeare"])
        else:
            assert read(["shakespeare"]) == ("shakespeare", PLAY, None)
    assert [path.read_text("utf-8") for path in tmp_path.iterdir()] == [PLAY]
