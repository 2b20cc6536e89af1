"""A disk that is full, or a folder that cannot be written to, in mid-save: nothing is lost."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TINY, environment

from npgpt.checkpoint import load_run

ROOT = Path(__file__).parents[2]
SETTINGS = [*TINY, "--max-iters", "40", "--eval-interval", "5", "--sample-tokens", "0"]

# A file may not grow beyond what the first argument says, from the second checkpoint on: writing
# further fails in the middle, with part of the bytes written, as on a full disk.
LIMITED = """
import resource, signal, sys
from npgpt.cli import main
from npgpt import train as run

def save(folder, model, optimizer, saved=run.save_checkpoint):
    if optimizer.steps >= 10:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), resource.RLIM_INFINITY))
    saved(folder, model, optimizer)

run.save_checkpoint = save
sys.exit(main(sys.argv[2:]))
"""


def run(arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "npgpt.cli"]), *arguments]
    return subprocess.run(
        [str(part) for part in command], cwd=ROOT, env=environment(NUMBA_NUM_THREADS="1"),
        check=False, capture_output=True, encoding="utf-8",
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert run(["train", "--corpus", corpus, "--out", folder, *SETTINGS]).returncode == 0
    return folder


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("which", ["model", "train_state"])
def test_a_disk_that_is_full_in_mid_save(tmp_path, corpus, whole, which):
    folder = tmp_path / "run"
    room = (whole / f"{which}.safetensors").stat().st_size - 100
    stopped = run([room, "train", "--corpus", corpus, "--out", folder, *SETTINGS], LIMITED)
    assert stopped.returncode == 1, stopped.stderr
    assert "step 10 could not be saved" in stopped.stderr
    assert f"npgpt train --resume --out {folder}" in stopped.stderr
    assert not list(folder.glob(".*"))
    load_run(folder)
    resumed = run(["train", "--resume", "--out", folder])
    assert resumed.returncode == 0, resumed.stderr
    assert "from step 5" in resumed.stdout
    for name in ("model.safetensors", "train_state.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.parametrize("command", ["export", "prepare", "train", "look"])
def test_a_full_disk_is_said_and_leaves_nothing(
    cli, tmp_path, corpus, finished, monkeypatch, command
):
    out = tmp_path / "out"
    arguments = {
        "export": [finished, out], "prepare": [out, "--corpus", corpus],
        "train": ["--corpus", corpus, "--out", out, *TINY], "look": [finished, "--out", out],
    }[command]

    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    status, _, err = cli(command, *arguments)
    said = "no space is left to write {}; make room there" if command == "look" else (
        "{} cannot be made ([Errno 28] No space left on device")
    assert status == 1 and f"npgpt {command}: {said.format(out)}" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_under_the_output_is_said_and_ends_no_training(finished, corpus, tmp_path):
    folder = tmp_path / "run"
    for arguments in (["info", finished], ["train", "--corpus", corpus, "--out", folder, *TINY]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-u", "-m", "npgpt.cli", *arguments], cwd=ROOT, check=False,
                stdout=full, stderr=subprocess.PIPE, encoding="utf-8",
            )
        assert done.returncode == 1
        said = f"npgpt {arguments[0]}: no space is left to write the output; make room there\n"
        assert done.stderr == said
    assert (folder / "result.json").exists()
