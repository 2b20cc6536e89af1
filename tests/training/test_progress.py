"""What is said of a run's pace, on a terminal and elsewhere."""

import io
import re
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

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


def test_a_terminal_gets_a_sample_that_is_cut_between_words(terminal, capsys):
    sample = "step 3: loss 1.5\n\n    " + "sleep  and dance-step, " * 5 + "\n" + "x" * 70 + "\n"
    for columns in (None, 33):
        if columns:
            terminal(columns)
        with watched() as shown:
            shown.evaluated(sample, [{"step": 3, "loss": 1.5, "val_loss": None}])
        lines = capsys.readouterr().out.split("\n")
        assert columns or "\n".join(lines) == sample + "\n"
    assert max(map(len, lines)) <= 33 and lines[:2] == ["step 3: loss 1.5", ""]
    words = [line for line in lines[2:] if "x" not in line and line]
    assert len(words) > 2 and all(line.startswith("    ") for line in words)
    assert " ".join(words).split() == ("sleep and dance-step, " * 5).split()


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


SIZES = st.one_of(st.floats(0, 10), st.floats(0, 1e30, allow_nan=False))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.integers(60, 200), total=st.integers(1, 10**8), share=st.floats(0, 1),
    step_seconds=st.floats(1e-4, 1e4), loss=SIZES, grad_norm=SIZES, lr=st.floats(0, 1),
)
def test_the_time_left_is_seen_in_any_terminal(
    time, terminal, columns, total, share, step_seconds, loss, grad_norm, lr
):
    done = max(1, round(share * total))
    screen = terminal(columns)
    with watched(done - 1, replace(TRAINING, max_iters=total)) as shown:
        time[0] += step_seconds
        shown.update(Step(done, loss, lr, grad_norm), loss, step_seconds)
        shown.bar.refresh()
    line = screen.line()
    left = f"{clock(step_seconds * (total - done))} left"
    assert left in line and f"| {done}/{total}, " in line and len(line) <= columns
    for part in line.split("/", 1)[1].split(", ")[2:]:  # each is whole
        assert re.fullmatch(
            r"loss [\d.]+|\S+ tokens/s|\|g\| [\d.]+|lr \S+", part
        )


def test_a_wide_terminal_has_it_all_and_a_narrow_one_what_matters_most(time, terminal):
    for columns, last in ((60, " tokens/s"), (70, "|g| 0.25"), (140, "lr 1.0e-03")):
        screen = terminal(columns)
        with watched() as shown:
            shown.update(Step(1, 1.5, 1e-3, 0.25), 1.5, 1.0)
            shown.bar.refresh()
        assert screen.line().endswith(last)


def test_a_step_has_the_tokens_of_all_its_micro_batches():
    assert tokens_per_step(CONFIG, TRAINING) == 3 * 2 * 8


@pytest.fixture
def hurried(monkeypatch):
    """Work is named after hundredths of the seconds."""
    monkeypatch.setattr(waiting, "SECONDS", 0.02)


def until(written, screen):
    """Wait until something is written."""
    for _ in range(1000):
        if written in screen.getvalue():
            return
        threading.Event().wait(0.01)
    raise AssertionError(screen.getvalue())


def test_in_a_pipe_long_work_is_named_once(hurried, monkeypatch):
    """Also while a single part of it takes long."""
    monkeypatch.setattr("sys.stderr", screen := io.StringIO())
    with waiting.progress("the whole text", 100_000):
        until("the whole text", screen)
        threading.Event().wait(0.5)
    with waiting.progress("what takes no time"):
        pass
    assert screen.getvalue() == "the whole text ...\n"


def test_in_a_terminal_long_work_is_a_bar_and_then_gone(hurried, terminal):
    screen = terminal(80)
    with waiting.progress("the whole text", 100_000) as count:
        count(20_000)
        until("20.0k/100k", screen)
        assert "the whole text:" in screen.line()
    assert screen.getvalue().split("\r")[-2].isspace()


def test_a_terminal_shows_each_kernel_and_its_time_is_none_of_training(
    hurried, terminal, monkeypatch
):
    now = [100.0]
    monkeypatch.setattr(compiling, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    screen, file = terminal(80), io.StringIO()
    started = compiling.stopwatch()
    with announced(file):
        for kernel, inside in ("attend", None), ("_step", "_share"):
            now[0] += 1
            with compiling.notified(kernel, "FOLDER"):
                now[0] += 5
                until(f"kernel {kernel}", screen)
                if inside:
                    with compiling.notified(inside, "FOLDER"):
                        now[0] += 2
    assert compiling.stopwatch() - started == 2
    assert file.getvalue().count("compiling") == 1 and "FOLDER" in file.getvalue()
    assert compiling.listener is None
