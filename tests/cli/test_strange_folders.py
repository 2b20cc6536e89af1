"""Folders that a stranger made: no command reads or writes outside of them, and none waits."""

import json
import os
import re
import shutil
import signal
import threading

import pytest
from tiny_run import TEXT, TINY, files

from npgpt.checkpoint import FILES
from npgpt.io.tokenizers import load_tokenizer
from npgpt.words import WordTokenizer

LOADED = ("config.json", "tokenizer.json", "model.safetensors")
TOKENS = ("train.bin", "val.bin", "tokenizer.json")
NO_WINDOWS = pytest.mark.skipif(os.name == "nt", reason="links need rights there; no named pipes")

pytestmark = NO_WINDOWS


@pytest.fixture(autouse=True)
def in_time():
    """Fail a test that waits for ever."""

    def late(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def run(finished, tmp_path):
    """Return a run that a resume takes one step further."""
    folder = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["training"]["max_iters"] = 7
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


@pytest.fixture
def tokens(cli, corpus, tmp_path):
    assert cli("prepare", tmp_path / "tokens", "--corpus", corpus)[0] == 0
    return tmp_path / "tokens"


def strange(kind, path, outside):
    """Replace a file by something that a stranger may have put there; move it outside."""
    if kind == "link" and path.exists():
        shutil.move(path, outside)
    elif kind == "link":
        outside.write_bytes(b"mine")
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    else:
        path.symlink_to(outside)


def refused(name, err):
    """Return whether an error names the file and what is wrong with it."""
    return re.search(f"{name} (is a link|leads out of its folder|is a pipe or a device)", err)


@pytest.mark.parametrize("kind", ["link", "link to nothing", "pipe"])
@pytest.mark.parametrize("name", [*FILES, ".lock"])
def test_a_resume_uses_no_file_that_is_a_link_or_a_pipe(cli, run, tmp_path, name, kind):
    strange(kind, run / name, tmp_path / "outside")
    before = files(tmp_path)
    status, _, err = cli("train", "--resume", "--out", run)
    assert status == 1 and (refused(name, err) or (name in err and kind == "link to nothing"))
    assert {n: content for n, content in files(tmp_path).items() if n != "run/.lock"} == {
        n: content for n, content in before.items() if n != "run/.lock"
    }


@pytest.mark.slow
def test_a_file_is_not_written_under_a_name_that_can_be_foreseen(cli, finished, tmp_path):
    (tmp_path / "outside").write_bytes(b"mine")
    for name in ("v.png", *FILES):
        (tmp_path / f".{name}.{os.getpid()}.tmp").symlink_to(tmp_path / "outside")
    assert cli("gradcheck", "--plot", tmp_path / "v.png")[0] == 0
    load_tokenizer(finished / "tokenizer.json").save(tmp_path / "tokenizer.json")
    assert (tmp_path / "outside").read_bytes() == b"mine"


def test_a_resume_tidies_up_after_a_killed_one_and_deletes_nothing_else(cli, run):
    for name in FILES:
        (run / f".{name}.1.tmp").touch()
    (run / ".mine.tmp").mkdir()
    assert cli("train", "--resume", "--out", run)[0] == 0
    assert sorted(path.name for path in run.iterdir()) == sorted([".mine.tmp", *FILES])


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", LOADED)
@pytest.mark.parametrize("command", ["generate", "eval", "info", "tokenize", "export", "look"])
def test_no_command_reads_a_link_or_a_pipe_in_a_run(cli, run, tmp_path, command, name, kind):
    read = {"info": LOADED[:1], "tokenize": LOADED[1:2]}.get(command, LOADED)
    arguments = {"tokenize": ["hen"], "export": [tmp_path / "out"]}.get(command, [])
    arguments += ["--out", tmp_path / "a.html"] * (command == "look")
    strange(kind, run / name, tmp_path / "outside")
    status, _, err = cli(command, run, *arguments)
    assert status == (name in read), err
    assert not status or refused(name, err) or f"has no {name}" in err


@pytest.mark.parametrize("kind", ["link", "pipe"])
@pytest.mark.parametrize("name", TOKENS)
def test_training_reads_no_link_or_pipe_in_a_prepared_folder(cli, tokens, tmp_path, name, kind):
    strange(kind, tokens / name, tmp_path / "outside")
    status, _, err = cli("train", "--corpus", tokens, "--out", tmp_path / "run", *TINY)
    assert status == 1 and refused(name, err)


def test_links_inside_of_a_folder_and_to_it_are_followed(cli, run, tmp_path):
    for name in LOADED:
        strange("link", run / name, run / f"my-{name}")
    (tmp_path / "latest").symlink_to(run)
    assert cli("generate", tmp_path / "latest", "--max-new-tokens", 1)[0] == 0


def test_a_pipe_or_device_as_a_tokenizer_or_part_of_a_corpus_is_refused(cli, here, corpus):
    os.mkfifo(here / "pipe")
    for path in ("pipe", "/dev/zero"):
        status, _, err = cli("tokenize", path, "hen")
        assert status == 1 and f"{path} is a pipe or a device" in err
        status, _, err = cli("prepare", "out", "--corpus", corpus, "--tokenizer", path)
        assert status == 1 and f"{path} is a pipe or a device" in err
    (here / "books").mkdir()
    (here / "books" / "hens.txt").write_text(TEXT, encoding="utf-8")
    (here / "pipe").rename(here / "books" / "pipe")
    for spec in ("books", "books/*", "books/pipe"):
        status, _, err = cli("prepare", "out", "--corpus", corpus, spec)
        assert status == 1 and "pipe is neither a file nor a folder" in err
    assert not (here / "out").exists()


def test_a_prompt_and_settings_may_come_from_a_pipe_that_ends(cli, here, run, corpus):
    """`<(command)` is the name of a pipe; /dev/zero never ends."""
    os.mkfifo(here / "pipe")
    for content, *arguments in (
        (TEXT[:4].encode(), "generate", run, "--max-new-tokens", 1, "--prompt-file"),
        (b"[training]\nmax_iters = 0\n", "train", "--corpus", corpus, "--out", "new", "--config"),
    ):
        writer = threading.Thread(target=(here / "pipe").write_bytes, args=[content])
        writer.start()
        status, out, err = cli(*arguments, "pipe")
        writer.join()
        assert out.startswith(TEXT[:4]) if status == 0 else "max_iters=0; use 1 or more" in err
        status, _, err = cli(*arguments, "/dev/zero")
        assert status == 1 and "/dev/zero is longer than 16,777,216 bytes; name a shorter" in err


@pytest.mark.slow
def test_a_pipe_of_settings_is_read_once_and_its_preset_says_what_tokens_are(cli, here):
    os.mkfifo(here / "pipe")
    text = b'preset = "tales-bert"\n[model]\nn_inner = 16\n[training]\ntrain_fraction = 0.99\n'
    writer = threading.Thread(target=(here / "pipe").write_bytes, args=[text])
    writer.start()
    sizes = [*TINY, "--block-size", 190]
    status, _, err = cli("train", "--config", "pipe", "--corpus", "tales", *sizes, "--out", "new")
    writer.join()
    assert status == 0, err
    assert isinstance(load_tokenizer(here / "new" / "tokenizer.json"), WordTokenizer)


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "metrics.csv"])
def test_a_text_that_is_not_utf_8_is_named(cli, run, name):
    (run / name).write_bytes((run / name).read_bytes() + b"\xff\n")
    before = files(run)
    status, _, err = cli("train", "--resume", "--out", run)
    assert status == 1 and f"{name} is no UTF-8 text" in err
    assert files(run) == before


def test_samples_that_are_not_utf_8_are_kept(cli, run):
    before = (run / "samples.txt").read_bytes() + b"\xff\n"
    (run / "samples.txt").write_bytes(before)
    assert cli("train", "--resume", "--out", run)[0] == 0
    after = (run / "samples.txt").read_bytes()
    assert after.startswith(before) and b"step 7: " in after
