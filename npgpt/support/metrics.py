"""metrics.csv: one row a step, readable by any program.

    step                optimizer steps done
    loss                nats per token of the batch of that step, before the step
    val_loss            nats per token of the validation text after the step, where evaluated
    val_bits_per_byte   the same in a unit that does not depend on the tokenizer
    grammar_loss        as val_loss, of the grammar that wrote the tales, on the same tokens
    lr, grad_norm       learning rate; length of the gradient before clipping
    update_ratio        length of the step over the length of the weights, where it was measured
    seconds             of training since the run's beginning, without evaluations and compiling

With a reward, `npgpt.reward.draws.Rewarded.measured` adds four columns of the stories of that step,
before it: reward, valid, entropy, kl; and loss is of the policy, in the reward's unit. If it is for
answers, an evaluation adds `answers`, the share of all questions and requests that are
answered right, `stories`, that of requests, and `story_entropy`, in nats per right story.

result.json has the loss after the last `step`, on as many `tokens` of the validation text, all or
a million drawn, and `grammar_loss` on the same tokens, both in nats per target; null where unknown.
"""

import csv
import io
import math
from pathlib import Path

import numpy as np

from autograd.compiling import stopwatch
from npgpt.support.files import append, atomic_write, read_json, read_text

COLUMNS = (
    "step", "loss", "val_loss", "val_bits_per_byte", "grammar_loss", "lr", "grad_norm",
    "update_ratio", "seconds",
)
REWARD_COLUMNS = ("reward", "valid", "entropy", "kl")
ANSWER_COLUMNS = ("answers", "stories", "story_entropy")
UPDATE_RATIO_STEPS = 10  # steps from one measurement of the update to the next
UPDATE_RATIO_WEIGHTS = 1 << 20  # compared for it; more would show in the time between steps
CHUNK_IDS = 2_000_000  # ids read at a time
OPTIONAL_COLUMNS = ("val_loss", "val_bits_per_byte", "grammar_loss", "update_ratio", "entropy",
                    *ANSWER_COLUMNS)
MAX_CHANCE_NATS = math.log(1000)  # nats below the grammar that only one text in 1,000 allows


def read_result(path, step):
    """Return result.json as a dict, {} if it is missing or has a different step."""
    found = read_json(path) if path.exists() else {}
    return found if found.get("step") == step else {}


class Metrics:
    """The rows of a run. They reach the file at `flush`, before the checkpoint they belong to.

    last_step   the step of the checkpoint that a run continues from; later rows are dropped, since
                their steps will be taken again
    missing     the number of steps up to it that have no row
    more        columns of what the objective measures, such as REWARD_COLUMNS, or none
    """

    def __init__(self, path, last_step=0, more=()):
        self.path, self.columns = Path(path), COLUMNS + more
        self.rows = []
        if last_step and self.path.exists():
            self.rows = read_metrics(path, last_step)
        self.missing = last_step - len(self.rows)
        self.written = len(self.rows)
        atomic_write(self.path, ",".join(self.columns) + "\n" + self._as_csv(self.rows))

    def best_at(self, step):
        """Return True if the evaluation after `step` is the best so far."""
        return (best_row(self.rows) or {}).get("step") == step

    def add(
        self, step, seconds, update_ratio=None,
        val_loss=None, val_bits_per_byte=None, grammar_loss=None,
    ):
        """Add the row of a `npgpt.train.Step`; the last three are None without an evaluation."""
        cells = (step.step, step.loss, val_loss, val_bits_per_byte, grammar_loss, step.lr,
                 step.grad_norm, update_ratio, round(seconds, 3), *step.measured.values())
        self.rows.append(dict(zip(self.columns, cells, strict=True)))

    def flush(self):
        append(self.path, self._as_csv(self.rows[self.written :]))
        self.written = len(self.rows)

    def _as_csv(self, rows):
        text = io.StringIO()
        csv.DictWriter(text, self.columns, lineterminator="\n").writerows(rows)
        return text.getvalue()


def best_row(rows):
    """Return the row of the best evaluation, None if there is none: the most answers right where
    they are counted, then the lowest loss."""
    return min((row for row in rows if row["val_loss"] is not None), default=None,
               key=lambda row: (-(row.get("answers") or 0), row["val_loss"]))


