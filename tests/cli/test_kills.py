"""A run that is killed at any moment can be loaded, and resumed to the bits of one that was not.

NPGPT_KILLS=50 kills more often than ten times.
"""

import os
import random
import shutil
import signal
import subprocess
import time
from contextlib import suppress

import pytest
from tiny_run import TINY, assert_same_checkpoint, npgpt

from npgpt.checkpoint import kept
from npgpt.loading.runs import load_run, read_run
from npgpt.support.metrics import read_metrics

KILLS = int(os.environ.get("NPGPT_KILLS", "10"))
SETTINGS = [*TINY, "--max-iters", "60", "--eval-interval", "4", "--sample-tokens", "0",
            "--keep", "3"]

# Kills itself while it writes a file, the first argument says which: with its last bytes missing,
# before its rename, or after it.
SAVE_AND_DIE = """
import os, signal, sys
from npgpt.cli import main
number, moment = int(sys.argv[1]), sys.argv[2]
synced, fsync, replace = [], os.fsync, os.replace

def die_at(this):
    if len(synced) >= number and moment == this:
        os.kill(os.getpid(), signal.SIGKILL)

def watched_fsync(descriptor):
    synced.append(descriptor)
    if moment == "written" and len(synced) == number:
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - 20)
    die_at("written")
    fsync(descriptor)

def watched_replace(source, target):
    die_at("rename")
    replace(source, target)
    die_at("renamed")

os.fsync, os.replace = watched_fsync, watched_replace
main(sys.argv[3:])
"""

pytestmark = [pytest.mark.slow, pytest.mark.posix]


def started(*arguments, code=None, timeout=None):
    """Run the program; return its status, None if it was killed after `timeout` seconds."""
    with suppress(subprocess.TimeoutExpired):
        return npgpt(*arguments, code=code, env={"NUMBA_NUM_THREADS": "1"}, timeout=timeout,
                     capture_output=False, stdout=subprocess.DEVNULL).returncode


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpus):
    """(folder of a run that was not killed, seconds it takes)."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    begin = time.perf_counter()
    assert started("train", corpus, "--out", folder, *SETTINGS) == 0
    return folder, time.perf_counter() - begin


def check_resumes(folder, whole, train=()):
    if folder.exists():  # else it was killed before there was anything to keep
        load_run(folder)
        train = ["train", "--resume", folder]
    assert started(*train) == 0
    assert len(kept(folder)) == 3
    names = [path.name for path in kept(whole).values()]
    assert_same_checkpoint(folder, whole, "best.safetensors", "samples.txt", *names)
    one, two = ([[row[name] for name in ("step", "loss", "val_loss")]
                 for row in read_metrics(run / "metrics.csv")] for run in (folder, whole))
    assert one == two and [path.name for path in folder.glob(".*")] == [".lock"]


@pytest.mark.parametrize("kill", range(KILLS))
def test_killed_at_any_moment_or_while_saving(tmp_path, corpus, whole, kill):
    folder, (reference, seconds), draw = tmp_path / "run", whole, random.Random(kill)
    train = ["train", corpus, "--out", folder, *SETTINGS]
    if kill % 2:
        started(*train, timeout=draw.uniform(0.2, 1.0) * seconds)
    else:
        moment = draw.choice(["written", "rename", "renamed"])
        # files of the new run, then four and the metrics for each save
        died = started(draw.randint(1, 60), moment, *train, code=SAVE_AND_DIE)
        assert died == -signal.SIGKILL
    check_resumes(folder, reference, train)


# The first file of such a resume is config.json with the new end, then come metrics.csv, perhaps
# best.safetensors, and a checkpoint.
@pytest.mark.parametrize(
    ("number", "moment", "end"), [(1, "rename", 52), (1, "renamed", 60), (6, "rename", 60)],
)
def test_killed_while_it_is_made_longer(tmp_path, corpus, number, moment, end):
    folder = tmp_path / "run"
    started("train", corpus, "--out", folder, *SETTINGS, "--max-iters", "52")
    ended, longer = (shutil.copytree(folder, tmp_path / name) for name in ("ended", "longer"))
    resume = ["train", "--resume", "--max-iters", "60", "--out"]
    started(*resume, longer)
    assert started(number, moment, *resume, folder, code=SAVE_AND_DIE) == -signal.SIGKILL
    assert read_run(folder).training.max_iters == end
    check_resumes(folder, longer if end == 60 else ended)
