"""The scores of queries and keys."""

import math

TASK = """
A head compares the query of each position t with the key of each position s: their dot product,
over the D channels, divided by sqrt(D). For vectors with entries of variance 1 the product has
variance D, and the quotient has variance 1, so that the softmax begins neither flat nor with all
its weight on one position.
"""
RETURNS = "scores"
WHERE = "autograd.reference.attention"
HINTS = """
A matrix product of q with k, whose last two axes are swapped.
The axis of heads stays first: k.swapaxes(-1, -2), not k.T.
q @ k.swapaxes(-1, -2) / math.sqrt(q.shape[-1])
"""


def scores(q_HTD, k_HSD):
    """Return scores (H, T, S).    q (H, T, D), k (H, S, D): H heads"""
    return q_HTD @ k_HSD.swapaxes(1, 2) / math.sqrt(q_HTD.shape[2])


def cases(rng):
    for shape in ((1, 2, 3), (2, 5, 4)):
        yield {"q_HTD": rng.normal(size=shape), "k_HSD": rng.normal(size=shape)}


FAULTS = {
    "the products are not divided by sqrt(D)": {" / math.sqrt(q_HTD.shape[2])": ""},
    "the products are divided by D, not by its root": {"math.sqrt": ""},
    "the products are multiplied by sqrt(D)": {"/ math.sqrt": "* math.sqrt"},
    "the last two axes of k have to be swapped, and no others (k.T turns the heads, too)":
        {"k_HSD.swapaxes(1, 2)": "k_HSD.T"},
    "each query meets one key only; every t has to meet every s, as in a matrix product":
        {"q_HTD @ k_HSD.swapaxes(1, 2)": "(q_HTD * k_HSD).sum(axis=2)"},
    "the root is of all C channels, and not of the D channels of a head":
        {"math.sqrt(q_HTD.shape[2])": "math.sqrt(q_HTD.shape[0] * q_HTD.shape[2])"},
    "the root is of the number of positions, not of channels": {"shape[2]": "shape[1]"},
    "queries and keys are swapped": {"q_HTD @ k_HSD": "k_HSD @ q_HTD"},
}
