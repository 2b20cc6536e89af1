"""Which parts of a GPT matter: on rows of letters, written twice, and on tales.

    python examples/studies/12_rows.py              what is missing of two seeds, the report
    python examples/studies/12_rows.py --all        of all ten seeds

`PLAN.md` has the questions, arms, rates, seeds and tests, written before the first training;
`letter_rows.py` has the text, `variants.py` the models, `ablation_trials.py` the training, and
`ablation_tables.py` the statistics.
"""

from functools import cache
from pathlib import Path

import letter_rows
from ablation_rows import Row, quick_study, train_missing
from ablation_tables import at_best_rates, draw_effects, frame, tables
from ablation_trials import BASE, ROWS, stories
from laboratory import results_of
from study import FIGURES, into_documents, picture, run_study

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS, CHOOSE = range(2, 12), (1, 12, 13)  # of results; seed 1, of FINER all three, choose a rate

ON = {"Rows": ROWS, "Tales": BASE | {"init": "1/sqrt(C)"}}  # what each text's base is
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
    "weights of 0.02": {"init": "0.02"},
    "no warm-up": {"warm_up": 0},
} | {name: {"variant": name} for name in (
    "no positions", "rotary", "sinusoids", "no residuals", "post-norm", "no norm", "QK-norm",
    "ReLU", "squared ReLU", "SwiGLU", "Llama")}
DEEP = {"8 blocks": {"n_layer": 8}, "8 blocks, post-norm": {"n_layer": 8, "variant": "post-norm"}}
BESIDE = {"1 head, undivided": ("1 head",)} | dict.fromkeys(("base", *DEEP), ())
TRIED = (1e-3, 2e-3, 4e-3, 8e-3)  # rates; more where the best one was an edge
OTHER_RATES = {
    ("Rows", "1 block"): TRIED[1:], ("Rows", "no positions"): TRIED[1:],
    ("Rows", "1 head, undivided"): TRIED[1:], ("Rows", "no residuals"): (5e-4, *TRIED),
    ("Rows", "weights of 0.02"): (2.5e-4, 5e-4, *TRIED), ("Rows", "8 blocks"): TRIED[:3],
    ("Rows", "8 blocks, post-norm"): (2.5e-4, 5e-4, *TRIED[:3]),
} | {("Tales", label): (*TRIED, 1.6e-2) for label in (
    "1 block", "rotary", "post-norm", "no norm", "weights of 0.02", "no warm-up", "Llama")
} | {("Tales", label): (*TRIED, 1.6e-2, 3.2e-2) for label in (
    "no positions", "sinusoids", "2 heads")}


def arms_on(text, changes):
    return [Row(text, label, ON[text] | change, OTHER_RATES.get((text, label), TRIED),
                beside=BESIDE.get(label, ("base",)))
            for label, change in changes.items()]


ARMS = arms_on("Rows", CHANGES | DEEP)
TALES = arms_on("Tales", CHANGES)
FINER = [row._replace(rates=(0.0014, 0.002, 0.0028, 0.004), chosen_by=CHOOSE) for row in ARMS
         if row.label in ("base", "1 head", "2 heads", "8 heads", "ReLU")]


@cache
def entropy(text):
    """Return nats per token: of all rows, of the tales that are measured on."""
    if text == "Rows":
        nats, length = letter_rows.expectation()
        return nats / length
    test = stories("test")
    return test.nats_N.sum() / (test.y_NT >= 0).sum()


def write_report(figures=FIGURES):
    known = results_of(RESULTS)
    found = frame(ARMS + TALES, known, SEEDS)
    into_documents(REPORT, tables(found) | {"finer": at_best_rates(frame(FINER, known, SEEDS))})
    picture(draw_effects, figures / "12_rows.png", found)


def main(quick=False, figures=FIGURES, extra=False, workers=None):
    if quick:
        found = frame(*quick_study(ARMS[:3] + TALES[:3]), SEEDS)
        picture(draw_effects, figures / "12_rows.png", found)
        return found
    train_missing(ARMS + TALES + FINER, RESULTS, workers, SEEDS if extra else SEEDS[:2])
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds", "all ten seeds")
