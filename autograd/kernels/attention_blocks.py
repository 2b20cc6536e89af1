"""The steps of attention on a block that no precision of products changes.

    weights            a_st   = e^((a_st - m_t) / sqrt(D)), forward
    weights_backward   a_st   = e^(a_st / sqrt(D)), and the gradients of the scores

a_SQ is [key, query] with BLOCK entries to a key, and holds `keys` keys and `n` queries. On the
diagonal, query t of the block reads its keys up to t; in other blocks every query reads every key.
Above the diagonal only the vectors that it crosses are computed, and there the weights are made 0.

Beginning a loop over the queries of one key costs as much as the loop. So short loops take TOGETHER
keys at once, and loops that need not know the query take all keys in one.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.addresses import array_at
from autograd.kernels.attention_mask import BLOCK
from autograd.kernels.compiler import helper
from autograd.kernels.register_tile import empty_lines
from autograd.kernels.tiles import BYTES, VECTORS
from autograd.kernels.vector_math import exp

LANES = 16  # queries of a vector, or of a few; no tile has more rows
TOGETHER = 4


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
def begin_sums(dk, dv, first, end, D):
    """Write 0 to the gradients of keys and values that no query before this block has read."""
    dk_flat, dv_flat = dk.flat, dv.flat
    for s in range(first, end):
        dk_D, dv_D = dk_flat[s * dk.step :][:D], dv_flat[s * dv.step :][:D]
        for d in range(D):
            dk_D[d] = dv_D[d] = 0


@helper
def scale_rows(x, t0, rows, D, factor):
    x_flat = x.flat
    for i in range(rows):
        x_D, by = x_flat[(t0 + i) * x.step :][:D], factor[i]
        for d in range(D):
            x_D[d] *= by


@helper
def weights(a_SQ, keys, diagonal, scale, m, total, part, change):
    """Turn scores into weights relative to the maxima so far, m, which are raised if need be.

    change   the factors of earlier weights that follow; `total`, their sums, is multiplied here
    part     memory for the sums of this block

    Entries beyond the last query may be anything, and reach no query.
    """
    if diagonal:
        _hide(a_SQ, keys)
    for i in range(keys * BLOCK, (keys + TOGETHER - 1) // TOGETHER * TOGETHER * BLOCK):
        a_SQ[i] = -np.inf  # beyond the last key, to the next multiple of TOGETHER
    for t in range(BLOCK):
        change[t] = m[t]
    for i in range(0, keys, TOGETHER):
        first = _first_query(i, diagonal)
        a, b = _row(a_SQ, i, first), _row(a_SQ, i + 1, first)
        c, d = _row(a_SQ, i + 2, first), _row(a_SQ, i + 3, first)
        m_Q = m[first:BLOCK]
        for t in range(m_Q.size):
            m_Q[t] = _higher(_higher(_higher(a[t], b[t]), _higher(c[t], d[t])), m_Q[t])
    for t in range(BLOCK):
        change[t] = exp((change[t] - m[t]) * scale)
        total[t] *= change[t]
        part[t] = 0
    for i in range(0, keys, 2):
        first = _first_query(i, diagonal)
        a, b = _row(a_SQ, i, first), _row(a_SQ, i + 1, first)
        m_Q, part_Q = m[first:BLOCK], part[first:BLOCK]
        for t in range(m_Q.size):
            x, y = exp((a[t] - m_Q[t]) * scale), exp((b[t] - m_Q[t]) * scale)
            a[t], b[t] = x, y
            part_Q[t] += x + y
    for t in range(BLOCK):
        total[t] += part[t]


@helper
def _hide(a_SQ, keys):
    """Write score -inf, thus weight 0, for queries that do not read a key of the diagonal."""
    for i in range(keys):
        first = _first_query(i, True)
        a = _row(a_SQ, i, first)[:LANES]
        unread = np.int32(i - first)  # of 32 bits: comparisons fill vectors as float32 does
        for t in range(LANES):
            a[t] = -np.inf if np.int32(t) < unread else a[t]
        _clear_vector_before(a_SQ, i, first)


@helper
def _higher(x, y):
    return x if x > y else y  # skips a NaN in x, which reaches the result as a weight


@helper
def weights_backward(a_SQ, dz_SQ, keys, diagonal, scale):
    """Turn a, scores less lse sqrt(D), into weights, and dz, da less dy . y, into dz / sqrt(D)."""
    if not diagonal:
        for i in range(keys * BLOCK):
            a_st = exp(a_SQ[i] * scale)
            dz_SQ[i] *= a_st * scale
            a_SQ[i] = a_st
        return
    for i in range(keys):
        first = _first_query(i, diagonal)
        _clear_vector_before(a_SQ, i, first)
        _clear_vector_before(dz_SQ, i, first)
        a, dz = _row(a_SQ, i, first), _row(dz_SQ, i, first)
        unread, nothing = np.int32(i - first), a_SQ.dtype.type(0)
        for t in range(a.size):
            a_st = exp(a[t] * scale)
            dz_st = a_st * dz[t] * scale
            a[t] = a_st if np.int32(t) >= unread else nothing
            dz[t] = dz_st if np.int32(t) >= unread else nothing


@helper
def _first_query(i, diagonal):
    """Return the first entry of the vector that has the first query to read key i."""
    return i // LANES * LANES if diagonal else 0


@helper
def _clear_vector_before(a_SQ, i, first):
    """Write weight 0 for queries before `first`: a tile may take in fewer than it has rows."""
    if first > 0:
        a = _row(a_SQ, i, first - LANES)[:LANES]
        for t in range(LANES):
            a[t] = 0


@helper
def _row(a_SQ, i, first):
    """Return the entries of key i, from query `first` on."""
    return a_SQ[i * BLOCK + first :][: BLOCK - first]
