"""Folders that a stranger made: no command reads or writes outside of them, and none waits."""

import json
import os
import shutil
import signal
import threading

import pytest
from tiny_run import TEXT, TINY, files

from npgpt.checkpoint import FILES, read_run

LOADED = ("config.json", "tokenizer.json", "model.safetensors")
TOKENS = ("train.bin", "val.bin", "tokenizer.json")
# command -> files that it reads, its arguments
READERS = {
    "generate": (LOADED, "{run}"),
    "eval": (LOADED, "{run}"),
    "info": (LOADED[:1], "{run}"),
    "tokenize": (LOADED[1:2], "{run} hen"),
    "export": (LOADED, "{run} {out}"),
    "look": (LOADED, "{run} --out {out}.html"),
    "train": ((*FILES, ".lock"), "--resume --out {run}"),
    "train ": (TOKENS, "--corpus {tokens} --out {out}"),
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there; no named pipes")


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


def strange(kind, path, outside):
    """Replace a file by something that a stranger may have put there; move it outside."""
    if path.exists():
        shutil.move(path, outside)
    else:
        outside.write_bytes(b"mine")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "hard link":
        path.hardlink_to(outside)
    else:
        path.symlink_to("none" if kind == "link to nothing" else outside)


def without_lock(folder):
    return {name: data for name, data in files(folder).items() if not name.endswith(".lock")}


@pytest.mark.parametrize(
    ("command", "kind"),
    [(command, kind) for command in READERS for kind in ("link", "pipe")]
    + [("train", "link to nothing"), ("train", "hard link")],
)
def test_no_file_that_leads_elsewhere_is_used(cli, finished, run, corpus, tmp_path, command, kind):
    assert cli("prepare", tmp_path / "tokens", "--corpus", corpus)[0] == 0
    names, arguments = READERS[command]
    if kind == "hard link":
        names = ("metrics.csv", "samples.txt", ".lock")  # the others are renamed over
    for i, name in enumerate(names):
        here = tmp_path / str(i)
        shutil.copytree(tmp_path / "tokens", here / "tokens")
        shutil.copytree(run, here / "run")
        strange(kind, here / ("tokens" if names is TOKENS else "run") / name, here / "outside")
        before = without_lock(here)
        words = arguments.format(run=here / "run", tokens=here / "tokens", out=here / "out")
        status, _, err = cli(command.split()[0], *words.split(), *TINY * (names is TOKENS))
        assert status == 1 and name in err and without_lock(here) == before, (name, err)


def test_links_inside_of_a_folder_and_to_it_are_followed(cli, run, tmp_path):
    for name in LOADED:
        strange("link", run / name, run / f"my-{name}")
    (tmp_path / "latest").symlink_to(run)
    assert cli("generate", tmp_path / "latest", "--max-new-tokens", 1)[0] == 0


def test_a_pipe_or_device_as_a_tokenizer_or_part_of_a_corpus_is_refused(cli, here, corpus):
    (here / "books").mkdir()
    os.mkfifo(here / "books" / "pipe")
    for path in ("books/pipe", "/dev/zero"):
        status, _, err = cli("tokenize", path, "hen")
        assert status == 1 and f"{path} is a pipe or a device" in err
    for spec in ("books", "books/*", "books/pipe"):
        status, _, err = cli("prepare", "out", "--corpus", corpus, spec)
        assert status == 1 and "pipe is neither a file nor a folder" in err
    assert not (here / "out").exists()


def test_a_prompt_and_settings_may_come_from_a_pipe(cli, here, run, corpus):
    """`<(command)` is the name of a pipe, which is read once."""
    os.mkfifo(here / "pipe")
    for content, *arguments in (
        (TEXT[:4].encode(), "generate", run, "--max-new-tokens", 1, "--prompt-file"),
        (b"[training]\nlr = 0.5\n", "train", "--corpus", corpus, "--out", "new", *TINY, "--config"),
    ):
        writer = threading.Thread(target=(here / "pipe").write_bytes, args=[content])
        writer.start()
        status, out, err = cli(*arguments, "pipe")
        writer.join()
        assert status == 0 and (out.startswith(TEXT[:4]) or read_run("new").training.lr == 0.5), err


def test_a_resume_tidies_up_after_a_killed_one_and_changes_nothing_else(cli, run):
    before = (run / "samples.txt").read_bytes() + b"\xff\n"
    (run / "samples.txt").write_bytes(before)  # they may be in no UTF-8
    for name in FILES:
        (run / f".{name}.1.tmp").touch()
    (run / ".mine.tmp").mkdir()
    assert cli("train", "--resume", "--out", run)[0] == 0
    wanted = {".mine.tmp", *FILES} - {"reward.png"}
    assert {path.name for path in run.iterdir()} == wanted
    after = (run / "samples.txt").read_bytes()
    assert after.startswith(before) and b"step 7: " in after
