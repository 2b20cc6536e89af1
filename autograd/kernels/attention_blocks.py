"""The steps of attention on a block: BLOCK queries, or the last few, and up to BLOCK keys.

    scores             a_st   = x_s . x_t      x_s rows in memory, x_t rows packed into panels
    add_bias           a_st  += bias_ts sqrt(D)
    hide_masked        a_st   = -inf for a masked key
    weights            a_st   = e^((a_st - m_t) / sqrt(D)), forward
    weights_backward   a_st   = e^(a_st / sqrt(D)), and the gradients of the scores
    add_to_bias        dbias_ts += da_st sqrt(D)
    add_keys           y_t  (+)= sum_s a_st x_s
    add_queries        y_s  (+)= sum_t a_st x_t

a_SQ is [key, query] with BLOCK entries to a key, and holds `keys` keys and `n` queries. On the
diagonal, query t of the block sees its keys up to t; in other blocks every query sees every key.
Of what is above the diagonal only those tiles and vectors are computed that the diagonal crosses,
and there the weights are made 0.

All rows that a tile reads as vectors are first copied to rows of whole vectors (`copy_rows`) or,
where queries have to lie side by side, packed into panels (`register_tile.pack_rows`), so that no
tile reads beyond the end of an array, and the rows of a head are near each other.

A loop over the queries of one key costs as much to begin as to do. So the loops that have to do
little take TOGETHER keys at once, and those that need not know the query take all keys in one.
"""

import numpy as np

from autograd.kernels.compiler import helper
from autograd.kernels.register_tile import copy_panel_row, empty_lines, multiply_tile, tile_height
from autograd.kernels.tiles import BYTES, VECTORS
from autograd.kernels.vector_math import exp

BLOCK = 64  # a multiple of the next two
LANES = 16  # queries of a vector, or of a few; no tile has more rows
TOGETHER = 4


@helper
def row_length(D, like):
    """D up to whole vectors."""
    lanes = BYTES // like.itemsize
    return (D + lanes - 1) // lanes * lanes


