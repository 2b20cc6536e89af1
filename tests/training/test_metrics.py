"""metrics.csv: no row of a run is dropped without a word."""

import pytest

from npgpt.metrics import COLUMNS, Metrics, read_metrics
from npgpt.train import Step


@pytest.fixture
def path(tmp_path):
    metrics = Metrics(tmp_path / "metrics.csv")
    for step in range(1, 6):
        metrics.add(Step(step, 2.5, 0.001, 0.5), 2.25 if step == 4 else None, None, step / 2)
    metrics.flush()
    return metrics.path


def edit(path, change):
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    path.write_text("".join(change(lines)), encoding="utf-8")


def test_columns_that_are_not_ours_are_kept(path):
    edit(path, lambda x: ["note," + x[0], *(f'"a, {i}",{row}' for i, row in enumerate(x[1:]))])
    metrics = Metrics(path, last_step=4)
    assert [row["step"] for row in metrics.rows] == [1, 2, 3, 4] and metrics.missing == 0
    metrics.add(Step(5, 2.5, 0.001, 0.5), None, None, 2.5)
    metrics.flush()
    rows = read_metrics(path)
    assert [row["note"] for row in rows] == ["a, 0", "a, 1", "a, 2", "a, 3", ""]
    assert list(rows[0]) == ["note", *COLUMNS]


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (0, "loss,val_loss", "loss", "line 1: no column val_loss"),
        (0, "grad_norm", "lr", "line 1: no column grad_norm"),
        (0, "seconds", "seconds,lr", "line 1: a column is there twice"),
        (2, "2,2.5,", "2,,", "line 3: loss is '', which is not a number"),
        (2, "2,2.5,", ",2.5,", "line 3: step is '', which is not a number"),
        (2, "2,2.5,", "2,high,", "line 3: loss is 'high', which is not a number"),
        (2, "2,2.5,", "2,nan,", "line 3: loss is 'nan', which is not a number"),
        (2, ",1.0\n", ",inf\n", "line 3: seconds is 'inf', which is not a number"),
        (2, "2,2.5,", "1,2.5,", "line 3: step 1 does not come after the one above"),
        (1, "1,2.5,", "-5,2.5,", "line 2: step -5 does not come after the one above"),
        (3, "3,2.5,", "1,2.5,", "line 4: step 1 does not come after the one above"),
        (2, "2,2.5,", "-" + "9" * 400 + ",2.5,", "line 3: step -9+ does not come"),
        (2, ",1.0\n", "\n", "line 3: 7 cells for 8 columns"),
        (2, ",1.0\n", ",1.0,\n", "line 3: 9 cells for 8 columns"),
        (2, "2,2.5,", "2,2.5" + "0" * 200_000 + ",", "line 3: field larger than field limit"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_line(path, line, old, new, message):
    edit(path, lambda x: [*x[:line], x[line].replace(old, new), *x[line + 1 :]])
    before = path.read_bytes()
    assert new.encode() in before
    with pytest.raises(ValueError, match=f"metrics.csv, {message}.*; correct it there"):
        Metrics(path, last_step=4)
    assert path.read_bytes() == before


@pytest.mark.parametrize("change", [
    lambda lines: [*lines[:2], *lines[3:]],  # a row less
    lambda lines: [*lines[:2], "\n", *lines[3:]],
    lambda lines: ["\ufeff", *lines[:2], *lines[3:]],  # as a spreadsheet of Windows saves it
    lambda lines: [x.replace("\n", "\r\n") for x in (*lines[:2], *lines[3:])],
])
def test_the_rows_beside_a_missing_one_are_kept(path, change):
    edit(path, change)
    metrics = Metrics(path, last_step=4)
    assert [row["step"] for row in metrics.rows] == [1, 3, 4] and metrics.missing == 1
    assert [row["step"] for row in read_metrics(path)] == [1, 3, 4]


def test_without_the_file_all_steps_are_missing(tmp_path):
    assert Metrics(tmp_path / "metrics.csv", last_step=4).missing == 4
    assert Metrics(tmp_path / "metrics.csv").missing == 0
