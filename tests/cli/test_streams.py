"""Files are complete without a reader, and after a hang-up."""

import os
import signal
import subprocess
import sys

import pytest
from tiny_run import FORTY, ROOT, assert_same_checkpoint, environment, npgpt, resumed_at

from npgpt.cli.streams import Stream
from npgpt.loading.runs import load_run

pytestmark = pytest.mark.posix


def without_reader(arguments, streams=("stdout",), lines=0):
    """Return (status, lines read, stderr) of a command whose reader leaves after `lines` lines."""
    reading, writing = os.pipe()
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = subprocess.Popen(
        [sys.executable, "-m", "npgpt", *map(str, arguments)], cwd=ROOT,
        env=environment(NUMBA_NUM_THREADS="1"), **options | dict.fromkeys(streams, writing))
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as reader:
        read = [reader.readline() for _ in range(lines)]
    _, err = process.communicate(timeout=200)
    return process.returncode, read, err


@pytest.mark.parametrize(("streams", "lines"), [(("stdout",), 0), (("stdout", "stderr"), 3)])
@pytest.mark.slow
def test_training_goes_on_without_a_reader(tmp_path, corpus, forty, streams, lines):
    folder = tmp_path / "run"
    arguments = ["train", corpus, "--out", folder, *FORTY]
    status, read, err = without_reader(arguments, streams, lines)
    assert (status, err or b"", len([*filter(None, read)])) == (0, b"", lines)
    assert_same_checkpoint(folder, forty, "samples.txt")


@pytest.mark.slow
def test_what_only_prints_ends_with_its_reader_and_what_writes_goes_on(tmp_path, forty):
    endless = ["generate", forty, "--max-new-tokens", 99999999]
    export = ["export", forty, tmp_path / "out"]
    for words, lines in ((endless, 1), (["--help"], 0), (export, 0)):
        status, _, err = without_reader(words, lines=lines)
        assert status == 0 and b"npgpt:" not in err
    assert (tmp_path / "out" / "tokenizer.json").exists()
    for status, words in ((1, ["info", tmp_path]), (2, ["info", "--nonsense"])):
        assert without_reader(words, ("stdout", "stderr"))[0] == status


# ---- signals

# Receives the signals of its arguments, by number, all at once.
AT_ONCE = """
import signal, sys
from npgpt.run.watch import stop_request
from npgpt.train import CURRENT_RANKS

numbers = [*map(int, sys.argv[1:])]
with stop_request():
    signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    for number in numbers:
        signal.raise_signal(number)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, numbers)
    print(CURRENT_RANKS.get().interrupted, flush=True)
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
    arguments = ["train", corpus, "--out", folder, *FORTY]
    done = npgpt(before, *arguments, code=HUNG_UP, env={"NUMBA_NUM_THREADS": "1"})
    assert done.returncode == status, done.stderr
    load_run(folder)
    if status:
        resumed = npgpt("train", "--resume", folder)
        assert resumed.returncode == 0 and resumed_at(resumed.stdout) == 8
        assert_same_checkpoint(folder, forty)
    else:
        assert_same_checkpoint(folder, forty, "samples.txt")


def test_what_is_written_to_a_terminal_that_was_closed_is_discarded():
    """Under nohup, writing to it is an I/O error, which is no reason to end without saving."""
    ours, theirs = os.openpty()
    os.close(ours)
    with open(theirs, "w", encoding="utf-8") as terminal:
        stream = Stream(terminal)
        stream.write("step 1\n")
        stream.flush()
