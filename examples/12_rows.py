"""Which parts of a GPT matter, on a text that needs them: rows of letters, written twice.

    python examples/12_rows.py              the trainings that are missing, then table and picture
    python examples/12_rows.py --report     table and picture from the numbers that are there
    python examples/12_rows.py --quick      a few steps of tiny models

`studies/PLAN.md` has the questions, arms, rates, seeds and tests, written before the first
training; `rows.py` has the text, `ablations.py` the training.
"""

from pathlib import Path

import numpy as np
from ablations import ROWS, measured
from laboratory import kept, key, run

RESULTS = Path(__file__).with_suffix(".jsonl")
UNDIVIDED = {"variant": "undivided"}
ARMS = {  # question -> name of the arm -> changes to ROWS
    "parts": {
        "base": {},
        "1 block": {"n_layer": 1},
        "1 head": {"n_head": 1},
        "no positions": {"variant": "no positions"},
        "no residuals": {"variant": "no residuals"},
        "1 head, undivided": {"n_head": 1} | UNDIVIDED,
        "4 heads, undivided": UNDIVIDED,
    },
}
RATES, SEEDS = (0.5, 1, 2), range(2, 12)
RULE = {"AdamW": 4e-3, "SGD": 1.0, "Muon": 2e-2}


def trial(changes, factor, seed):
    lr = RULE[changes.get("optimizer", "AdamW")] * factor
    return ROWS | changes | {"lr": round(lr, 8), "seed": seed}


def best_rate(changes, results):
    """Return (the factor of the rate with the least excess for seed 1, the factors to try next).

    results    `laboratory.key` of the settings -> what was measured
    """
    tried = {f: results.get(key(trial(changes, f, 1))) for f in (1 / 16, 1 / 8, 1 / 4, *RATES, 4, 8)}
    excess = {f: r["excess"] or np.inf for f, r in tried.items() if r}
    if any(f not in excess for f in RATES):
        return None, [f for f in RATES if f not in excess]
    best = min(excess, key=excess.get)
    edge = best in (min(excess), max(excess))
    further = [f for f in tried if f not in excess and f in (best * 2, best / 2)]
    return best, further if edge else []


def study(arms, seeds=SEEDS, path=RESULTS, workers=None):
    """Run what is missing of the arms: all with seed 1 and their rates, then all with seed 2 ..."""
    while True:
        results = {key(row["settings"]): row["result"] for row in kept(path)}
        missing = [trial(c, f, 1) for c in arms.values() for f in best_rate(c, results)[1]]
        if not missing:
            break
        run(missing, measured, path, workers)
    best = {name: best_rate(changes, results)[0] for name, changes in arms.items()}
    run([trial(changes, best[name], seed) for seed in seeds for name, changes in arms.items()],
        measured, path, workers)