@helper
def empty(size, like):
    """Memory for `size` entries, and for a panel's row that is written beyond them."""
    return empty_lines(size + VECTORS * (BYTES // like.itemsize), like.dtype)


@helper
def scores(x_SD, x0, x_row, panels, keys, n, D, diagonal, a_SQ):
    """a_st = x_s . (the row t that was packed), for tiles with a query that sees a key."""
    lanes = BYTES // a_SQ.itemsize
    width = VECTORS * lanes
    i = keys
    while i > 0:  # the last tiles are the tallest, because they have the fewest queries
        height = tile_height(i)
        i -= height
        j = i // lanes * lanes if diagonal else 0
        while j < n:
            panel = j // width * width
            end = min(n, panel + width)
            multiply_tile(x_SD, x0 + i * x_row, x_row, 1, panels, panel * D + j - panel, width,
                          a_SQ, 0, 0, a_SQ, i * BLOCK + j, BLOCK,
                          D, height, end - j, False)  # fmt: skip
            j = end


@helper
def add_keys(a_SQ, keys, n, diagonal, exact, x_SD, x0, x_row, y, y0, y_row, D, add):
    """y_t (+)= sum_s a_st x_s.

    A tile of queries takes the keys that its last query sees, with weight 0 for the others:
    except if `exact`, because 0 times infinity or NaN is NaN.
    """
    i = 0
    while i < n:
        height = 1 if exact else tile_height(n - i)
        depth = min(keys, i + height) if diagonal else keys
        _row_of_tiles(a_SQ, i, 1, BLOCK, x_SD, x0, x_row, y, y0 + i * y_row, y_row,
                      depth, height, D, add)  # fmt: skip
        i += height


@helper
def add_queries(a_SQ, keys, n, diagonal, x_QD, x_row, y, y0, y_row, D, add):
    """y_s (+)= sum_t a_st x_t: a tile of keys takes the queries from the first that sees one on."""
    i = 0
    while i < keys:
        height = tile_height(keys - i)
        first = i if diagonal else 0
        _row_of_tiles(a_SQ, i * BLOCK + first, BLOCK, 1, x_QD, first * x_row, x_row,
                      y, y0 + i * y_row, y_row, n - first, height, D, add)  # fmt: skip
        i += height


@helper
def _row_of_tiles(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, depth, height, columns, add):
    width = VECTORS * (BYTES // c.itemsize)
    for j in range(0, columns, width):
        multiply_tile(a, a0, a_row, a_col, b, b0 + j, b_row, c, c0 + j, c_row, c, c0 + j, c_row,
                      depth, height, min(width, columns - j), add)  # fmt: skip


@helper
def empty_panels(D, like):
    lanes = BYTES // like.itemsize
    width = VECTORS * lanes
    return empty((BLOCK + width - 1) // width * width * (D + lanes), like)


@helper
def copy_rows(x, x0, x_row, rows, D, y, y_row):
    width = VECTORS * (BYTES // x.itemsize)
    for i in range(rows):
        for j in range(0, D, width):
            copy_panel_row(x, x0 + i * x_row + j, min(width, D - j), y, i * y_row + j)


@helper
def minus_dots(x, x0, x_row, y, y0, y_row, rows, D, dots):
    """dots[i] = -x_i . y_i"""
    for i in range(rows):
        x_D, y_D = x[x0 + i * x_row :][:D], y[y0 + i * y_row :][:D]
        dot = dots.dtype.type(0)
        for d in range(D):
            dot += x_D[d] * y_D[d]
        dots[i] = -dot


@helper
def begin_sums(dk, dk_row, dv, dv_row, first, end, D):
    """0 for the gradients of keys and values that no query before this block has seen."""
    for s in range(first, end):
        dk_D, dv_D = dk[s * dk_row :][:D], dv[s * dv_row :][:D]
        for d in range(D):
            dk_D[d] = dv_D[d] = 0


@helper
def scale_rows(x, x0, x_row, rows, D, factor):
    for i in range(rows):
        x_D = x[x0 + i * x_row : x0 + i * x_row + D]
        by = factor[i]
        for d in range(D):
            x_D[d] *= by


@helper
def all_finite(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x.dtype.type(0)
    return total == 0


@helper
def weights(a_SQ, keys, diagonal, scale, m, total, part, change):
    """Scores become weights relative to the maxima so far, m, which are raised if need be.

    `change` is what earlier weights are to be multiplied with for that; the sums of weights so
    far, total, have it already; `part` is room for those of this block. What stands beyond the last
    query of the text is anything, and reaches no other.
    """
    if diagonal:
        _hide(a_SQ, keys)
    for i in range(keys * BLOCK, (keys + TOGETHER - 1) // TOGETHER * TOGETHER * BLOCK):
        a_SQ[i] = -np.inf  # keys that are not there, so that all are TOGETHER
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
    """On the diagonal: score -inf, thus weight 0, for queries that do not see a key."""
    for i in range(keys):
        first = _first_query(i, True)
        a = _row(a_SQ, i, first)[:LANES]
        unseen = np.int32(i - first)
        for t in range(LANES):
            a[t] = -np.inf if np.int32(t) < unseen else a[t]
        _clear_vector_before(a_SQ, i, first)


@helper
def _higher(x, y):
    return x if x > y else y  # not for NaN, which reaches y as a weight


@helper
def weights_backward(a_SQ, dz_SQ, keys, diagonal, scale):
    """a, scores less lse sqrt(D), become weights; dz, da less dy . y, becomes dz / sqrt(D)."""
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
        unseen, nothing = np.int32(i - first), a_SQ.dtype.type(0)
        for t in range(a.size):
            a_st = exp(a[t] * scale)
            dz_st = a_st * dz[t] * scale
            a[t] = a_st if np.int32(t) >= unseen else nothing
            dz[t] = dz_st if np.int32(t) >= unseen else nothing


@helper
def clear_unseen(a_SQ, keys):
    """On the diagonal: 0 for all queries before the first that sees a key."""
    for i in range(keys):
        for t in range(i):
            a_SQ[i * BLOCK + t] = 0


@helper
def hide_masked(a_SQ, keys, mask_BS, b, s0):
    for i in range(min(keys, mask_BS.shape[1])):
        if not mask_BS[b, s0 + i]:
            for t in range(BLOCK):
                a_SQ[i * BLOCK + t] = -np.inf


@helper
def add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale):
    unit = a_SQ.dtype.type(1) / scale
    for t in range(min(n, bias_BHTS.shape[2])):
        bias_S = _scores_of(bias_BHTS, b, h, t0 + t, s0)[:keys]
        for i in range(keys):
            a_SQ[i * BLOCK + t] += bias_S[i] * unit


@helper
def add_to_bias(dz_SQ, keys, n, diagonal, dbias_BHTS, b, h, t0, s0, scale):
    """dz comes divided by sqrt(D), for the gradients of q and k."""
    unit = dz_SQ.dtype.type(1) / scale
    for t in range(min(n, dbias_BHTS.shape[2])):
        dbias_S = _scores_of(dbias_BHTS, b, h, t0 + t, s0)[:keys]
        for i in range(min(keys, t + 1) if diagonal else keys):
            dbias_S[i] += dz_SQ[i * BLOCK + t] * unit


@helper
def _scores_of(bias_BHTS, b, h, t, s0):
    """The entries of a query from key s0 on."""
    B, H, T, S = bias_BHTS.shape
    return bias_BHTS.reshape(-1)[(((b if B > 1 else 0) * H + h) * T + t) * S + s0 :]


@helper
def _first_query(i, diagonal):
    """Where the vector begins that has the first query to see key i."""
    return i // LANES * LANES if diagonal else 0


@helper
def _clear_vector_before(a_SQ, i, first):
    """Weight 0 for queries before `first`: a tile can take in as many of them as it has rows."""
    if first > 0:
        a = _row(a_SQ, i, first - LANES)[:LANES]
        for t in range(LANES):
            a[t] = 0


@helper
def _row(a_SQ, i, first):
    """The entries of key i, from query `first` on."""
    return a_SQ[i * BLOCK + first :][: BLOCK - first]
