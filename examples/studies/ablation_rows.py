"""The rows of a study: settings a change or two from a base, tried at one learning rate or several.

All rates are tried with seed 1, the other seeds only at the best of them: each row is compared at
its own best rate.
"""

from typing import NamedTuple

from ablation_trials import BASE, measured
from laboratory import key, results_of, run, tried


class Row(NamedTuple):
    """A row of a study.

    changes   to the base
    rates     that are tried
    by        the measurement whose least value makes a rate the best
    beside    labels of the rows that it is compared with
    """

    group: str
    label: str
    changes: dict
    rates: tuple = (BASE["lr"],)
    by: str = "excess"
    beside: tuple = ("base",)

    def trial(self, seed, rate):
        return BASE | self.changes | {"lr": rate, "seed": seed}

    def trials_of_rates(self):
        return [self.trial(1, rate) for rate in self.rates]


def best_rate(row, results):
    """Return the rate best with seed 1: None before all are tried, the first if all diverge."""
    if any(key(trial) not in results for trial in row.trials_of_rates()):
        return None
    found = {trial["lr"]: results[key(trial)][row.by] for trial in row.trials_of_rates()}
    found = {rate: x for rate, x in found.items() if x is not None}
    return min(found, key=found.get, default=row.rates[0])


def train_missing(rows, path, workers=None, seeds=(2, 3), known=()):
    """Run what a file lacks: all rows with seed 1 and their rates, then seed by seed the best.

    known   results by `laboratory.key` that a different file has
    Returns all results, by their keys.
    """
    def run_missing(trials):
        run([trial for trial in trials if key(trial) not in known], measured, path, workers)
        return dict(known) | results_of(path)

    found = run_missing([trial for row in rows for trial in row.trials_of_rates()])
    return run_missing([row.trial(seed, best_rate(row, found)) for seed in seeds for row in rows])


def quick_study(rows):
    """Return (rows at one rate, results of tiny models that are trained for a few steps)"""
    rows = [row._replace(rates=row.rates[:1]) for row in rows]
    trials = [row.trial(seed, *row.rates) for seed in (1, 2, 3) for row in rows]
    return rows, tried(trials, measured, {"steps": 20, "warm_up": 2, "n_embd": 16,
                                          "evaluations": 0})
