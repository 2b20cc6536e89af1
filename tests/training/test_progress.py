"""What is said of a run's pace, on a terminal and elsewhere."""

import io
import threading
from types import SimpleNamespace

import pytest

from autograd import compiling
from npgpt import GPTConfig
from npgpt.config import TrainConfig
from npgpt.run import watch
from npgpt.support import progress as waiting
from npgpt.support.text import clock
from npgpt.train import Step

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=16)
TRAINING = TrainConfig(max_iters=40, batch_size=3, gradient_accumulation_steps=2)


def watched(first=0):
    """Return the watch of a run that goes on after its first steps."""
    run, optimizer = SimpleNamespace(model=CONFIG, training=TRAINING), SimpleNamespace(steps=first)
    return watch.Watch(run, optimizer, 10)


@pytest.mark.parametrize(("first", "between", "said"), [
    (10, 60.0, range(11, 41)), (0, 0.0, range(1, 41, 7)),  # a line in half a minute
])
def test_without_a_terminal_lines_have_the_time_left_of_training_alone(
    monkeypatch, capsys, first, between, said
):
    now = [100.0]
    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    with watched(first) as shown:
        for step in range(first + 1, 41):
            # The first also loads kernels, and does not count.
            seconds = 5.0 if step > first + 1 else 90.0
            now[0] += seconds + between
            shown.update(Step(step, 9.0, 1e-3, 0.25), 1.5, seconds)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [line[1] for line in lines] == [f"{step}/40," for step in said]
    assert [line[2] for line in lines[1:]] == [clock(5 * (40 - step)) for step in said[1:]]
    assert " ".join(lines[-1][5:]) == "1.500, 9.6 tokens/s, |g| 0.25, lr 1.0e-03"


def test_a_state_is_said_when_it_changes(capsys):
    rows = []
    with watched() as shown:
        for step, loss in enumerate([3, 2, 1, 1, 1, 1, 0.5, 0.5], 1):
            rows.append({"step": 10 * step, "loss": loss, "val_loss": loss})
            shown.evaluated(str(step), rows)
    said = ["flat" if "no longer" in line else line.split()[-1]
            for line in capsys.readouterr().out.splitlines()]
    assert " ".join(said) == "1 2 3 falls 4 flat 5 6 7 falls 8"


def test_in_a_pipe_long_work_is_named_once(monkeypatch):
    """Also while a single part of it takes long."""
    monkeypatch.setattr(waiting, "SECONDS", 0.02)
    monkeypatch.setattr("sys.stderr", screen := io.StringIO())
    with waiting.progress("the whole text", 100_000):
        threading.Event().wait(1)
    with waiting.progress("what takes no time"):
        pass
    assert screen.getvalue() == "the whole text ...\n"


def test_of_all_kernels_that_are_compiled_one_line_is_said():
    file = io.StringIO()
    with waiting.announced(file):
        for kernel in "ab":
            with compiling.notified(kernel, "FOLDER"):
                pass
    assert file.getvalue().count("FOLDER") == 1
