"""Which parts of a GPT matter: on rows of letters, written twice, and on tales.

    python -m examples.studies 12_rows              the trainings that are missing, the report

`PLAN.md` has the questions, arms, rates, seeds and tests, written before the first training;
`letter_rows.py` has the text, `variants.py` the models, `ablation_trials.py` the training.
"""

from functools import partial

import arms
from ablation_trials import BASE, ROWS, TINY, entropy, measure  # noqa: F401
from arms import Arm
from intervals import ratio, student
from study import markdown

SEEDS, CHOOSE = range(2, 12), (1, 12, 13)  # of results; seed 1, of FINER all three, choose a rate
ON = {"rows": ROWS, "tales": BASE | {"init": "1/sqrt(C)"}}  # what each text's base is
CHANGES = {
    "base": {},
    "1 block": {"n_layer": 1},
    "4 blocks": {"n_layer": 4},
    "1 head": {"n_head": 1},
    "2 heads": {"n_head": 2},
    "8 heads": {"n_head": 8},
    "1 head, undivided": {"n_head": 1, "variant": "undivided"},
    "4 heads, undivided": {"variant": "undivided"},
    "untied": {"tied": False},
    "SGD": {"optimizer": "SGD", "decay": 0.0},
    "weights of 0.02": {"init": "0.02"},
    "no warm-up": {"warm_up": 0},
} | {name: {"variant": name} for name in (
    "no positions", "rotary", "sinusoids", "no residuals", "post-norm", "no norm", "QK-norm",
    "ReLU", "squared ReLU", "SwiGLU", "Llama")}
BESIDE = {"1 head, undivided": ("1 head",), "base": ()}
TRIED = (1e-3, 2e-3, 4e-3, 8e-3)  # rates; more where the best one was an edge
OTHER_RATES = {
    ("rows", "1 block"): TRIED[1:], ("rows", "no positions"): TRIED[1:],
    ("rows", "1 head, undivided"): TRIED[1:], ("rows", "no residuals"): (5e-4, *TRIED),
    ("rows", "weights of 0.02"): (2.5e-4, 5e-4, *TRIED),
    ("rows", "SGD"): (0.015, 0.03, 0.06, 0.125), ("tales", "SGD"): (0.1, 0.25, 0.5, 1.0, 2.0),
} | {("tales", label): (*TRIED, 1.6e-2) for label in (
    "1 block", "rotary", "post-norm", "no norm", "weights of 0.02", "no warm-up", "Llama")
} | {("tales", label): (*TRIED, 1.6e-2, 3.2e-2) for label in (
    "no positions", "sinusoids", "2 heads")}


ARMS = [Arm(text, label, base | change, OTHER_RATES.get((text, label), TRIED),
            BESIDE.get(label, ("base",)))
        for text, base in ON.items() for label, change in CHANGES.items()]
FINER = [arm._replace(rates=(0.0014, 0.002, 0.0028, 0.004), chosen_by=CHOOSE) for arm in ARMS
         if arm.text == "rows" and arm.label in ("base", "1 head", "2 heads", "8 heads", "ReLU")]
UNTIED = [Arm("rows", "untied", ON["rows"] | CHANGES["untied"], (2e-3,))]

READ = 64, 200, 640, 2000  # tales, which are read until 6,400 are
REPEATED = {(n, dropout): Arm(
    "tales", f"{n} tales, dropout {dropout}", ON["tales"] | {
        "stories": n, "dropout": dropout, "gap": True},
    tuple((1.25e-4 if n < 500 else 1e-3) * 2**i for i in range(7)), (), CHOOSE)
    for n in READ for dropout in (0.0, 0.3)}


def trials(results):
    found = [trial for arm in ARMS + FINER + UNTIED for trial in arm.trials(
        results, SEEDS if (arm.text, arm.label) != ("tales", "SGD") else SEEDS[:5])]
    return found + [trial for arm in REPEATED.values() for trial in arm.trials(results, SEEDS[:5])]


def numbers(results):
    runs, finer, untied = (arms.runs_of(some, results, SEEDS) for some in (ARMS, FINER, UNTIED))
    rows, fine = runs["rows"], finer["rows"]
    again = {at: arm.runs(results, SEEDS) for at, arm in REPEATED.items()}
    return arms.numbers(ARMS, runs) | {
        "finer": {label: ratio(of.excess, fine["base"].excess) for label, of in fine.items()},
        "base_between": ratio(fine["base"].excess, rows["base"].excess),
        "untied_between": [ratio(of["untied"].excess, fine["base"].excess)
                           for of in (rows, untied["rows"])],
        "entropy": {text: entropy(text) for text in ON},
        "repetition": markdown(
            ("tales", "dropout", "times read", "rate", "rates beside it", "n", "excess on others",
             "on those read", "difference"),
            [(n, dropout, 6400 / n, some.rate.iloc[0], some.near.iloc[0], len(some),
              f"{some.excess.mean():.4f}", f"{some.read_excess.mean():.4f}",
              f"{student(some.excess - some.read_excess):.4f}")
             for (n, dropout), some in again.items()]),
        "dropout": {n: ratio(again[n, 0.3].excess, again[n, 0.0].excess) for n in READ},
        "again": again[64, 0.0].mean(numeric_only=True),
    }


draw = partial(arms.draw_effects, ARMS, SEEDS)
