"""The products of attention, between a block of numbers a_SQ and rows of D numbers, as tiles.

a_SQ is [key, query] with QUERIES numbers to a key, and holds `keys` keys and `n` queries. `offset`
says what is above the diagonal: key i of the block is seen by its queries from offset + i on. Of
tiles that are wholly above it none is computed; what a tile on it takes in is in the docstrings.

    scores        a_st  = x_s . x_t      x_s rows in memory, x_t rows packed into panels
    add_keys      y_t (+)= sum_s a_st x_s
    add_queries   y_s  += sum_t a_st x_t

All rows that a tile reads as vectors are first copied to rows of whole vectors (`copy_rows`) or,
where queries have to lie side by side, packed into panels (`pack_rows`), so that no tile reads
beyond the end of an array, and the rows of a head are near each other.
"""

import numpy as np

from autograd.kernels.compiler import helper
from autograd.kernels.register_tile import (
    copy_panel_row,
    multiply_tile,
    tile_height,
    transpose_block,
)
from autograd.kernels.tiles import BYTES, ROWS, VECTORS

QUERIES = 64
KEYS = 8 * ROWS


@helper
def row_length(D, like):
    """D up to whole panels."""
    width = VECTORS * (BYTES // like.itemsize)
    return (D + width - 1) // width * width


@helper
def scores(x_SD, x0, x_row, panels, keys, n, D, offset, a_SQ):
    """a_st = x_s . (the row t that was packed), for tiles with a query that sees a key."""
    width = VECTORS * (BYTES // a_SQ.itemsize)
    i = 0
    while i < keys:
        height = tile_height(keys - i)
        for j in range(max(0, offset + i) // width * width, n, width):
            multiply_tile(x_SD, x0 + i * x_row, x_row, 1, panels, j * D, width,
                          a_SQ, i * QUERIES + j, QUERIES,
                          D, height, min(width, n - j), False)  # fmt: skip
        i += height


@helper
def add_keys(a_SQ, keys, n, offset, exact, x_SD, x0, x_row, y, y0, y_row, D, add):
    """y_t (+)= sum_s a_st x_s.

    A tile of queries takes the keys that its last query sees, with weight 0 for the others:
    except if `exact`, because 0 times infinity or NaN is NaN.
    """
    i = 0
    while i < n:
        height = 1 if exact else tile_height(n - i)
        depth = min(keys, i + height - offset)
        if depth > 0:
            _row_of_tiles(a_SQ, i, 1, QUERIES, x_SD, x0, x_row, y, y0 + i * y_row, y_row,
                          depth, height, D, add)  # fmt: skip
        i += height


@helper
def add_queries(a_SQ, keys, n, offset, x_QD, x_row, y, y0, y_row, D):
    """y_s += sum_t a_st x_t: a tile of keys takes the queries from the first that sees one on."""
    i = 0
    while i < keys:
        height = tile_height(keys - i)
        first = max(0, offset + i)
        _row_of_tiles(a_SQ, i * QUERIES + first, QUERIES, 1, x_QD, first * x_row, x_row,
                      y, y0 + i * y_row, y_row, n - first, height, D, True)  # fmt: skip
        i += height


@helper
def _row_of_tiles(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, depth, height, columns, add):
    width = VECTORS * (BYTES // c.itemsize)
    for j in range(0, columns, width):
        multiply_tile(a, a0, a_row, a_col, b, b0 + j, b_row, c, c0 + j, c_row,
                      depth, height, min(width, columns - j), add)  # fmt: skip


@helper
def empty_panels(D, like):
    lanes = BYTES // like.itemsize
    width = VECTORS * lanes
    return np.empty((QUERIES + width - 1) // width * width * (D + lanes), like.dtype)


@helper
def copy_rows(x, x0, x_row, rows, D, y, y_row):
    width = VECTORS * (BYTES // x.itemsize)
    for i in range(rows):
        for j in range(0, D, width):
            copy_panel_row(x, x0 + i * x_row + j, min(width, D - j), y, i * y_row + j)


@helper
def pack_rows(x, x0, x_row, rows, D, panels):
    """Rows side by side: panels[panel, d, row]."""
    lanes = BYTES // x.itemsize
    width = VECTORS * lanes
    for j in range(0, rows, lanes):
        start = j // width * width * D + j % width
        for d in range(0, D, lanes):
            transpose_block(x, x0 + j * x_row + d, x_row, min(lanes, rows - j), min(lanes, D - d),
                            panels, start + d * width, width)  # fmt: skip


@helper
def dot_rows(x, x0, x_row, y, y0, y_row, rows, D, out):
    for i in range(rows):
        x_D, y_D = x[x0 + i * x_row :][:D], y[y0 + i * y_row :][:D]
        dot = x.dtype.type(0)
        for d in range(D):
            dot += x_D[d] * y_D[d]
        out[i] = dot


@helper
def scale_rows(x, x0, x_row, rows, D, factor):
    for i in range(rows):
        x_D = x[x0 + i * x_row : x0 + i * x_row + D]
        for d in range(D):
            x_D[d] *= factor[i]


@helper
def all_finite(x, x0, x_row, rows, D):
    total = x.dtype.type(0)
    for i in range(rows):
        x_D = x[x0 + i * x_row : x0 + i * x_row + D]
        for d in range(D):
            total += x_D[d] * x.dtype.type(0)
    return total == 0
