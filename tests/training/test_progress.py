"""What is said of a run's pace, on a terminal and elsewhere."""

import doctest

import pytest

from npgpt import GPTConfig
from npgpt.config import TrainConfig
from npgpt.model.size import flops_per_token
from npgpt.training import estimate, metrics, progress
from npgpt.training.estimate import expected_seconds, peak_flops, tokens_per_step
from npgpt.training.loop import Step
from npgpt.training.progress import Progress

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
    with Progress(CONFIG, TRAINING, first_step=10, peak=8 * flops, seconds=5.0) as shown:
        for step in steps(time, 10, seconds=0.5):
            shown.update(step)
    # A step of 1/8 of the peak's second takes 0.5 s; 20 of 30 are measured, 10 are left.
    assert "time    0.1k tokens/s, 25% of peak; about 0:05 to go" in capsys.readouterr().out
    assert shown.seconds == 5.0 + 30 * 0.5


def test_without_a_terminal_a_line_is_said_from_time_to_time(time, capsys):
    with Progress(CONFIG, TRAINING, first_step=0, peak=1e9) as shown:
        shown.validated = " validation 1.600"
        for step in steps(time, 0, seconds=4.0):
            shown.update(step)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("step ")]
    assert [line.split()[1] for line in lines] == ["8/40", "16/40", "28/40", "36/40"]
    assert lines[0].startswith("step 8/40 loss 1.500 validation 1.600 lr 1.0e-03 |g| 0.25, ")
    assert lines[0].endswith("2:08 left")


def test_a_step_has_the_tokens_of_all_its_micro_batches():
    assert tokens_per_step(CONFIG, TRAINING) == 3 * 2 * 8
    flops = 3 * flops_per_token(CONFIG) * 48
    assert expected_seconds(CONFIG, TRAINING, 10, peak=flops / estimate.EXPECTED_SHARE) == 10


def test_the_peak_is_that_of_the_fastest_product(monkeypatch):
    peak_flops(size=64, seconds=0)  # compiles, with a look at the clock
    # begin; then for each of three products: is there time left, its start, its end; no time left
    clock = iter([0, 0, 0, 1, 1, 1, 1.25, 1.25, 1.25, 1.75, 2])
    monkeypatch.setattr(estimate.time, "perf_counter", lambda: next(clock))
    assert peak_flops(size=64, seconds=2) == 2 * 64**3 / 0.25


@pytest.mark.parametrize("module", [estimate, metrics])
def test_docstrings(module):
    assert doctest.testmod(module).failed == 0
