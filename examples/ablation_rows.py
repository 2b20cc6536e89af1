"""The rows of `08_ablations.py`'s figure, each a setting or two away from the base.

A row has one learning rate or several. Of several, all are tried with the first seed, and the other
seeds with the best of them: "each at its own best rate".
"""

from typing import NamedTuple

from ablations import BASE, measured
from laboratory import key, results_of, run

SEEDS = (1, 2, 3)
NORMS = "Norms, at the best rate of each"
AGAIN, EIGHT = "A text read 50 times", "A text read 8 times"
RATES = {  # by the number of blocks
    2: (1e-3, 2e-3, 4e-3, 8e-3),
    4: (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 3.2e-2),
    12: (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2),
}
LEARNING_RATES = (
    1e-5, 1e-4, 5e-4, 1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0,
    300.0, 1000.0,
)
TEXT = 6400  # stories that the base reads
READ_AGAIN = {"stories": TEXT // 50}


class Row(NamedTuple):
    """A row of the figure.

    changes   to the base
    rates     that are tried; none: the one of the changes or of the base
    by        the measurement that is least at the best of them
    """

    group: str
    label: str
    changes: dict
    rates: tuple = ()
    by: str = "excess"

    def trials(self, seed, rates=None):
        rates = rates or self.rates or (self.changes.get("lr", BASE["lr"]),)
        return [BASE | self.changes | {"lr": rate, "seed": seed} for rate in rates]


def _variant(group, label, name, **changes):
    return Row(group, label, {"variant": name, **changes})


def _norms():
    for n_layer in (4, 12):
        for name, variant in (("pre", "GPT"), ("post", "post-norm"), ("no", "no norm")):
            for warm_up in (80, 0):
                yield Row(
                    NORMS,
                    f"{name}-norm, {n_layer} blocks" + ", no warm-up" * (not warm_up),
                    {"variant": variant, "n_layer": n_layer, "warm_up": warm_up},
                    RATES[n_layer],
                )


def _batches():
    for B in (2, 4, 8, 16, 32, 64, 128):
        steps = TEXT // B
        same = {"batch_size": B, "steps": steps, "warm_up": steps // 10}
        by_root = round(BASE["lr"] * (B / 8) ** 0.5, 6)
        if B != 8:
            yield Row("Batches, equal tokens", f"{B} stories", same)
            yield Row("Batches, equal tokens, rate as the root", f"{B} stories at {by_root:g}",
                      same | {"lr": by_root})
            if 2 < B < 64:
                yield Row("Batches, equal steps", f"{B} stories", {"batch_size": B})


ROWS = [
    Row("Base", "GPT: pre-norm, GELU, tied", {}),
    Row("Residuals", "none", {"variant": "no residuals"}, RATES[2]),
    Row("Output", "untied", {"tied": False}),
    Row("Output", "tied, equal parameters", {"n_embd": 72}),
    _variant("Activation", "ReLU", "ReLU"),
    _variant("Activation", "SiLU", "SiLU"),
    Row("Activation", "SwiGLU", {"variant": "SwiGLU"}, RATES[2]),
    Row("Optimizer", "AdamW, no decay", {"decay": 0.0}),
    *(Row("Optimizer", f"Adam, L2 of {decay:g}", {"optimizer": "Adam, L2", "decay": decay})
      for decay in (1e-4, 1e-2, 0.1)),
    Row("Optimizer", "SGD with momentum", {"optimizer": "SGD", "decay": 0.0},
        (0.3, 1.0, 3.0)),
    _variant("Positions", "none", "no positions"),
    _variant("Positions", "sinusoids", "sinusoids"),
    _variant("Positions", "rotary", "rotary"),
    Row("Heads", "1", {"n_head": 1}),
    Row("Heads", "8", {"n_head": 8}),
    _variant("Attention", "scores undivided", "undivided"),
    _variant("Attention", "mask off", "leaking"),
    _variant("Initial weights", "0.2", "weights of 0.2"),
    _variant("Initial weights", "1/√C", "weights of 1/sqrt(C)"),
    _variant("Initial weights", "branches not scaled", "large branches"),
    _variant("Llama's parts", "RMSNorm", "RMSNorm"),
    Row("Llama's parts", "all: Llama", {"variant": "Llama"}, RATES[2]),
    Row("Biases", "in all layers", {"bias": True}),
    Row("Clipping", "off", {"clip": 0.0}),
    Row("Clipping", "on, 3 bad batches", {"bad_batches": 3}),
    Row("Clipping", "off, 3 bad batches", {"bad_batches": 3, "clip": 0.0}),
    Row("Clipping", "off, SGD", {"clip": 0.0, "optimizer": "SGD", "decay": 0.0, "lr": 1.0}),
    *(Row("Depth", f"{n} block{'s' * (n > 1)}", {"n_layer": n}) for n in (1, 4, 8, 12)),
    *(Row(AGAIN, label, READ_AGAIN | changes)
      for label, changes in (
        ("as the base", {}), ("dropout 0.1", {"dropout": 0.1}), ("dropout 0.3", {"dropout": 0.3}),
        ("no decay", {"decay": 0.0}), ("decay of 1", {"decay": 1.0}),
    )),
    *(Row(EIGHT, f"{n} block{'s' * (n > 1)}", {"stories": TEXT // 8, "n_layer": n})
      for n in (2, 1, 12)),
    *_batches(),
    *(Row("Learning rate", f"{rate:g}", {"lr": rate}) for rate in LEARNING_RATES),
    *_norms(),
]


def study(rows, path, workers=None, seeds=SEEDS[1:], known=()):
    """Run what a file lacks: all rows with seed 1 and their rates, then seed by seed the best.

    known   results by `laboratory.key` that a different file has
    """
    def run_missing(trials):
        run([trial for trial in trials if key(trial) not in known], measured, path, workers)
        return dict(known) | results_of(path)

    run_missing(other_trials(rows, run_missing(first_trials(rows)), seeds))


def unique(trials):
    """Return the trials without repetition: a setting may stand in several rows."""
    found = []
    for trial in trials:
        if trial not in found:
            found.append(trial)
    return found


def first_trials(rows):
    """Return everything with the first seed."""
    return unique([trial for row in rows for trial in row.trials(SEEDS[0])])


def other_trials(rows, results, seeds=SEEDS[1:]):
    """The other seeds, of rows with several rates at the best one.    results: key -> result"""
    return unique([
        trial for seed in seeds for row in rows
        for trial in row.trials(seed, best_rate(row, results))
    ])


def best_rate(row, results):
    """The rate that is best with the first seed, in a tuple; none if the row has only one."""
    if not row.rates:
        return ()
    found = {
        trial["lr"]: results[key(trial)][row.by] for trial in row.trials(SEEDS[0])
        if key(trial) in results
    }
    found = {rate: x for rate, x in found.items() if x is not None}
    return (min(found, key=found.get),) if found else row.rates[:1]
