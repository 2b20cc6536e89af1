"""metrics.csv: no row of a run is dropped without a word, and none is written that is refused."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import compiling
from npgpt import GPT, AdamW, GPTConfig, TrainConfig
from npgpt.metrics import Metrics, best_row, measured, read_metrics
from npgpt.train import Step, training_steps


@pytest.fixture
def path(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv")
    for step in range(1, 6):
        metrics.add(Step(step, 2.5, 0.001, 0.5), step / 2, None, 2.25 if step == 4 else None)
    metrics.flush()
    return metrics.path


@pytest.mark.parametrize(("line", "old", "new", "message"), [
    (0, "loss,val_loss", "val_loss", "line 1: .*column loss"),
    (2, "2,2.5,", ",2.5,", "line 3: step"), (2, "2,2.5,", "2,nan,", "line 3: loss"),
    (2, ",1.0\n", "\n", "line 3: seconds"), (2, ",1.0\n", ",1.0,\n", "line 3: None"),
])
def test_what_cannot_be_read_is_refused_with_its_line(path, line, old, new, message):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[line] = lines[line].replace(old, new)
    path.write_text("".join(lines), encoding="utf-8")
    before = path.read_bytes()
    assert new.encode() in before
    with pytest.raises(ValueError, match=f"metrics.csv, {message}"):
        Metrics(path, last_step=4)
    assert path.read_bytes() == before


def test_the_rows_beside_a_missing_one_are_kept(path):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_bytes("".join([*lines[:2], "\r\n", *lines[3:]]).encode())
    metrics = Metrics(path, last_step=4)
    assert [row["step"] for row in metrics.rows] == [1, 3, 4] and metrics.missing == 1
    assert [row["step"] for row in read_metrics(path)] == [1, 3, 4]


def test_without_the_file_all_steps_are_missing(tmp_path):
    assert Metrics(tmp_path / "metrics.csv", last_step=4).missing == 4
    assert Metrics(tmp_path / "metrics.csv").missing == 0


def test_the_best_evaluation_has_most_answers_right_then_the_lowest_loss():
    rows = [{"val_loss": loss, "answers": right} for loss, right in [
        (1.0, 0.5), (None, None), (3.0, 0.75), (2.0, 0.75), (4.0, 0.75)]]
    assert best_row(rows) == rows[3] and best_row(rows[:3]) == rows[2]
    assert best_row([{"val_loss": row["val_loss"]} for row in rows]) == {"val_loss": 1.0}
    assert best_row(rows[1:2]) is None


numbers = st.floats(allow_nan=False, allow_infinity=False)
maybe = st.none() | numbers
rows = st.lists(st.tuples(numbers, maybe, maybe, numbers, numbers, numbers), max_size=8)


@given(rows=rows, last=st.integers(0, 8), cut=st.integers(0, 26))
def test_metrics_come_back_and_a_continued_run_drops_later_rows(tmp_path_factory, rows, last, cut):
    path = tmp_path_factory.mktemp("metrics") / "metrics.csv"
    metrics = Metrics(path)
    for step, (loss, val_loss, grammar_loss, lr, grad_norm, seconds) in enumerate(rows, 1):
        metrics.add(Step(step, loss, lr, grad_norm), seconds, None, val_loss, None, grammar_loss)
        if step % 2:
            metrics.flush()
    metrics.flush()
    assert read_metrics(path) == metrics.rows
    # A crash while later rows were being written
    with open(path, "ab") as file:
        file.write(b"99,0.5,,,,0.1,0.2,,1.5e-05\n"[:cut])
    assert read_metrics(path) == metrics.rows
    continued = Metrics(path, last_step=last) if last else None
    if continued:
        assert continued.rows == metrics.rows[:last]
        assert read_metrics(path) == continued.rows


def test_the_rows_of_a_model_whose_weights_are_zero_are_read(tmp_path):
    """Its steps have no length relative to the weights."""
    model = GPT(GPTConfig(vocab_size=5, block_size=4, n_layer=1, n_head=1, n_embd=4))
    for weight in model.parameters().values():
        weight.data[...] = 0
    metrics = Metrics(tmp_path / "metrics.csv")
    ids = np.arange(50) % 5
    optimizer = AdamW(model.parameters())
    steps = training_steps(model, optimizer, ids, TrainConfig(max_iters=2))
    for step, seconds, update_ratio in measured(steps, optimizer):
        metrics.add(step, seconds, update_ratio)
    metrics.flush()
    assert read_metrics(metrics.path) == metrics.rows


def test_a_step_takes_neither_the_time_of_compiling_nor_that_between_steps(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(compiling, "time", SimpleNamespace(perf_counter=lambda: now[0]))

    def steps():
        for step in range(3):
            now[0] += 2.0
            with compiling.notified("kernel", None):
                now[0] += 30.0
            yield step

    optimizer, found = AdamW(GPT(GPTConfig(5, 4, 1, 1, 4)).parameters()), []
    for _, seconds, _ in measured(steps(), optimizer):
        found.append(seconds)
        now[0] += 500.0  # an evaluation
    assert found == [2.0, 2.0, 2.0]
