"""How to train: optimizers to the floor, how large a batch, a text that is read again.

    python examples/14_training.py              the trainings of two seeds that are missing, the report
    python examples/14_training.py --all        of all ten seeds
    python examples/14_training.py --report     tables and picture from the numbers that are there
    python examples/14_training.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions 6, 8 and 9, written before the first training.
"""

import importlib
from pathlib import Path

from ablation_rows import Row
from ablations import BASE, ROWS

twelve = importlib.import_module("12_rows")
RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
TALES = BASE | {"init": "1/sqrt(C)"}
LONG = {"Rows": {"steps": 4000, "warm_up": 400}, "Tales": {"steps": 3200, "warm_up": 320}}
RATES = {
    "Rows": {"AdamW": (1e-3, 2e-3, 4e-3), "Muon": (0.005, 0.01, 0.02, 0.04),
             "SGD": (0.03, 0.06, 0.125)},
    "Tales": {"AdamW": (1e-3, 2e-3, 4e-3, 8e-3), "Muon": (0.01, 0.02, 0.04),
              "SGD": (0.1, 0.25, 0.5, 1.0)},
}


def optimizer_arms():
    for text, base, longer in (("Rows", ROWS, LONG["Rows"]), ("Tales", TALES, LONG["Tales"])):
        for steps in ({}, longer):
            for name, rates in RATES[text].items():
                for decay in (0.0, 0.1) if name != "SGD" and text == "Rows" else (
                    (0.0,) if name == "SGD" else (0.1,)):
                    changes = base | steps | {"optimizer": name, "decay": decay}
                    label = f"{name}, decay {decay:g}, {changes['steps']:,} steps"
                    yield Row(text, label, changes, rates)


BATCHES = tuple(2**n for n in range(8))
GOAL = {"goal": 0.2, "steps": 8000, "evaluations": 0}
BATCH_ARMS = [
    Row("Batches", f"{B}", ROWS | GOAL | {"batch_size": B},
        tuple(round(0.004 * (B / 8) ** 0.5 * factor, 6) for factor in (0.5, 1, 2)))
    for B in BATCHES
]
READ = (64, 200, 640, 2000)
REPEATED = [
    Row("Repetition", f"{n} tales, dropout {dropout:g}",
        TALES | {"stories": n, "dropout": dropout, "gap": True}, (1e-3, 2e-3, 4e-3, 8e-3))
    for n in READ for dropout in (0.0, 0.3)
]
OPTIMIZERS = list(optimizer_arms())
