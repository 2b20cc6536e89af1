"""A step of AdamW."""

import numpy as np

SECTION = "Training Process"
TASK = """
A step of AdamW, t = 1, 2, ..., for a weight w with gradient g. m and v are running means of g and
of g^2, which begin at 0; dividing by 1 - b^t corrects this bias.

    m <- b1 m + (1 - b1) g              v <- b2 v + (1 - b2) g^2
    w <- w - rate decay w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

The decay uses w from before the step.
"""
RETURNS = ("w", "m", "v")
WHERE = "autograd.reference.adamw_"
HINTS = (
    "Two lines for m and v; and do not change the arrays in place.",
    "The new m and v, not the old, are divided by 1 - b1**t and 1 - b2**t.",
    "w * (1 - rate * decay) - rate * mean / (np.sqrt(square) + eps)",
)


def adamw(w, g, m, v, t, rate, b1, b2, eps, decay):
    """Return w, m, v after the step.    w, g, m, v: arrays of one shape; t counts from 1"""
    m = b1 * m + (1 - b1) * g
    v = b2 * v + (1 - b2) * g**2
    mean, square = m / (1 - b1**t), v / (1 - b2**t)
    return w * (1 - rate * decay) - rate * mean / (np.sqrt(square) + eps), m, v


def cases(rng):
    for t in (1, 7):
        w, g, m, v = rng.normal(size=(4, 3))
        yield {"w": w, "g": g, "m": m * (t > 1), "v": v**2 * (t > 1), "t": t, "rate": 0.1,
               "b1": 0.9, "b2": 0.99, "eps": 1e-3, "decay": 0.2}


def _faulty(mean=True, square=True, l2=False, inside=False, root=True, up=1, decays=True, sq=2):
    def step(w, g, m, v, t, rate, b1, b2, eps, decay):
        g = g + decay * w if l2 else g
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**sq
        first, second = (m / (1 - b1**t) if mean else m), (v / (1 - b2**t) if square else v)
        below = np.sqrt(second + eps) if inside else (np.sqrt(second) if root else second) + eps
        kept = w if l2 or not decays else w * (1 - rate * decay)
        return kept - up * rate * first / below, m, v

    return step


FAULTS = {
    "the step leads up: a sign is flipped": _faulty(up=-1),
    "m and v are not divided by 1 - b^t: the first steps are wrong": _faulty(False, False),
    "m is not divided by 1 - b1^t": _faulty(mean=False),
    "v is not divided by 1 - b2^t": _faulty(square=False),
    "the decay is part of the gradient, as in Adam with L2: dividing by sqrt(v) undoes it":
        _faulty(l2=True),
    "eps is under the root": _faulty(inside=True),
    "it divides by v, and not by its root": _faulty(root=False),
    "there is no weight decay": _faulty(decays=False),
}
