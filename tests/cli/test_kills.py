"""A run that is killed at any moment can be loaded, and resumed to the bits of one that was not.

NPGPT_KILLS=50 kills more often than the two times of the quick suite.
"""

import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny_run import TINY, environment

from npgpt.checkpoint import load_run, read_run

ROOT = Path(__file__).parents[2]
KILLS = int(os.environ.get("NPGPT_KILLS", "2"))
SETTINGS = [*TINY, "--max-iters", "60", "--eval-interval", "4", "--sample-tokens", "0"]
SAVED = ("model.safetensors", "train_state.safetensors", "best.safetensors")

# Kills itself in the middle of writing a file: after some writes of `atomic_write`, before its
# rename, or with the last bytes missing. The arguments are the number of the write, and the moment.
SAVE_AND_DIE = """
import os, signal, sys
from npgpt.cli import main
number, moment = int(sys.argv[1]), sys.argv[2]
written, fsync, replace = [], os.fsync, os.replace

def die():
    os.kill(os.getpid(), signal.SIGKILL)

def watched_fsync(descriptor):
    written.append(descriptor)
    if len(written) == number and moment == "written":
        os.ftruncate(descriptor, os.fstat(descriptor).st_size - 20)
        die()
    fsync(descriptor)

def watched_replace(source, target):
    if len(written) >= number and moment == "rename":
        die()
    replace(source, target)
    if len(written) >= number and moment == "renamed":
        die()

os.fsync, os.replace = watched_fsync, watched_replace
main(sys.argv[3:])
"""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL"),
]


def start(arguments, code=None):
    command = [sys.executable, *(["-c", code] if code else ["-m", "npgpt.cli"]), *arguments]
    return subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=environment(NUMBA_NUM_THREADS="1"),
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpus):
    """(folder of a run that was not killed, seconds it takes)."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    started = time.perf_counter()
    process = start(["train", "--corpus", corpus, "--out", folder, *SETTINGS])
    assert process.communicate() and process.returncode == 0
    return folder, time.perf_counter() - started


def steps(folder):
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        return [(row["step"], row["loss"], row["val_loss"]) for row in csv.DictReader(file)]


def check_resumes(folder, whole, corpus):
    if folder.exists():  # else it was killed before there was anything to keep
        load_run(folder)
        arguments = ["train", "--resume", "--out", folder]
    else:
        arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    process = start(arguments)
    error = process.communicate()[1].decode()
    assert process.returncode == 0, error
    for name in SAVED:
        assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
    assert steps(folder) == steps(whole)
    said = [(run / "samples.txt").read_text(encoding="utf-8") for run in (folder, whole)]
    assert said[0] == said[1]
    assert not list(folder.glob(".*"))


@pytest.mark.parametrize("kill", range(KILLS // 2))
def test_killed_at_any_moment(tmp_path, corpus, whole, kill):
    folder, (reference, seconds) = tmp_path / "run", whole
    process = start(["train", "--corpus", corpus, "--out", folder, *SETTINGS])
    try:
        process.communicate(timeout=random.Random(kill).uniform(0.2, 1.0) * seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    check_resumes(folder, reference, corpus)


@pytest.mark.parametrize("kill", range(KILLS - KILLS // 2))
def test_killed_while_saving(tmp_path, corpus, whole, kill):
    draw = random.Random(1000 + kill)
    moment = draw.choice(["written", "rename", "renamed"])
    number = draw.randint(1, 60)  # files of the new run, then three and the metrics for each save
    folder = tmp_path / "run"
    arguments = [number, moment, "train", "--corpus", corpus, "--out", folder, *SETTINGS]
    process = start(arguments, SAVE_AND_DIE)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    check_resumes(folder, whole[0], corpus)


@pytest.fixture(scope="module")
def ended(tmp_path_factory, corpus):
    """(folder of a run of 52 steps, folder of the same made longer, both without a kill)."""
    folder = tmp_path_factory.mktemp("ended") / "run"
    train = ["train", "--corpus", corpus, "--out", folder, *SETTINGS, "--max-iters", "52"]
    start(train).communicate()
    longer = shutil.copytree(folder, folder.with_name("longer"))
    start(["train", "--resume", "--max-iters", "60", "--out", longer]).communicate()
    assert steps(longer)[-1][0] == "60"
    return folder, longer


# The first write of such a resume is config.json with the new end, then metrics.csv, perhaps
# best.safetensors, and a checkpoint.
@pytest.mark.parametrize("again", [[], ["--max-iters", "60"]])
@pytest.mark.parametrize(
    ("number", "moment"),
    [(1, "written"), (1, "rename"), (1, "renamed"), (2, "renamed"), (5, "rename"), (6, "renamed")],
)
def test_killed_while_it_is_made_longer(tmp_path, corpus, ended, number, moment, again):
    before, longer = ended
    folder = shutil.copytree(before, tmp_path / "run")
    arguments = ["train", "--resume", "--max-iters", "60", "--out", folder]
    process = start([number, moment, *arguments], SAVE_AND_DIE)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    load_run(folder)
    end = read_run(folder).training.max_iters
    assert end == (52 if number == 1 and moment != "renamed" else 60)
    process = start(["train", "--resume", "--out", folder, *again])
    error = process.communicate()[1].decode()
    assert process.returncode == 0, error
    if end == 52 and not again:  # it has ended where it had been meant to
        for name in (*SAVED, "config.json", "samples.txt"):
            assert (folder / name).read_bytes() == (before / name).read_bytes(), name
        start(arguments).communicate()
    check_resumes(folder, longer, corpus)


# Kills itself where a tokenizer has just been saved, or the model of an export.
DIE_AFTER = """
import os, signal, sys
from npgpt import GPT, CharTokenizer
from npgpt.cli import main
owner, name = (CharTokenizer, "save") if sys.argv[1] == "prepare" else (GPT, "save_pretrained")
done = getattr(owner, name)

def die(*arguments):
    done(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(owner, name, die)
main(sys.argv[1:])
"""


@pytest.mark.parametrize("command", ["prepare", "export"])
def test_a_killed_prepare_or_export_leaves_no_folder_and_is_repeated(
    cli, tmp_path, corpus, finished, command
):
    folder = tmp_path / "made"
    inputs = {"prepare": [folder, "--corpus", corpus], "export": [finished, folder]}[command]
    process = start([command, *inputs], DIE_AFTER)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not folder.exists()
    status, _, err = cli("train", "--corpus", folder, "--out", tmp_path / "run", *TINY)
    assert status == 1 and "there is no corpus" in err
    status, _, err = cli(command, *inputs)
    assert status == 0, err
    visible = [path.name for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert visible == ["made"]
