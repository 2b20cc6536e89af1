"""Clipping by the global norm."""

import numpy as np

TASK = """
Gradient clipping: the gradients of all weights form one long vector. If its norm is above
`longest`, one factor scales all of them down to this norm; otherwise they do not change. So the
direction of the step is preserved. Here there are two weights.
"""
RETURNS = "a b"
WHERE = "npgpt.optim.AdamW.step"
HINTS = """
The length is the root of the sum of all squares, of both arrays.
The factor is longest / length, and never more than 1.
factor = min(1, longest / length); return a * factor, b * factor
"""


def clip(a, b, longest):
    """Scale a and b by one factor, so that their joint norm is at most `longest`."""
    length = np.sqrt((a**2).sum() + (b**2).sum())
    factor = min(1.0, longest / length)
    return a * factor, b * factor


def cases(rng):
    yield {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]]), "longest": 1.0}
    yield {"a": np.array([0.3, 0.0]), "b": np.array([[0.4]]), "longest": 1.0}
    yield {"a": rng.normal(size=(2, 3)), "b": 5 * rng.normal(size=4), "longest": 2.0}


FAULTS = {
    "each gradient is clipped by its own length, which turns the direction of the step":
        {"return a * factor, b * factor":
         "return tuple(x * min(1.0, longest / np.linalg.norm(x)) for x in (a, b))"},
    "each entry is clipped on its own, which turns the direction of the step":
        {"a * factor, b * factor": "a.clip(-longest, longest), b.clip(-longest, longest)"},
    "a short gradient is scaled up": {"min(1.0, ": "("},
    "the longer of the two lengths is taken; the length is that of both arrays as one vector":
        {"np.sqrt((a**2).sum() + (b**2).sum())": "max(np.linalg.norm(a), np.linalg.norm(b))"},
    "the length lacks its root": {"np.sqrt": ""},
    "the lengths of the two are added, instead of their squares":
        {"np.sqrt((a**2).sum() + (b**2).sum())": "np.linalg.norm(a) + np.linalg.norm(b)"},
}
