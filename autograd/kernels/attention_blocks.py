"""What forward and backward of attention share: the rows of a head, and a block of scores.

a_SQ is [key, query] with BLOCK entries to a key, and holds the scores or weights of a `Block`. On
the diagonal, query t of the block reads its keys up to t; in other blocks every query reads every
key. Above the diagonal only the vectors that it crosses are computed, and there the weights are
made 0.

Beginning a loop over the queries of one key costs as much as the loop. So short loops take two
keys at once, and loops that need not know the query take all keys in one.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.addresses import array_at
from autograd.kernels.attention_mask import BLOCK
from autograd.kernels.compiler import helper
from autograd.kernels.panels import empty_lines
from autograd.kernels.tiles import BYTES, VECTORS

LANES = 16  # queries of a vector, or of a few; no tile has more rows


def table_of(*arrays):
    """Return the address of each array (B, H, T, D), and the bytes between two b, h and t.

    arrays   q, y, k, v, and in backward dq, dy, dk, dv
    """
    rows = [(x.__array_interface__["data"][0], *x.strides[:3]) for x in arrays]
    return np.array(rows, np.int64)


class Rows(NamedTuple):
    """A matrix whose row t begins at t * step of a flat array.

    Take `flat` out before a long loop: each look into a tuple counts references.
    """

    flat: np.ndarray
    step: int


class Block(NamedTuple):
    """`keys` keys from s0 on, `n` queries from t0 on.    diagonal   each reads one key more"""

    s0: int
    keys: int
    t0: int
    n: int
    D: int
    diagonal: bool


@helper
def heads(table, first, z, group, H, G, T, S, D, like):
    """Return four arrays of a table as Rows: two of problem z, two of the group that it reads."""
    a, b = _head(table[first], z, H, T, D, like), _head(table[first + 1], z, H, T, D, like)
    c, d = (table[first + 2], group, G, S, D, like), (table[first + 3], group, G, S, D, like)
    return a, b, _head(*c), _head(*d)


@helper
def _head(row, z, H, T, D, like):
    step, address = row[3] // like.itemsize, row[0] + z // H * row[1] + z % H * row[2]
    return Rows(array_at(address, 0, (T - 1) * step + D, like), step)


@helper
def empty(size, like):
    """Return memory for `size` entries, and for a panel's row that is written beyond them."""
    return empty_lines(size + VECTORS * (BYTES // like.itemsize), like.dtype)


@helper
def first_query(i, diagonal):
    """Return the first entry of the vector that has the first query to read key i."""
    return i // LANES * LANES if diagonal else 0


@helper
def clear_vector_before(a_SQ, i, first):
    """Write weight 0 for queries before `first`: a tile may take in fewer than it has rows."""
    if first > 0:
        a = row(a_SQ, i, first - LANES)[:LANES]
        for t in range(LANES):
            a[t] = 0


@helper
def row(a_SQ, i, first):
    """Return the entries of key i, from query `first` on."""
    return a_SQ[i * BLOCK + first :][: BLOCK - first]
