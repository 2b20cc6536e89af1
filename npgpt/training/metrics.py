"""metrics.csv: one row a step, readable by any program.

    step                optimizer steps done
    loss                nats per token of the batch of that step, before the step
    val_loss            nats per token of the validation text after the step, where evaluated
    val_bits_per_byte   the same in a unit that does not depend on the tokenizer
    lr, grad_norm       learning rate; length of the gradient before clipping
    update_ratio        length of the step over the length of the weights, where it was measured
    seconds             of training since the run's beginning, evaluations left out
"""

import csv
import io
import math
import os
from pathlib import Path

from npgpt.files import atomic_write

COLUMNS = (
    "step", "loss", "val_loss", "val_bits_per_byte", "lr", "grad_norm", "update_ratio", "seconds",
)  # fmt: skip


class Metrics:
    """The rows of a run. They reach the file at `flush`, before the checkpoint they belong to.

    path        metrics.csv
    last_step   a run that continues from this step: later rows, written after the checkpoint it
                continues from, are dropped, since their steps will be taken again
    """

    def __init__(self, path, last_step=0):
        self.path = Path(path)
        self.rows = []
        if last_step and self.path.exists():
            self.rows = [row for row in read_metrics(path) if row["step"] <= last_step]
        self.written = len(self.rows)
        atomic_write(self.path, _as_csv(self.rows, header=True))

    @property
    def seconds(self):
        """Of training, as of the last row."""
        return self.rows[-1]["seconds"] if self.rows else 0.0

    def add(self, step, val_loss, val_bits_per_byte, seconds):
        """A row for a `npgpt.training.loop.Step`; None where nothing was evaluated."""
        cells = (step.step, step.loss, val_loss, val_bits_per_byte, step.lr, step.grad_norm,
                 step.update_ratio, round(seconds, 3))  # fmt: skip
        self.rows.append(dict(zip(COLUMNS, cells, strict=True)))

    def flush(self):
        with open(self.path, "a", encoding="utf-8", newline="") as file:
            file.write(_as_csv(self.rows[self.written :]))
            file.flush()
            os.fsync(file.fileno())  # on disk before the checkpoint that belongs to them
        self.written = len(self.rows)


def read_metrics(path):
    """The rows as dicts of numbers, None for an empty cell; a last line cut short is left out."""
    rows = []
    with open(path, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(line for line in file if line.endswith("\n")):
            if None in row.values() or set(row) != set(COLUMNS):
                break
            rows.append({c: _number(c, row[c]) for c in COLUMNS})
    return rows


def bits_per_byte(nats_per_token, bytes_per_token):
    """A loss as bits for each byte of the text that its tokens stand for.

    >>> bits_per_byte(math.log(256), 1)
    8.0
    """
    return nats_per_token / bytes_per_token / math.log(2)


def _as_csv(rows, header=False):
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    if header:
        writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _number(column, cell):
    if cell == "":
        return None
    return int(cell) if column == "step" else float(cell)
