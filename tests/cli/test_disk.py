"""A disk that is full, or a folder that cannot be written to, in mid-save: nothing is lost."""

import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from tiny_run import TINY, environment, files

from npgpt.checkpoint import load_run

pytestmark = pytest.mark.slow

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


def check_stopped_and_resumes(stopped, folder, whole, step):
    assert stopped.returncode == 1, stopped.stderr
    assert f"step {step} could not be saved" in stopped.stderr
    assert f"npgpt train --resume --out {folder}" in stopped.stderr
    assert not list(folder.glob(".*"))
    load_run(folder)
    resumed = run(["train", "--resume", "--out", folder])
    assert resumed.returncode == 0, resumed.stderr
    assert f"from step {step - 5}" in resumed.stdout
    for name in ("model.safetensors", "train_state.safetensors"):
        assert (folder / name).read_bytes() == (whole / name).read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("which", ["model", "train_state"])
def test_a_file_cut_short_in_mid_save(tmp_path, corpus, whole, which):
    folder = tmp_path / "run"
    room = (whole / f"{which}.safetensors").stat().st_size - 100
    arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    check_stopped_and_resumes(run([room, *arguments], LIMITED), folder, whole, step=10)


@pytest.fixture
def small_disk(tmp_path):
    """Mount a disk in memory; skip without the right to."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = shutil.which("mount")
    command = [mount, "-t", "tmpfs", "-o", "size=256k", "none", str(place)]
    if not mount or subprocess.run(command, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs Linux and the right to mount")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_full_disk_in_mid_save(small_disk, corpus, whole):
    folder = small_disk / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    # Fills the disk before the second checkpoint: one page too few for the training state.
    filling = f"""
import os, sys
from npgpt.cli import main
from npgpt import train as run

def save(folder, model, optimizer, saved=run.save_checkpoint):
    if optimizer.steps == 10:
        disk = os.statvfs(folder)
        pages = os.stat(folder / "train_state.safetensors").st_size // disk.f_frsize
        with open({str(small_disk / "filling")!r}, "wb") as file:
            file.write(bytes((disk.f_bavail - pages) * disk.f_frsize))
    saved(folder, model, optimizer)

run.save_checkpoint = save
sys.exit(main(sys.argv[1:]))
"""
    stopped = run(arguments, filling)
    assert "No space left on device" in stopped.stderr
    (small_disk / "filling").unlink()
    check_stopped_and_resumes(stopped, folder, whole, step=10)


def test_a_full_disk_is_said_with_what_was_being_written(cli, small_disk, corpus, finished):
    with suppress(OSError), open(small_disk / "filling", "wb", buffering=0) as file:
        file.write(bytes(1 << 20))
    for arguments in (
        ["export", finished, small_disk / "out"],
        ["prepare", small_disk / "out", "--corpus", corpus],
        ["train", "--corpus", corpus, "--out", small_disk / "out", *TINY],
        ["look", finished, "--out", small_disk / "out"],
    ):
        status, _, err = cli(*arguments)
        said = f"npgpt {arguments[0]}: no space is left to write {small_disk / 'out'}; make room"
        cannot = f"{small_disk / 'out'} cannot be made ([Errno 28] No space left on device"
        assert status == 1 and (said in err or cannot in err), err
        assert not (small_disk / "out").exists()


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


@pytest.mark.skipif(os.name == "nt", reason="folders of Windows have no permissions of this kind")
def test_a_folder_that_can_not_be_written_to_is_refused_before_training(cli, tmp_path, corpus):
    locked = tmp_path / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    if os.access(locked, os.W_OK):
        pytest.skip("this user, such as root, may write anywhere")
    status, out, err = cli("train", "--corpus", corpus, "--out", locked / "run", *TINY)
    locked.chmod(0o755)
    assert status == 1 and "locked cannot be written to: name another with --out" in err
    assert "text " not in out
    assert files(tmp_path) == {}
