"""metrics.csv: no row of a run is dropped without a word, and none is written that is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import Tensor, compiling
from npgpt import AdamW
from npgpt.support.metrics import Metrics, StepTimer, best_row, read_metrics
from npgpt.train import Step


@pytest.fixture
def path(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv")
    for step in range(1, 6):
        metrics.add(Step(step, 2.5, 0.001, 0.5), step / 2, None, 2.25 if step == 4 else None)
    metrics.flush()
    return metrics.path


@pytest.mark.parametrize(("old", "new", "fact"), [
    (b"loss,val_loss", b"val_loss", "line 1: .*column loss"),
    (b"\n2,2.5,", b"\n2,nan,", "line 3: loss"),
    (b",1.0\n", b"\n", "line 3: seconds"), (b",1.0\n", b",1.0,\n", "line 3: None"),
])
def test_what_cannot_be_read_is_refused_with_its_line(path, old, new, fact):
    content = path.read_bytes().replace(old, new)
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"metrics.csv, {fact}"):
        Metrics(path, last_step=4)
    assert path.read_bytes() == content


def test_the_rows_beside_a_missing_one_are_kept(path):
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:2], b"\r\n", *lines[3:]]))
    metrics = Metrics(path, last_step=4)
    assert [row["step"] for row in metrics.rows] == [1, 3, 4] and metrics.missing == 1
    assert read_metrics(path) == metrics.rows
    path.unlink()
    assert Metrics(path, last_step=4).missing == 4


def test_the_best_evaluation_has_most_answers_right_then_the_lowest_loss():
    rows = [{"val_loss": loss, "answers": right} for loss, right in [
        (1.0, 0.5), (None, None), (3.0, 0.75), (2.0, 0.75), (4.0, 0.75)]]
    assert best_row(rows) == rows[3] and best_row(rows[:3]) == rows[2]
    assert best_row([{"val_loss": 2.0}, {"val_loss": 1.0}]) == {"val_loss": 1.0}
    assert best_row(rows[1:2]) is None


numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers
rows = st.lists(st.tuples(numbers, maybe, maybe, numbers, numbers, maybe, numbers), max_size=8)


@given(rows=rows, last=st.integers(0, 8), cut=st.integers(0, 26))
def test_metrics_come_back_and_a_continued_run_drops_later_rows(tmp_path_factory, rows, last, cut):
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    metrics = Metrics(path)
    for step, (loss, val_loss, grammar_loss, lr, grad_norm, ratio, seconds) in enumerate(rows, 1):
        metrics.add(Step(step, loss, lr, grad_norm), seconds, ratio, val_loss, None, grammar_loss)
        if step % 2:
            metrics.flush()
    metrics.flush()
    # A crash while later rows were being written
    with open(path, "ab") as file:
        file.write(b"99,0.5,,,,0.1,0.2,,1.5e-05\n"[:cut])
    assert read_metrics(path) == metrics.rows
    assert Metrics(path, last).rows == read_metrics(path) == metrics.rows[:last]


def test_a_step_has_no_time_of_compiling_or_between_steps_and_every_tenth_a_length(monkeypatch):
    now, weight, found = [100.0], Tensor(np.zeros(2)), []
    monkeypatch.setattr(compiling, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    optimizer = AdamW({"w": weight})

    def steps():
        for optimizer.steps in range(1, 12):
            weight.data += [0.6, 0.8]
            now[0] += 2.0
            with compiling.notified("kernel", None):
                now[0] += 30.0
            yield optimizer.steps

    timer = StepTimer(optimizer)
    for _ in steps():
        found.append([*timer.stop()])
        now[0] += 500.0  # an evaluation
        timer.start()
    # The length is relative to that of the weights, which is 0 at first.
    assert found == [[2.0, None]] * 10 + [[2.0, pytest.approx(0.1)]]
