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
    "a position does not read itself": {"<=": "<"},
    "a position reads the one after it, which it has to predict": {"<=": "<= 1 +"},
    "rows and columns are swapped: it reads later positions": {"<=": ">="},
    "True stands for hidden positions": {"<=": ">"},
    "every position is visible": {"<=": "<= T +"},
}
