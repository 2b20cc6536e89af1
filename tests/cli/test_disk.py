"""A disk that is full, or a folder that cannot be written to, in mid-save: nothing is lost."""

import errno
import os
import re
import subprocess

import pytest
from tiny_run import FORTY, TINY, assert_same_checkpoint, npgpt, resumed_at

from npgpt.loading.runs import load_run

ONE = {"NUMBA_NUM_THREADS": "1"}

# A file may not grow beyond what the first argument says, from the second checkpoint on: writing
# further fails in the middle, with part of the bytes written, as on a full disk.
LIMITED = """
import resource, signal, sys
from npgpt.cli import main
from npgpt import checkpoint as run

def save(folder, model, optimizer, saved=run.save_checkpoint):
    if optimizer.steps >= 10:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    saved(folder, model, optimizer)

run.save_checkpoint = save
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.slow
@pytest.mark.posix
@pytest.mark.parametrize("which", ["model", "train_state"])
def test_a_disk_that_is_full_in_mid_save(tmp_path, corpus, forty, which):
    folder = tmp_path / "run"
    room = (forty / f"{which}.safetensors").stat().st_size - 100
    train = ("train", corpus, "--out", folder, *FORTY)
    stopped = npgpt(room, *train, code=LIMITED, env=ONE)
    assert stopped.returncode == 1, stopped.stderr
    assert "step 10" in stopped.stderr and f"--resume --out {folder}" in stopped.stderr
    assert [path.name for path in folder.glob(".*")] == [".lock"]
    load_run(folder)
    resumed = npgpt("train", "--resume", folder, env=ONE)
    assert resumed.returncode == 0 and resumed_at(resumed.stdout) == 5, resumed.stderr
    assert_same_checkpoint(folder, forty)


@pytest.mark.parametrize("words", [
    "export RUN OUT", "export RUN OUT.gguf", "prepare OUT --corpus TEXT", "look RUN --out OUT.html",
    "train --corpus TEXT --out OUT",
])
def test_a_full_disk_is_said_and_leaves_nothing(
    refused, tmp_path, corpus, finished, monkeypatch, words
):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    if "gguf" in words:
        pytest.importorskip("gguf", reason="the writer: pip install '.[chat]'")
    names = {"RUN": finished, "OUT": tmp_path / "out", "TEXT": corpus}
    words = re.sub("[A-Z]+", lambda found: str(names[found[0]]), words).split()
    err = refused(*words, *TINY * (words[0] == "train"))
    assert str(tmp_path / "out") in err and "space" in err and list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_under_the_output_is_said_and_ends_no_training(finished, corpus, tmp_path):
    folder = tmp_path / "run"
    for words in (["info", finished], ["train", corpus, "--out", folder, *TINY]):
        with open("/dev/full", "wb") as full:
            done = npgpt(*words, capture_output=False, stdout=full, stderr=subprocess.PIPE,
                         env={"PYTHONUNBUFFERED": "1"})
        assert done.returncode == 1 and done.stderr.count("\n") == 1 and "space" in done.stderr
    assert (folder / "result.json").exists()
