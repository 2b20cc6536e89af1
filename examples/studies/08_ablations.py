"""What settings of a training are worth: small GPTs on tales, each with one setting replaced.

    python examples/studies/08_ablations.py              the trainings that are missing, the report

The mask, learning rates, batches, decay, clipping, a text that is read again, and norms of deeper
models, with three seeds each; `12_rows.py` has the other parts, with ten. `ablation_trials.py` is
the training and `ablation_tables.py` the statistics.
"""

from pathlib import Path

from ablation_rows import Row, quick_study, train_missing
from ablation_tables import draw_effects, frame, tables
from laboratory import results_of
from study import FIGURES, into_documents, picture, run_study

RESULTS, REPORT = (Path(__file__).with_suffix(end) for end in (".jsonl", ".md"))
SEEDS = (1, 2, 3)
TRIED = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
LEARNING_RATES = 1e-4, 5e-4, 1e-3, 2e-3, 8e-3, 1.6e-2, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0
USUAL = 1e-4, 5e-4, 0.1  # those compared with the base: usual for large models, and too high
SMALL = {"batch_size": 4, "steps": 1600, "warm_up": 160}  # which reads 6,400 stories, as the base
LARGE = {"batch_size": 32, "steps": 200, "warm_up": 20}
SGD = {"optimizer": "SGD", "decay": 0.0}
AGAIN, FEW = "read 50 times", {"stories": 128}
REGULARIZED = {
    "dropout of 0.1": {"dropout": 0.1}, "dropout of 0.3": {"dropout": 0.3},
    "no decay": {"decay": 0.0}, "decay of 1": {"decay": 1.0},
}


def norms(n_layer, rates):
    """Yield models of so many blocks with each norm, the norms also without warm-up."""
    pre, post, none = (f"{name}, {n_layer} blocks" for name in ("pre-norm", "post-norm", "no norm"))
    cold = ", no warm-up"
    for label, variant, warm_up, beside in (
        (pre, "GPT", 80, ()), (pre + cold, "GPT", 0, (pre,)),
        (post, "post-norm", 80, (pre,)), (post + cold, "post-norm", 0, (pre + cold, post)),
        (none, "no norm", 80, (pre,)),
    ):
        changes = {"variant": variant, "n_layer": n_layer, "warm_up": warm_up}
        yield Row("Tales", label, changes, rates, beside=beside)


ROWS = [
    Row("Tales", "base", {}, beside=()),
    *(Row("Tales", f"rate of {rate:g}", {}, (rate,), beside=("base",) if rate in USUAL else ())
      for rate in LEARNING_RATES),
    Row("Tales", "4 stories a step", SMALL),
    Row("Tales", "32 stories a step", LARGE),
    Row("Tales", "32 stories a step, rate of 0.008", LARGE, (0.008,)),
    Row("Tales", "no decay", {"decay": 0.0}),
    Row("Tales", "decay of 0.0001 in the gradient", {"optimizer": "Adam, L2", "decay": 1e-4}),
    Row("Tales", "decay of 0.1 in the gradient", {"optimizer": "Adam, L2", "decay": 0.1}),
    Row("Tales", "SGD with momentum", SGD, (0.3, 1.0, 3.0)),
    Row("Tales", "SGD, no clipping", SGD | {"clip": 0.0}, (1.0,), beside=()),
    Row("Tales", "no clipping", {"clip": 0.0}),
    Row("Tales", "3 bad batches", {"bad_batches": 3}, beside=()),
    Row("Tales", "3 bad batches, no clipping", {"bad_batches": 3, "clip": 0.0},
        beside=("3 bad batches",)),
    Row("Tales", AGAIN, FEW, beside=()),
    *(Row("Tales", f"{name}, {AGAIN}", FEW | changes, beside=(AGAIN,))
      for name, changes in REGULARIZED.items()),
    *norms(4, (*TRIED, 3.2e-2)),
    *norms(12, TRIED),
    Row("Tales", "no mask", {"variant": "leaking"}, beside=()),
]


def write_report(figures=FIGURES):
    found = frame(ROWS, results_of(RESULTS), SEEDS)
    into_documents(REPORT, tables(found))
    picture(draw_effects, figures / "08_ablations.png", found)


def main(quick=False, figures=FIGURES, workers=None):
    if quick:
        found = frame(*quick_study(ROWS[:3]), SEEDS)
        picture(draw_effects, figures / "08_ablations.png", found)
        return found
    train_missing(ROWS, RESULTS, workers)
    return write_report(figures)


if __name__ == "__main__":
    run_study(__doc__, main, write_report, "tiny models, a few seconds")
