"""Folders that a stranger made: no command reads or writes outside of them."""

import os
import shutil
import threading

import pytest
from tiny_run import TEXT, TINY, settings_of

from npgpt.loading.runs import RUN_FILES

LOADED = ("config.json", "tokenizer.json", "model.safetensors")
TOKENS = ("train.bin", "val.bin", "tokenizer.json")
# command -> files that it reads, its arguments
READERS = {
    "generate": ((*LOADED[:2], "best.safetensors"), "{run}"),
    "tokenize": (LOADED[1:2], "{run} hen"),
    "train": ((*RUN_FILES, ".lock"), "--resume --out {run}"),
    "train ": (TOKENS, "{run} --out {out}"),
}

pytestmark = pytest.mark.posix


@pytest.fixture
def run(finished, tmp_path):
    """Return a run that a resume takes one step further."""
    folder = shutil.copytree(finished, tmp_path / "run")
    settings_of(folder, max_iters=7)
    return folder


@pytest.mark.parametrize(
    ("command", "kind"), [*((command, "link") for command in READERS), ("train", "hard link")]
)
def test_no_file_that_leads_elsewhere_is_used(done, refuses, run, corpus, tmp_path, command, kind):
    """A hard link, such as of a backup, is refused where a file is added to."""
    done("prepare", tmp_path / "tokens", "--corpus", corpus)
    names, form = READERS[command]
    if kind == "hard link":
        names = ("metrics.csv", "samples.txt", ".lock")  # the others are renamed over
    for i, name in enumerate(names):
        source = tmp_path / "tokens" if names is TOKENS else run
        folder, outside = shutil.copytree(source, tmp_path / str(i)), tmp_path / f"outside-{i}"
        (folder / name).touch()  # reward.png and .lock
        (folder / name).rename(outside)
        link = folder / name
        (link.hardlink_to if kind == "hard link" else link.symlink_to)(outside)
        words = form.format(run=folder, out=tmp_path / "out").split()
        refuses(name, command.split()[0], *words, *TINY * (names is TOKENS))


def test_links_inside_of_a_folder_and_to_it_are_followed(done, run, tmp_path):
    for name in LOADED:
        (run / name).rename(run / f"my-{name}")
        (run / name).symlink_to(run / f"my-{name}")
    (tmp_path / "latest").symlink_to(run)
    done("generate", tmp_path / "latest", "--max-new-tokens", 1)


def test_a_prompt_may_come_from_a_pipe(done, here, run):
    """`<(command)` is the name of a pipe, which is read once."""
    os.mkfifo(here / "pipe")
    writer = threading.Thread(target=(here / "pipe").write_bytes, args=[TEXT[:4].encode()])
    writer.start()
    out = done("generate", run, "--max-new-tokens", 1, "--prompt-file", "pipe")
    writer.join()
    assert out.startswith(TEXT[:4])


def test_a_resume_does_not_wait_for_a_pipe_in_place_of_the_samples(refuses, run):
    (run / "samples.txt").unlink()
    os.mkfifo(run / "samples.txt")
    refuses("samples.txt", "train", "--resume", "--out", run)


def test_a_resume_tidies_up_after_a_killed_one_and_changes_nothing_else(done, run):
    before = (run / "samples.txt").read_bytes() + b"\xff\n"
    (run / "samples.txt").write_bytes(before)  # they may be in no UTF-8
    (run / ".samples.txt.1.tmp").touch()
    (run / ".mine.tmp").mkdir()
    done("train", "--resume", run)
    assert {path.name for path in run.glob(".*")} == {".mine.tmp", ".lock"}
    after = (run / "samples.txt").read_bytes()
    assert after.startswith(before) and b"step 7: " in after
