"""What is said of a run's pace, on a terminal and elsewhere."""

import io
import re
import threading
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from autograd import compiling
from npgpt import GPTConfig
from npgpt.config import TrainConfig
from npgpt.families.size import flops_per_token
from npgpt.run import progress
from npgpt.run.compile_notice import announced
from npgpt.run.estimate import clock, tokens_per_step
from npgpt.run.progress import Progress
from npgpt.train import Step

CONFIG = GPTConfig(vocab_size=5, block_size=8, n_layer=1, n_head=2, n_embd=16)
TRAINING = TrainConfig(max_iters=40, batch_size=3, gradient_accumulation_steps=2)


@pytest.fixture
def time(monkeypatch):
    """A clock that stands still unless it is set."""
    now = [100.0]
    monkeypatch.setattr(progress.time, "perf_counter", lambda: now[0])
    return now


def steps(time, first, seconds):
    for step in range(first + 1, TRAINING.max_iters + 1):
        time[0] += seconds
        yield Step(step, 1.5, 1e-3, 0.25, seconds=seconds)


def test_the_estimate_is_corrected_after_some_steps(time, capsys):
    flops = 3 * flops_per_token(CONFIG) * 48
    with Progress(CONFIG, TRAINING, first_step=10) as shown:
        for step in steps(time, 10, seconds=0.5):
            shown.update(step)
    # 20 steps of 30 are measured, 10 are left.
    rate = f"0.1k tokens/s, {2 * flops / 1e9:.3g} GFLOP/s"
    assert f"time    {rate}; about 0:05 to go" in capsys.readouterr().out


def test_the_first_step_which_loads_kernels_does_not_count(time, capsys):
    pace = iter([9.0, *[0.5] * 39])
    with Progress(CONFIG, TRAINING, first_step=0) as shown:
        for step in range(1, 21):
            time[0] += (seconds := next(pace))
            shown.update(Step(step, 1.5, 1e-3, 0.25, seconds=seconds))
    assert "time    0.1k tokens/s" in (said := capsys.readouterr().out)
    assert said.split("; ")[1] == "about 0:10 to go\n"


def test_without_a_terminal_a_line_is_said_from_time_to_time(time, capsys):
    with Progress(CONFIG, TRAINING, first_step=0) as shown:
        shown.validated = "validation 1.600"
        for step in steps(time, 0, seconds=4.0):
            shown.update(step)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["8/40,", "16/40,", "28/40,", "36/40,"]
    assert lines[0].startswith("step 8/40, 2:08 left, loss 1.500, validation 1.600, ")
    assert lines[0].endswith(" GFLOP/s, |g| 0.25, lr 1.0e-03")


def test_a_terminal_gets_a_sample_that_is_cut_between_words(terminal, capsys):
    sample = "step 3: loss 1.5\n\n    " + "sleep  and dance-step, " * 5 + "\n" + "x" * 70 + "\n"
    for columns in (None, 33):
        if columns:
            terminal(columns)
        with Progress(CONFIG, TRAINING, first_step=0) as shown:
            shown.write_sample(sample)
        lines = capsys.readouterr().out.split("\n")
        assert columns or "\n".join(lines) == sample + "\n"
    assert max(map(len, lines)) <= 33 and lines[:2] == ["step 3: loss 1.5", ""]
    words = [line for line in lines[2:] if "x" not in line and line]
    assert len(words) > 2 and all(line.startswith("    ") for line in words)
    assert " ".join(words).split() == ("sleep and dance-step, " * 5).split()


def test_a_terminal_that_does_not_know_its_width_gets_the_sample_too(terminal, capsys):
    terminal(-1)  # of 0 columns: tqdm leaves the last one free
    with Progress(CONFIG, TRAINING, first_step=0) as shown:
        shown.update(Step(1, 1.5, 1e-3, 0.25, seconds=1.0))
        shown.write_sample("    " + "sleep and " * 20)
    assert capsys.readouterr().out.split() == ["sleep", "and"] * 20


SIZES = st.one_of(st.floats(0, 10), st.floats(0, 1e30, allow_nan=False))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    columns=st.integers(60, 200), total=st.integers(1, 10**8), share=st.floats(0, 1),
    step_seconds=st.floats(1e-4, 1e4), loss=SIZES, grad_norm=SIZES, lr=st.floats(0, 1),
    validated=st.none() | SIZES,
)
def test_the_time_left_is_seen_in_any_terminal(
    time, terminal, columns, total, share, step_seconds, loss, grad_norm, lr, validated
):
    done = max(1, round(share * total))
    screen = terminal(columns)
    training = replace(TRAINING, max_iters=total)
    with Progress(CONFIG, training, first_step=done - 1) as shown:
        if validated is not None:
            shown.validated = f"validation {validated:.3f}"
        time[0] += step_seconds
        shown.update(Step(done, loss, lr, grad_norm, seconds=step_seconds))
        passed = time[0] - shown.started  # rounded as the clock's own seconds are
        shown.bar.refresh()
    line = screen.line()
    left = f"{clock(passed * (total - done))} left"
    assert left in line and f"| {done}/{total}, " in line and len(line) <= columns
    for part in line.split("/", 1)[1].split(", ")[2:]:  # each is whole
        assert re.fullmatch(
            r"loss [\d.]+|validation [\d.]+|[\d.]+k tokens/s|\S+ GFLOP/s|\|g\| [\d.]+|lr \S+", part
        )


def test_a_wide_terminal_has_it_all_and_a_narrow_one_what_matters_most(time, terminal):
    for columns, last in ((60, "k tokens/s"), (80, "GFLOP/s"), (140, "lr 1.0e-03")):
        screen = terminal(columns)
        with Progress(CONFIG, TRAINING, first_step=0) as shown:
            shown.update(next(steps(time, 0, seconds=1.0)))
            shown.bar.refresh()
        assert screen.line().endswith(last)


def test_a_step_has_the_tokens_of_all_its_micro_batches():
    assert tokens_per_step(CONFIG, TRAINING) == 3 * 2 * 8


def test_an_evaluation_in_a_pipe_says_from_time_to_time_how_far_it_is(time, capsys):
    with progress.counting(100_000, "the whole text") as count:
        for _ in range(5):
            time[0] += 6
            count(20_000)
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        "the whole text: 40,000 of 100,000 tokens", "the whole text: 80,000 of 100,000 tokens",
    ] and out == ""


def test_an_evaluation_in_a_terminal_is_a_bar(terminal):
    screen = terminal(80)
    with progress.counting(100_000, "the whole text") as count:
        threading.Event().wait(0.2)  # tqdm draws ten times a second
        count(20_000)
        assert "the whole text:" in screen.line() and "20.0k/100k" in screen.line()


def test_a_terminal_shows_each_kernel_and_its_time_is_none_of_training(terminal, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(compiling.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(compiling.time, "perf_counter", lambda: now[0])
    screen, file = terminal(80), io.StringIO()
    started = compiling.stopwatch()
    with announced(file):
        for kernel, inside in ("attend", None), ("_step", "_share"):
            now[0] += 1
            with compiling.notified(kernel, "FOLDER"):
                now[0] += 5
                assert kernel in screen.line() and (kernel == "attend") == ("0 s" in screen.line())
                if inside:
                    with compiling.notified(inside, "FOLDER"):
                        now[0] += 2
    assert compiling.stopwatch() - started == 2
    assert "6 s: kernel 2, _step" in screen.getvalue() and "kernel 3, _share" in screen.getvalue()
    assert file.getvalue().count("compiling") == 1 and "FOLDER" in file.getvalue()
    assert compiling.listener is None
