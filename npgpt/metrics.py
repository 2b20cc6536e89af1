"""metrics.csv: one row a step, readable by any program.

    step                optimizer steps done
    loss                nats per token of the batch of that step, before the step
    val_loss            nats per token of the validation text after the step, where evaluated
    val_bits_per_byte   the same in a unit that does not depend on the tokenizer
    lr, grad_norm       learning rate; length of the gradient before clipping
    update_ratio        length of the step over the length of the weights, where it was measured
    seconds             of training since the run's beginning, without evaluations and compiling

With a reward, `npgpt.reward.draws.Rewarded.measured` adds four columns of the stories of that step,
before it: reward, valid, entropy, kl; and loss is of the policy, in the reward's unit.

result.json has the loss after the last `step`, on as many `tokens` of the validation text, all or
a million drawn, and the best possible loss, `floor`, both in nats per target; null where unknown.
"""

import csv
import io
import math
from pathlib import Path

import numpy as np

from npgpt.files import append, atomic_write, read_json, read_text

COLUMNS = (
    "step", "loss", "val_loss", "val_bits_per_byte", "lr", "grad_norm", "update_ratio", "seconds",
)
REWARD_COLUMNS = ("reward", "valid", "entropy", "kl")
CHUNK = 2_000_000  # ids read at a time
MAY_BE_EMPTY = ("val_loss", "val_bits_per_byte", "update_ratio", "entropy")


def read_result(path, step):
    """Return result.json, {} if it is missing or of another step; ValueError if it is damaged."""
    found = read_json(path) if path.exists() else {}
    if not all(type(value) in (int, float, type(None)) for value in found.values()):
        raise ValueError(f"{path}: a value is not a number; remove it, then train with --resume")
    return found if found.get("step") == step else {}


class Metrics:
    """The rows of a run. They reach the file at `flush`, before the checkpoint they belong to.

    last_step   the step of the checkpoint that a run continues from; later rows are dropped, since
                their steps will be taken again
    missing     the number of steps up to it that have no row
    more        columns of what the objective measures: REWARD_COLUMNS, or none
    """

    def __init__(self, path, last_step=0, more=()):
        self.path, self.columns = Path(path), COLUMNS + more
        self.rows = []
        if last_step and self.path.exists():
            self.rows = read_metrics(path, last_step)
        self.missing = last_step - len(self.rows)
        self.written = len(self.rows)
        atomic_write(self.path, ",".join(self.columns) + "\n" + self._as_csv(self.rows))

    def lowest_at(self, step):
        """Return True if the evaluation after `step` has the lowest loss so far."""
        losses = {row["step"]: row["val_loss"] for row in self.rows if row["val_loss"] is not None}
        return min(losses, key=losses.get, default=None) == step

    def add(self, step, val_loss, val_bits_per_byte, seconds):
        """Add the row of a `npgpt.train.Step`; val_loss and bits are None without an evaluation."""
        cells = (step.step, step.loss, val_loss, val_bits_per_byte, step.lr, step.grad_norm,
                 step.update_ratio, round(seconds, 3), *step.measured.values())
        self.rows.append(dict(zip(self.columns, cells, strict=True)))

    def flush(self):
        append(self.path, self._as_csv(self.rows[self.written :]))
        self.written = len(self.rows)

    def _as_csv(self, rows):
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def read_metrics(path, last_step=math.inf):
    """Return the rows up to `last_step` as dicts of numbers, None for an empty cell.

    A last line cut short is left out. Raises ValueError, with the line, for other columns, for a
    cell that is not a number or is empty where it must not be, and for a step that does not come
    after the step above.
    """
    text = read_text(path)
    reader = csv.reader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    rows, above = [], 0
    try:
        columns = tuple(next(reader, COLUMNS))
        if columns not in (COLUMNS, COLUMNS + REWARD_COLUMNS):
            raise ValueError(f"not just the columns {', '.join(COLUMNS)}, in this order")
        for cells in filter(None, reader):
            step = _number("step", cells[0])
            if step > last_step:
                continue
            if len(cells) != len(columns):
                raise ValueError(f"{len(cells)} cells for {len(columns)} columns")
            if step <= above:
                raise ValueError(f"step {step} does not come after the one above")
            rows.append(dict(zip(columns, map(_number, columns, cells), strict=True)))
            above = step
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"{path}, line {reader.line_num}: {error}; correct it there, or remove the file and go "
            "on without the metrics of the steps before"
        ) from error
    return rows


def _number(column, cell):
    if cell == "" and column in MAY_BE_EMPTY:
        return None
    try:
        number = int(cell) if column == "step" else float(cell)
    except ValueError:
        number = math.nan
    if type(number) is float and not math.isfinite(number):  # no run goes on with such a number
        raise ValueError(f"{column} is {cell[:40]!r}, which is not a number")
    return number


def bits_per_byte(nats_per_token, bytes_per_token):
    """Return a loss in bits for each byte of the text that its tokens stand for.

    >>> bits_per_byte(math.log(256), 1)
    8.0
    """
    return nats_per_token / bytes_per_token / math.log(2)


def bytes_per_token(ids_N, tokenizer):
    """Return the mean bytes of text for each id except the first, which only gives context."""
    lengths_V = np.array([len(token) for token in tokenizer.tokens])
    total = sum(
        int(lengths_V[np.asarray(ids_N[start : start + CHUNK])].sum())
        for start in range(1, len(ids_N), CHUNK)
    )
    return total / max(1, len(ids_N) - 1)


def beside_floor(loss, floor):
    """Return a line: how far a loss is above its `npgpt.batches.Floor`."""
    part = "" if floor.share == 1 else f" (of {floor.share:.1%} of the draws, which are enumerated)"
    level = f"{floor.name} {floor.nats:.4f}{part}"
    if loss >= floor.nats:
        above = f"{loss / floor.nats - 1:.1%}" if floor.nats else f"{loss:.4f} nats"
        return f"{level}: the loss is {above} above it"
    return (
        f"{level}: the loss is {1 - loss / floor.nats:.1%} BELOW it: by chance if the text is "
        "short, or because the model memorised this text or sees what it is to predict"
    )
