"""Folders that a stranger made: no command reads or writes outside of them."""

import os
import shutil
import threading

import pytest
from tiny_run import TEXT, TINY, files, settings_of

from npgpt.loading.runs import RUN_FILES, read_run

LOADED = ("config.json", "tokenizer.json", "model.safetensors")
TOKENS = ("train.bin", "val.bin", "tokenizer.json")
# command -> files that it reads, its arguments
READERS = {
    "generate": ((*LOADED[:2], "best.safetensors"), "{run}"),
    "eval": (LOADED, "{run}"),
    "info": (LOADED[:1], "{run}"),
    "tokenize": (LOADED[1:2], "{run} hen"),
    "export": (LOADED, "{run} {out}"),
    "look": (LOADED, "{run} --out {out}.html"),
    "train": ((*RUN_FILES, ".lock"), "--resume --out {run}"),
    "train ": (TOKENS, "--corpus {tokens} --out {out}"),
}

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there; no named pipes")


@pytest.fixture
def run(finished, tmp_path):
    """Return a run that a resume takes one step further."""
    folder = shutil.copytree(finished, tmp_path / "run")
    settings_of(folder, max_iters=7)
    return folder


def without_lock(folder):
    return {name: data for name, data in files(folder).items() if not name.endswith(".lock")}


@pytest.mark.parametrize(
    ("command", "kind"), [*((command, "link") for command in READERS), ("train", "hard link")]
)
def test_no_file_that_leads_elsewhere_is_used(done, refused, run, corpus, tmp_path, command, kind):
    """A hard link, such as of a backup, is refused where a file is added to."""
    done("prepare", tmp_path / "tokens", "--corpus", corpus)
    names, arguments = READERS[command]
    if kind == "hard link":
        names = ("metrics.csv", "samples.txt", ".lock")  # the others are renamed over
    for i, name in enumerate(names):
        here = tmp_path / str(i)
        shutil.copytree(tmp_path / "tokens", here / "tokens")
        shutil.copytree(run, here / "run")
        path, outside = here / ("tokens" if names is TOKENS else "run") / name, here / "outside"
        path.touch()  # reward.png and .lock
        path.rename(outside)
        (path.hardlink_to if kind == "hard link" else path.symlink_to)(outside)
        before = without_lock(here)
        words = arguments.format(run=here / "run", tokens=here / "tokens", out=here / "out")
        err = refused(command.split()[0], *words.split(), *TINY * (names is TOKENS))
        assert name in err and without_lock(here) == before


def test_links_inside_of_a_folder_and_to_it_are_followed(done, run, tmp_path):
    for name in LOADED:
        (run / name).rename(run / f"my-{name}")
        (run / name).symlink_to(run / f"my-{name}")
    (tmp_path / "latest").symlink_to(run)
    done("generate", tmp_path / "latest", "--max-new-tokens", 1)


def test_a_prompt_and_settings_may_come_from_a_pipe(done, here, run, corpus):
    """`<(command)` is the name of a pipe, which is read once."""
    os.mkfifo(here / "pipe")

    def piped(content, *arguments):
        writer = threading.Thread(target=(here / "pipe").write_bytes, args=[content])
        writer.start()
        out = done(*arguments, "pipe")
        writer.join()
        return out

    prompt = ("generate", run, "--max-new-tokens", 1, "--prompt-file")
    assert piped(TEXT[:4].encode(), *prompt).startswith(TEXT[:4])
    train = ("train", "--corpus", corpus, "--out", "new", *TINY, "--config")
    piped(b"[training]\nlr = 0.5\n", *train)
    assert read_run("new").training.lr == 0.5


def test_a_resume_tidies_up_after_a_killed_one_and_changes_nothing_else(done, run):
    before = (run / "samples.txt").read_bytes() + b"\xff\n"
    (run / "samples.txt").write_bytes(before)  # they may be in no UTF-8
    for name in RUN_FILES:
        (run / f".{name}.1.tmp").touch()
    (run / ".mine.tmp").mkdir()
    done("train", "--resume", "--out", run)
    wanted = {".mine.tmp", ".lock", *RUN_FILES} - {"reward.png"}
    assert {path.name for path in run.iterdir()} == wanted
    after = (run / "samples.txt").read_bytes()
    assert after.startswith(before) and b"step 7: " in after
