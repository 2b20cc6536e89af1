"""The rows of a study: settings a change or two from a base, tried at one learning rate or several.

All rates are tried with the seeds that choose, the other seeds only at the best of them: each row
is compared at its own best rate.
"""

from typing import NamedTuple

import numpy as np
from ablation_trials import BASE, measured
from laboratory import key, results_of, run, tried


class Row(NamedTuple):
    """A row of a study.

    changes   to the base
    rates     that are tried
    by        the measurement whose least value makes a rate the best
    beside    labels of the rows that it is compared with
    chosen_by seeds
    """

    group: str
    label: str
    changes: dict
    rates: tuple = (BASE["lr"],)
    by: str = "excess"
    beside: tuple = ("base",)
    chosen_by: tuple = (1,)

    def trial(self, seed, rate):
        return BASE | self.changes | {"lr": rate, "seed": seed}

    def trials_of_rates(self):
        return [self.trial(seed, rate) for seed in self.chosen_by for rate in self.rates]


def by_rate(row, results):
    """Return rate -> the geometric mean of what chooses it, over the seeds that do, infinite where
    one diverged; None before all are tried."""
    if any(key(trial) not in results for trial in row.trials_of_rates()):
        return None
    found = {rate: [results[key(row.trial(seed, rate))][row.by] for seed in row.chosen_by]
             for rate in row.rates}
    return {rate: np.inf if None in x else x[0] if len(x) == 1  # without the mask it is below 0
            else float(np.exp(np.log(x).mean())) for rate, x in found.items()}


def best_rate(row, results):
    """Return the rate best by these means: None before all are tried, the first if all diverge."""
    found = by_rate(row, results)
    return found and min(found, key=found.get)


def train_missing(rows, path, workers=None, seeds=(2, 3), known=()):
    """Run what a file lacks: all rows at all rates with the seeds that choose, then seed by seed
    at the best.

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
