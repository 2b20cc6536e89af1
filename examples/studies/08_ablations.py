"""What settings of a training are worth: small GPTs on tales, each with one setting replaced.

    python -m examples.studies 08_ablations              the trainings that are missing, the report

The mask, learning rates, batches, decay, clipping, a text that is read again, and norms of deeper
models, with three seeds each; `12_rows.py` has the other parts, with ten.
"""

from functools import partial

import arms
import numpy as np
from ablation_trials import TINY, measure  # noqa: F401
from arms import Arm
from intervals import student

SEEDS = (1, 2, 3)
TRIED = (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)
USUAL = 1e-4, 5e-4, 0.1  # rates compared with the base: usual for large models, and too high
OTHERS = 1e-3, 2e-3, 8e-3, 1.6e-2, 0.03, 0.3, 1.0, 3.0, 10.0, 30.0
SMALL = {"batch_size": 4, "steps": 1600, "warm_up": 160}  # which reads 6,400 stories, as the base
LARGE = {"batch_size": 32, "steps": 200, "warm_up": 20}
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
        yield Arm("tales", label, changes, rates, beside)


ARMS = [
    Arm("tales", "base", {}, beside=()),
    *(Arm("tales", f"rate of {rate:g}", {}, (rate,), ("base",) if rate in USUAL else ())
      for rate in USUAL + OTHERS),
    Arm("tales", "4 stories a step", SMALL),
    Arm("tales", "32 stories a step", LARGE),
    Arm("tales", "32 stories a step, rate of 0.008", LARGE, (0.008,)),
    Arm("tales", "no decay", {"decay": 0.0}),
    Arm("tales", "decay of 0.0001 in the gradient", {"optimizer": "Adam, L2", "decay": 1e-4}),
    Arm("tales", "decay of 0.1 in the gradient", {"optimizer": "Adam, L2", "decay": 0.1}),
    Arm("tales", "SGD, no clipping", {"optimizer": "SGD", "decay": 0.0, "clip": 0.0}, (1.0,), ()),
    Arm("tales", "no clipping", {"clip": 0.0}),
    Arm("tales", "3 bad batches", {"bad_batches": 3}, beside=()),
    Arm("tales", "3 bad batches, no clipping", {"bad_batches": 3, "clip": 0.0},
        beside=("3 bad batches",)),
    Arm("tales", AGAIN, FEW, beside=()),
    *(Arm("tales", f"{name}, {AGAIN}", FEW | changes, beside=(AGAIN,))
      for name, changes in REGULARIZED.items()),
    *norms(4, (*TRIED, 3.2e-2)),
    *norms(12, TRIED),
    Arm("tales", "no mask", {"variant": "leaking"}, beside=()),
]


def trials(results):
    return [trial for arm in ARMS for trial in arm.trials(results, SEEDS)]


def numbers(results):
    runs = arms.runs_of(ARMS, results, SEEDS)
    excess = {label: some.excess for label, some in runs["tales"].items()}
    costs = {n: np.log(excess[f"post-norm, {n} blocks"] / excess[f"pre-norm, {n} blocks"])
             for n in (4, 12)}
    found = arms.numbers(ARMS, runs)
    return found | {"compared": len(found["effects"]["tales"]),
                    "depth": student(costs[12] - costs[4]), "leak": -excess["no mask"].mean()}


draw = partial(arms.draw_effects, ARMS, SEEDS)
