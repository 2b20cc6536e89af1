"""How to train: AdamW beside SGD, and a text that is read again.

    python examples/studies/14_training.py            what is missing, and the report

`PLAN.md` has these questions, 6 and 9, written before the first training; the models and texts are
those of `12_rows.py`.
"""

import importlib
from itertools import chain, product
from pathlib import Path

import study
from ablation_trials import measured as measure  # noqa: F401
from arms import Arm
from intervals import ratio, student
from study import markdown

parts = importlib.import_module("12_rows")
ROWS = (study.rows_of(parts),)
SEEDS, CHOOSE = parts.SEEDS, parts.CHOOSE  # of results, and those that choose a rate
TINY = parts.TINY
RATES = {
    ("rows", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3),
    ("tales", "AdamW"): (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2),
    ("rows", "SGD"): (0.015, 0.03, 0.06, 0.125), ("tales", "SGD"): (0.1, 0.25, 0.5, 1.0, 2.0),
}
LENGTHS = {"rows": (1000, 4000), "tales": (800, 3200)}
READ, DROPOUT = (64, 200, 640, 2000), (0.0, 0.3)  # tales, which are read until 6,400 are


def optimizers(text, name, steps):
    """Return the arms of an optimizer, one for each decay."""
    decays = (0.0,) if name == "SGD" else (0.0, 0.1)
    return [Arm(text, f"decay {decay:g}", parts.ON[text] | {
        "optimizer": name, "steps": steps, "warm_up": steps // 10, "decay": decay},
        RATES[text, name], (), CHOOSE) for decay in decays]


OPTIMIZERS = {(text, name, steps): optimizers(text, name, steps)
              for text, name in RATES for steps in LENGTHS[text]}
REPEATED = {
    (n, dropout): Arm("tales", f"{n}, {dropout}", parts.ON["tales"] | {
        "stories": n, "dropout": dropout, "gap": True},
        tuple((1.25e-4 if n < 500 else 1e-3) * 2**i for i in range(7)), (), CHOOSE)
    for n, dropout in product(READ, DROPOUT)}


def chosen(results):
    """Yield (group, its arm of the least excess at its best rate), once all are tried."""
    for group, arms in OPTIMIZERS.items():
        if None not in (tried := [arm.least(results) for arm in arms]):
            yield group, arms[tried.index(min(tried))]


def trials(results):
    every = [*chain(*OPTIMIZERS.values()), *REPEATED.values()]
    found = [trial for arm in every for trial in arm.trials(results, ())]
    for arm in [*dict(chosen(results)).values(), *REPEATED.values()]:
        found += arm.trials(results, SEEDS if arm.text == "rows" else SEEDS[:5])
    return found


def numbers(results):
    arms, again = dict(chosen(results)), {at: arm.runs(results, SEEDS)
                                          for at, arm in REPEATED.items()}
    runs = {group: arm.runs(results, SEEDS) for group, arm in arms.items()}
    return {
        "optimizers": markdown(
            ("text", "steps", "optimizer", "decay", "rate", "rates beside it", "n", "excess"),
            [(text, f"{steps:,}", name, arms[text, name, steps].changes["decay"],
              some.rate.iloc[0], some.near.iloc[0], len(some), f"{some.excess.median():.4f}")
             for (text, name, steps), some in sorted(runs.items())]),
        "repetition": markdown(
            ("tales", "dropout", "times read", "rate", "rates beside it", "n", "excess on others",
             "on those read", "gap"),
            [(n, dropout, 6400 / n, some.rate.iloc[0], some.near.iloc[0], len(some),
              f"{some.excess.mean():.4f}", f"{some.read_excess.mean():.4f}",
              f"{student(some.excess - some.read_excess):.4f}")
             for (n, dropout), some in again.items()]),
        "sgd": {f"{text} {steps}": ratio(runs[text, "SGD", steps].excess,
                                         runs[text, "AdamW", steps].excess)
                for text in LENGTHS for steps in LENGTHS[text]},
        "dropout": {n: ratio(again[n, 0.3].excess, again[n, 0.0].excess) for n in READ},
        "again": {n: again[n, 0.0].mean(numeric_only=True) for n in READ},
        "excess": {f"{text} {name} {steps}": some.excess.median()
                   for (text, name, steps), some in runs.items()},
    }


if __name__ == "__main__":
    study.main(Path(__file__).stem)
