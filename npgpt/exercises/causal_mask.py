"""The causal mask."""

import numpy as np

TASK = """
In a model that continues a text, position t reads positions 0 to t, including itself; it has to
predict the later ones. Write this mask: row t says which positions s it may read.
"""
RETURNS = "mask"
WHERE = "autograd.reference.attention"
HINTS = """
The first row has one True, the last has all True.
np.arange(T) gives t as a column, [:, None], and s as a row, [None, :]: compare them.
np.tri(T) is a triangle of ones.
"""


def causal_mask(T):
    """Return a boolean array (T, T), True where position t (row) may read position s (column)."""
    return np.arange(T)[None, :] <= np.arange(T)[:, None]


def cases(rng):
    for T in (4, 1, 7):
        yield {"T": T}


FAULTS = {
    "these are the right positions, as numbers: make them True and False, for instance by > 0":
        {"return ": "return 1.0 * (", "[:, None]": "[:, None])"},
    "this is a mask to add to scores (0 and -inf); here True and False are wanted":
        {"return ": "return np.where(", "[:, None]": "[:, None], 0, -np.inf)"},
    "a position does not read itself": {"<=": "<"},
    "a position reads the one after it, which it has to predict": {"<=": "<= 1 +"},
    "rows and columns are swapped: it reads later positions": {"<=": ">="},
    "True stands for hidden positions": {"<=": ">"},
    "every position is visible": {"<=": "<= T +"},
}
