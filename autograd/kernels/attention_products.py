"""The products of attention's blocks in float32 and float64: tiles in registers.

The loops of attention call a module of these names, this one or
`autograd.kernels.bf16.attention_products`:

    scores        a_st = k_s . q_t, plus begin_t if `add`
    minus_dots    dots_t = -dy_t . y_t, with dy as in the products
    add_keys      y_t (+)= sum_s a_st x_s       x values, or keys in backward
    add_queries   y_s (+)= sum_t a_st x_t       x queries, or gradients of y
    empty_keys, take_keys, empty_queries, take_queries
                  memory for an operand, and a matrix in the layouts that the products read: `along`
                  for those along D (if it is `scored`), `across` for sums over rows (if `summed`)
    empty_room    other memory of a thread
    open_tiles, close_tiles
                  before a thread's first product and after its last

Here rows that a tile reads as vectors are copied to rows of whole vectors (`copy_rows`) or, where
queries have to lie side by side, packed into panels, so that no tile reads beyond the end of an
array, and the rows of a head are near each other. Tiles above the diagonal are skipped.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.attention_blocks import empty
from autograd.kernels.attention_mask import BLOCK
from autograd.kernels.compiler import helper
from autograd.kernels.microkernel import multiply_tile
from autograd.kernels.panels import copy_panel_row, pack_rows, tile_height
from autograd.kernels.tiles import BYTES, VECTORS

IN_PLACE = True  # a single query needs no copies


class Operand(NamedTuple):
    along: np.ndarray
    across: np.ndarray


@helper
def open_tiles():
    pass


close_tiles = open_tiles


@helper
def empty_room(D, like):
    return None


@helper
def empty_keys(S, D, scored, summed, like):
    rows = empty(S * row_length(D, like), like)
    return Operand(rows, rows)


@helper
def take_keys(x, S, D, operand, room):
    copy_rows(x, 0, S, D, operand.along)


@helper
def empty_queries(D, summed, like):
    width = VECTORS * (BYTES // like.itemsize)
    panels = -(-BLOCK // width) * width * (D + BYTES // like.itemsize)
    return Operand(empty(panels, like), empty(BLOCK * row_length(D, like) * summed, like))


@helper
def take_queries(x, t0, n, D, summed, operand, room):
    if summed:  # packed from the copy, whose rows are near each other
        copy_rows(x, t0, n, D, operand.across)
        pack_rows(operand.across, 0, row_length(D, x.flat), n, D, operand.along)
    else:
        pack_rows(x.flat, t0 * x.step, x.step, n, D, operand.along)


@helper
def scores(keys_SD, queries, begin, add, block, a_SQ, room):
    """Compute the tiles with a query that reads a key."""
    s0, keys, _, n, D, diagonal = block
    lanes, row = BYTES // a_SQ.itemsize, row_length(D, a_SQ)
    width = VECTORS * lanes
    i = keys
    while i > 0:  # the last tiles are the tallest, because they have the fewest queries
        height = tile_height(i)
        i -= height
        j = i // lanes * lanes if diagonal else 0  # vectors before it have no reader of key i
        while j < n:
            panel = j // width * width
            end = min(n, panel + width)
            multiply_tile(keys_SD, (s0 + i) * row, row, 1, queries, panel * D + j - panel, width,
                          begin, j, 0, a_SQ, i * BLOCK + j, BLOCK,
                          D, height, end - j, add)
            j = end


@helper
def minus_dots(dy, y, t0, n, D, dots):
    dy_flat, y_flat = dy.flat, y.flat
    for i in range(t0, t0 + n):
        dy_D, y_D = dy_flat[i * dy.step :][:D], y_flat[i * y.step :][:D]
        dot = dots.dtype.type(0)
        for d in range(D):
            dot += dy_D[d] * y_D[d]
        dots[i - t0] = -dot


@helper
def add_keys(a_SQ, block, careful, x, x_SD, S, y, add, room):
    """Take, for a tile of queries, the keys that its last query reads, with weight 0 for the rest.

    0 times infinity or NaN is NaN: if `careful`, such rows are multiplied one query at a time.
    """
    s0, keys, t0, n, D, diagonal = block
    row, c, c_row = row_length(D, a_SQ), y.flat, y.step
    exact = careful and diagonal and not all_finite(x_SD[s0 * row : (s0 + keys) * row])
    i = 0
    while i < n:
        height = 1 if exact else tile_height(n - i)  # slow, but right, and nearly never needed
        depth = min(keys, i + height) if diagonal else keys
        _row_of_tiles(a_SQ, i, 1, BLOCK, x_SD, s0 * row, row, c, (t0 + i) * c_row, c_row,
                      depth, height, D, add)
        i += height


@helper
def add_queries(a_SQ, block, x_QD, y, add, room):
    """Take, for a tile of keys, the queries from the first that reads one on."""
    s0, keys, _, n, D, diagonal = block
    row, c, c_row = row_length(D, a_SQ), y.flat, y.step
    i = 0
    while i < keys:
        height = tile_height(keys - i)
        first = i if diagonal else 0
        _row_of_tiles(a_SQ, i * BLOCK + first, BLOCK, 1, x_QD, first * row, row,
                      c, (s0 + i) * c_row, c_row, n - first, height, D, add)
        i += height


@helper
def _row_of_tiles(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, depth, height, columns, add):
    width = VECTORS * (BYTES // c.itemsize)
    for j in range(0, columns, width):
        multiply_tile(a, a0, a_row, a_col, b, b0 + j, b_row, c, c0 + j, c_row, c, c0 + j, c_row,
                      depth, height, min(width, columns - j), add)


@helper
def row_length(D, like):
    """Return D, rounded up to whole vectors."""
    lanes = BYTES // like.itemsize
    return -(-D // lanes) * lanes


@helper
def copy_rows(x, t0, rows, D, y):
    width, row, x_flat = VECTORS * (BYTES // y.itemsize), row_length(D, y), x.flat
    for i in range(rows):
        for j in range(0, D, width):
            start = (t0 + i) * x.step + j
            copy_panel_row(x_flat, start, min(width, D - j), y, i * row + j)


@helper
def all_finite(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i] * x.dtype.type(0)  # NaN from here on if it is infinite or NaN
    return total == 0
