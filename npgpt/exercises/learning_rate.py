"""Warm-up and cosine."""

import math

TASK = """
The learning rate of step 0, 1, 2, ...: in the first `warmup` steps it rises linearly, (step + 1) /
(warmup + 1) of the peak; then it falls along half a cosine, from the peak at step `warmup` to
`lowest` at step `steps`; after that it is constant.
"""
RETURNS = "rate"
WHERE = "npgpt.optim.learning_rate"
HINTS = """
The share of the fall that is behind: 0 at step warmup, 1 at step steps, and never above 1.
(1 + cos(pi * along)) / 2 goes from 1 to 0.
lowest + (peak - lowest) * that
"""


def learning_rate(step, steps, warmup, peak, lowest):
    """Return a number.    step counts from 0"""
    if step < warmup:
        return peak * (step + 1) / (warmup + 1)
    along = min(1.0, (step - warmup) / (steps - warmup))
    return lowest + (peak - lowest) * (1 + math.cos(math.pi * along)) / 2


def cases(rng):
    for step in (0, 9, 10, 40, 100, 130):
        yield {"step": step, "steps": 100, "warmup": 10, "peak": 0.01, "lowest": 0.001}
    yield {"step": 0, "steps": 50, "warmup": 0, "peak": 1.0, "lowest": 0.0}


FAULTS = {
    "step 0 has a rate of 0, and after the last step the cosine rises again":
        {"(step + 1) / (warmup + 1)": "step / warmup", "min(1.0, ": "("},
    "the warm-up divides by warmup, and not by warmup + 1: it is at the peak a step too early":
        {"(warmup + 1)": "warmup"},
    "it falls along a straight line, and not along a cosine":
        {"(1 + math.cos(math.pi * along)) / 2": "(1 - along)"},
    "step 0 has a rate of 0, so nothing is learned in it": {" + 1)": ")"},
    "the cosine is counted from step 0, and jumps where the warm-up ends":
        {"(step - warmup) / (steps - warmup)": "step / steps"},
    "it falls to 0, and not to lowest": {"lowest + (peak - lowest) *": "peak *"},
    "after the last step the cosine rises again": {"min(1.0, ": "("},
    "it is a whole cosine: the rate is back at its peak at the end": {"math.pi": "2 * math.pi"},
}