def read_metrics(path, last_step=math.inf):
    """Return the rows up to `last_step` as dicts of numbers, None for an empty cell.

    A last line cut short is left out. Raises ValueError, with the line, for a column that is
    missing and a cell that is not a number, or is empty where it must not be.
    """
    text, rows = read_text(path), []
    reader = csv.DictReader(io.StringIO(text[: text.rfind("\n") + 1], newline=""))
    try:
        if missing := {*COLUMNS} - {*(reader.fieldnames or COLUMNS)}:
            raise ValueError(f"it has no column {', '.join(missing)}")
        for cells in reader:
            row = {column: _number(column, cell) for column, cell in cells.items()}
            if row["step"] <= last_step:
                rows.append(row)
    except (ValueError, csv.Error) as error:
        raise ValueError(
            f"{path}, line {reader.reader.line_num}: {error}; correct it there, or remove the file "
            "and go on without the metrics of the steps before"
        ) from error
    return rows


def _number(column, cell):
    if cell == "" and column in OPTIONAL_COLUMNS:
        return None
    try:
        number = int(cell) if column == "step" else float(cell)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):  # no run goes on with such a number
        raise ValueError(f"{column} is {cell!r}, which is not a number")
    return number


class StepTimer:
    """Measures a training step between `start` and `stop`: what is done outside does not count."""

    def __init__(self, optimizer):
        self.optimizer = optimizer
        self.start()

    def start(self):
        due = self.optimizer.steps % UPDATE_RATIO_STEPS == 0
        self.before = _weight_sample(self.optimizer.parameters) if due else None
        self.started = stopwatch()

    def stop(self):
        """Return (seconds without compiling, update ratio or None)."""
        seconds = stopwatch() - self.started
        if self.before is None:
            return seconds, None
        change = _weight_sample(self.optimizer.parameters) - self.before
        # Not a product by NumPy's BLAS: its threads would spin for a while afterwards.
        length = np.sum(self.before**2)
        return seconds, math.sqrt(np.sum(change**2) / length) if length else None


def _weight_sample(parameters):
    """Return a copy of about UPDATE_RATIO_WEIGHTS weights, evenly from all of them, in float64."""
    # Every n-th may fall on the same columns of a matrix; for one ratio in a log that will do.
    step = -(-sum(weight.size for weight in parameters.values()) // UPDATE_RATIO_WEIGHTS)
    samples = [weight.data.reshape(-1)[::step] for weight in parameters.values()]
    return np.concatenate(samples, dtype=np.float64)


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
        int(lengths_V[np.asarray(ids_N[start : start + CHUNK_IDS])].sum())
        for start in range(1, len(ids_N), CHUNK_IDS)
    )
    return total / max(1, len(ids_N) - 1)


def beside_grammar(loss, grammar):
    """Return words that set a loss beside the `npgpt.batches.GrammarLoss` on the same tokens.

    The likelihood that a model gives to a text, over the grammar's, has the mean 1 over the texts
    that the grammar writes. So on one in n of them at most, a model that has not seen the text is
    more than ln n nats below the grammar.
    """
    part = "" if grammar.share == 1 else f" (of the {grammar.share:.1%} that it derives)"
    above, hidden = loss - grammar.least, grammar.least - grammar.nats
    share = f" ({abs(above) / grammar.least:.1%})" if abs(above) < grammar.least else ""
    words = (f"the grammar loses {'' if grammar.exact else 'about '}{grammar.nats:.4f} on the same "
             f"tokens{part}")
    if hidden >= 0.001:  # what windows cost that overlap is less
        words += (f", and {grammar.least:.4f} if it sees no more than the model's windows: they "
                  f"cost {hidden:.4f}, and next to nothing where they overlap (eval --stride)")
    words += f"; the model is {abs(above):.4f}{share}"
    if above >= 0:
        return f"{words} above"
    if (grammar.nats - loss) * grammar.targets > MAX_CHANCE_NATS:
        return (f"{words} below: a model that has not seen this text is so low by a chance of at "
                "most 1 in 1,000")
    return f"{words} below, as may be by chance"
