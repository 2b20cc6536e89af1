"""A step of AdamW."""

import numpy as np

TASK = """
A step of AdamW, t = 1, 2, ..., for a weight w with gradient g. m and v are running means of g and
of g^2, which begin at 0; dividing by 1 - b^t corrects this bias.

    m <- b1 m + (1 - b1) g              v <- b2 v + (1 - b2) g^2
    w <- w - rate decay w - rate (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

The decay uses w from before the step.
"""
RETURNS = "w m v"
WHERE = "autograd.reference.adamw_"
HINTS = """
Two lines for m and v; and do not change the arrays in place.
The new m and v, not the old, are divided by 1 - b1**t and 1 - b2**t.
w * (1 - rate * decay) - rate * mean / (np.sqrt(square) + eps)
"""


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


FAULTS = {
    "the step leads up: a sign is flipped": {"- rate * mean": "+ rate * mean"},
    "m and v are not divided by 1 - b^t: the first steps are wrong":
        {" / (1 - b1**t)": "", " / (1 - b2**t)": ""},
    "the decay is part of the gradient, as in Adam with L2: dividing by sqrt(v) undoes it":
        {"    m = ": "    g = g + decay * w\n    m = ", " * (1 - rate * decay)": ""},
    "eps is under the root": {"np.sqrt(square) + eps": "np.sqrt(square + eps)"},
    "the decay is applied to w after the step; it uses w from before":
        {"w * (1 - rate * decay) - rate * mean / (np.sqrt(square) + eps)":
         "(w - rate * mean / (np.sqrt(square) + eps)) * (1 - rate * decay)"},
    "the old m and v are divided by 1 - b^t; it has to be the new ones":
        {"    m = ": "    mean, square = m / (1 - b1**t), v / (1 - b2**t)\n    m = ",
         "    mean, square = m / (1 - b1**t), v / (1 - b2**t)\n    return": "    return"},
    "g and g^2 lack the factors 1 - b1 and 1 - b2":
        {"(1 - b1) * g\n": "g\n", "(1 - b2) * g**2": "g**2"},
    "the decay lacks the factor rate": {"(1 - rate * decay)": "(1 - decay)"},
    "m and v are returned divided by 1 - b^t: the next step divides them again":
        {", m, v\n": ", mean, square\n"},
}
