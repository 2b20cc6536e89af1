"""Files are complete without a reader, and after a hang-up."""

import os
import signal
import subprocess
import sys

import pytest
from tiny_run import FORTY, ROOT, assert_same_checkpoint, environment, npgpt, resumed_at

from npgpt.checkpoint import load_run

pytestmark = pytest.mark.skipif(os.name == "nt", reason="pipes and signals of POSIX")


def started(arguments, program=("-m", "npgpt"), **options):
    command = [sys.executable, *program, *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, env=environment(NUMBA_NUM_THREADS="1"), **options)


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


@pytest.mark.parametrize(("streams", "lines"), [(("stdout",), 0), (("stdout", "stderr"), 3)])
@pytest.mark.slow
def test_training_goes_on_without_a_reader(tmp_path, corpus, forty, streams, lines):
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *FORTY]
    status, read, err = without_reader(arguments, streams, lines)
    assert (status, err or b"") == (0, b"")
    assert len(read) == lines and all(read)
    assert_same_checkpoint(folder, forty, "samples.txt")


@pytest.mark.parametrize("what", ["generate RUN", "info RUN", "--help", "export RUN OUT"])
@pytest.mark.slow
def test_no_command_minds_that_nobody_reads(tmp_path, forty, what):
    names = {"RUN": forty, "OUT": tmp_path / "out"}
    status, _, err = without_reader([names.get(word, word) for word in what.split()])
    assert status == 0 and b"Traceback" not in err and b"npgpt:" not in err
    assert (tmp_path / "out" / "tokenizer.json").exists() == ("OUT" in what)


@pytest.mark.slow
def test_what_only_prints_ends_with_its_reader(forty):
    arguments = ["generate", forty, "--max-new-tokens", 10**8]
    assert without_reader(arguments, lines=1)[0] == 0


@pytest.mark.slow
def test_a_mistake_has_its_status_though_nobody_reads_of_it(tmp_path):
    status, _, _ = without_reader(["info", tmp_path], ("stdout", "stderr"))
    assert status == 1
    status, _, _ = without_reader(["info", "--nonsense"], ("stdout", "stderr"))
    assert status == 2
    status, _, _ = without_reader(["train", "--config", tmp_path], ("stderr",))
    assert status == 1


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
    done = npgpt(*map(int, sent), code=AT_ONCE)
    assert (done.stdout.strip(), done.returncode) == (said, status)
    assert done.stderr.count("\n") == 2


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
def test_a_hang_up_saves_but_under_nohup_is_nothing(tmp_path, corpus, forty, before, status):
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *FORTY]
    done = npgpt(before, *arguments, code=HUNG_UP, env={"NUMBA_NUM_THREADS": "1"})
    assert done.returncode == status, done.stderr
    load_run(folder)
    if status:
        resumed = npgpt("train", "--resume", "--out", folder)
        assert resumed.returncode == 0 and resumed_at(resumed.stdout) == 8
        assert_same_checkpoint(folder, forty)
    else:
        assert_same_checkpoint(folder, forty, "samples.txt")


NO_HANG_UP = """
import signal, sys
signal.signal(signal.SIGHUP, signal.SIG_IGN)
from npgpt.cli import main
sys.exit(main())
"""


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals")
@pytest.mark.slow
def test_a_terminal_that_is_closed_loses_no_step(tmp_path, corpus, forty):
    """Writing to it is an I/O error then, which is no reason to end without saving."""
    ours, theirs = os.openpty()
    folder = tmp_path / "run"
    arguments = ["train", "--corpus", corpus, "--out", folder, *FORTY]
    process = started(arguments, ("-c", NO_HANG_UP), stdout=theirs, stderr=theirs)
    os.close(theirs)
    os.read(ours, 100)
    os.close(ours)
    assert process.wait(200) == 0
    assert_same_checkpoint(folder, forty, "samples.txt")
