"""What is said of a run's pace, on a terminal and elsewhere."""

import io
import threading
from types import SimpleNamespace

import pytest

from autograd import compiling
from npgpt import GPTConfig
from npgpt import progress as waiting
from npgpt.config import TrainConfig
from npgpt.progress import announced
from npgpt.run import watch
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.run.watch import Watch
from npgpt.train import SINGLE_PROCESS, Step

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=16)
TRAINING = TrainConfig(max_iters=40, batch_size=3, gradient_accumulation_steps=2)


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still unless it is set."""
    now = [100.0]
    monkeypatch.setattr(watch, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    return now


def watched(first=0, training=TRAINING):
    """The watch of a run that goes on after its first steps."""
    run, optimizer = SimpleNamespace(model=CONFIG, training=training), SimpleNamespace(steps=first)
    return Watch(run, optimizer, SINGLE_PROCESS, 10)


def taken(shown, time, seconds, between=0.0):
    """Take the steps that are left, of so many seconds each and so many between them."""
    for step in range(shown.first + 1, TRAINING.max_iters + 1):
        time[0] += seconds[min(step, len(seconds)) - 1] + between
        shown.update(Step(step, 9.0, 1e-3, 0.25), 1.5, seconds[min(step, len(seconds)) - 1])


@pytest.mark.parametrize(("first", "seconds"), [
    (10, [5.0]), (0, [90.0, 5.0]),  # the first loads kernels, and does not count
])
def test_the_time_left_is_of_training_alone_so_that_evaluations_move_it_nowhere(
    time, capsys, first, seconds
):
    with watched(first) as shown:
        taken(shown, time, seconds, between=60.0)
    steps = capsys.readouterr().out.splitlines()[1:]
    lefts = [clock(5 * (38 - first - i)) for i in range(len(steps))]
    assert len(steps) == 39 - first and [step.split()[2] for step in steps] == lefts
    assert all(" 9.6 tokens/s" in step for step in steps)


def test_without_a_terminal_a_line_is_said_from_time_to_time(time, capsys):
    with watched() as shown:
        taken(shown, time, [4.0])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["8/40,", "16/40,", "24/40,", "32/40,", "40/40,"]
    for fact in ("2:08 left", "loss 1.500", "12 tokens/s", "0.25", "1.0e-03"):
        assert fact in lines[0]


def test_a_terminal_that_does_not_know_its_width_gets_the_sample_too(terminal, capsys):
    terminal(-1)  # of 0 columns: tqdm leaves the last one free
    with watched() as shown:
        shown.update(Step(1, 1.5, 1e-3, 0.25), 1.5, 1.0)
        shown.evaluated("    " + "sleep and " * 20, [{"step": 1, "loss": 1.5, "val_loss": None}])
    assert capsys.readouterr().out.split() == ["sleep", "and"] * 20


def test_a_state_is_said_when_it_changes(capsys):
    rows = []
    with watched() as shown:
        for step, loss in enumerate([3, 2, 1, 1, 1, 1, 0.5, 0.5], 1):
            rows.append({"step": 10 * step, "loss": loss, "val_loss": loss})
            shown.evaluated(f"step {10 * step}", rows)
    said = [line.split()[-1] for line in capsys.readouterr().out.splitlines()]
    assert said == ["10", "20", "30", "falls", "40", "flat", "50", "60", "70", "falls", "80"]


def test_a_step_has_the_tokens_of_all_its_micro_batches():
    assert tokens_per_step(CONFIG, TRAINING) == 3 * 2 * 8


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
    with announced(file), compiling.notified("a", "FOLDER"), compiling.notified("b", "FOLDER"):
        pass
    assert file.getvalue().count("compiling") == 1 and "FOLDER" in file.getvalue()
