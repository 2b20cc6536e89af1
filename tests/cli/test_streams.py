"""Files are complete without a reader, with streams that are closed, and after a hang-up."""

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from tiny_run import TINY, environment

from npgpt.checkpoint import load_run

ROOT = Path(__file__).parents[2]
SETTINGS = [*TINY, "--max-iters", "40", "--eval-interval", "5"]
SAVED = ("model.safetensors", "train_state.safetensors", "samples.txt")

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")


def command(*arguments):
    return [sys.executable, "-m", "npgpt.cli", *map(str, arguments)]


def started(arguments, **options):
    env = environment(NUMBA_NUM_THREADS="1")
    return subprocess.Popen(command(*arguments), cwd=ROOT, env=env, **options)


def without_reader(arguments, streams=("stdout",), lines=0):
    """Return (status, lines read, stderr) of a command whose reader leaves after `lines` lines."""
    reading, writing = os.pipe()
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = started(arguments, **options | dict.fromkeys(streams, writing))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as reader:
        read = [reader.readline() for _ in range(lines)]
    _, err = process.communicate(timeout=200)
    return process.returncode, read, err


@pytest.fixture(scope="module")
def whole(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert started(["train", "--corpus", corpus, "--out", folder, *SETTINGS]).wait(200) == 0
    return folder


def same_run(folder, whole):
    return all((folder / name).read_bytes() == (whole / name).read_bytes() for name in SAVED)


@pytest.mark.parametrize(("streams", "lines"), [(("stdout",), 0), (("stdout", "stderr"), 3)])
@pytest.mark.slow
def test_training_goes_on_without_a_reader(tmp_path, corpus, whole, streams, lines):
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    status, read, err = without_reader(arguments, streams, lines)
    assert (status, err or b"") == (0, b"")
    assert len(read) == lines and all(read)
    assert same_run(folder, whole)


@pytest.mark.parametrize("what", ["generate RUN", "info RUN", "--help", "export RUN OUT"])
@pytest.mark.slow
def test_no_command_minds_that_nobody_reads(tmp_path, whole, what):
    names = {"RUN": whole, "OUT": tmp_path / "out"}
    status, _, err = without_reader([names.get(word, word) for word in what.split()])
    assert status == 0 and b"Traceback" not in err and b"npgpt:" not in err
    assert (tmp_path / "out" / "tokenizer.json").exists() == ("OUT" in what)


@pytest.mark.slow
def test_what_only_prints_ends_with_its_reader(whole):
    arguments = ["generate", whole, "--max-new-tokens", 10**8]
    assert without_reader(arguments, lines=1)[0] == 0


@pytest.mark.slow
def test_a_mistake_has_its_status_though_nobody_reads_of_it(tmp_path):
    status, _, _ = without_reader(["info", tmp_path], ("stdout", "stderr"))
    assert status == 1
    status, _, _ = without_reader(["info", "--nonsense"], ("stdout", "stderr"))
    assert status == 2
    status, _, _ = without_reader(["train", "--config", tmp_path], ("stderr",))
    assert status == 1


@pytest.mark.slow
def test_streams_that_are_closed_from_the_start_are_no_error(tmp_path, corpus, whole):
    folder = tmp_path / "run"
    for arguments in (
        ["train", "--corpus", corpus, "--out", folder, *SETTINGS], ["tokenize", whole, "The hen"],
    ):
        line = shlex.join(command(*arguments)) + " <&- >&- 2>&-"
        done = subprocess.run(["sh", "-c", line], cwd=ROOT, check=False, timeout=200)
        assert done.returncode == 0, arguments
    assert same_run(folder, whole)
    line = shlex.join(command("generate", whole, "--prompt-file", "-")) + " <&-"
    done = subprocess.run(["sh", "-c", line], cwd=ROOT, check=False, capture_output=True)
    assert done.returncode == 1 and b"the prompt is empty" in done.stderr


# ---- signals

# Receives the signals of its arguments, by number, all at once.
AT_ONCE = """
import signal, sys
from npgpt.run.signals import stop_request
from npgpt.train import Alone

numbers = [*map(int, sys.argv[1:])]
ranks = Alone()
with stop_request(ranks):
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        signal.raise_signal(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    print(ranks.interrupted, flush=True)
"""


@pytest.mark.parametrize(
    ("sent", "said", "status"),
    [([signal.SIGINT], "[2]", 0), ([signal.SIGINT, signal.SIGTERM], "", -signal.SIGTERM)],
)
def test_a_second_signal_ends_at_once(sent, said, status):
    command = [sys.executable, "-c", AT_ONCE, *(str(int(number)) for number in sent)]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, encoding="utf-8")
    assert (done.stdout.strip(), done.returncode) == (said, status)
    assert done.stderr == "\nstopping after this step, which is evaluated and saved\n"


# ---- the terminal hangs up

# The first argument is what SIGHUP does before: default or ignored. It arrives after step 7.
HUNG_UP = """
import os, signal, sys
signal.signal(signal.SIGHUP, getattr(signal, sys.argv[1]))
from npgpt.cli import main
from npgpt import train as run

def signalled(model, optimizer, *others, steps=run.training_steps):
    for step in steps(model, optimizer, *others):
        yield step
        if step.step == 7:
            os.kill(os.getpid(), signal.SIGHUP)

run.training_steps = signalled
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(("before", "status"), [("SIG_DFL", 129), ("SIG_IGN", 0)])
@pytest.mark.slow
def test_a_hang_up_saves_but_under_nohup_is_nothing(tmp_path, corpus, whole, before, status):
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    done = subprocess.run(
        [sys.executable, "-c", HUNG_UP, before, *map(str, arguments)], cwd=ROOT, check=False,
        env=environment(NUMBA_NUM_THREADS="1"), capture_output=True, encoding="utf-8",
    )
    assert done.returncode == status, done.stderr
    load_run(folder)
    if status:
        assert "stopped after step 8, which is saved" in done.stdout
        assert started(["train", "--resume", "--out", folder]).wait(200) == 0
        assert all((folder / n).read_bytes() == (whole / n).read_bytes() for n in SAVED[:2])
    else:
        assert same_run(folder, whole)


NO_HANG_UP = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from npgpt.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
@pytest.mark.slow
def test_a_terminal_that_is_closed_loses_no_step(tmp_path, corpus, whole):
    """Writing to it is an I/O error then, which is no reason to end without saving."""
    ours, theirs = os.openpty()
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *SETTINGS]
    process = subprocess.Popen(
        [sys.executable, "-c", NO_HANG_UP, *map(str, arguments)], cwd=ROOT,
        env=environment(NUMBA_NUM_THREADS="1"), stdout=theirs, stderr=theirs,
    )
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert process.wait(200) == 0
    assert same_run(folder, whole)
