"""Matrices of float32 as pairs of bfloat16 along k, in the order in which tiles read them.

`autograd.kernels.bf16.pair_tile` defines pairs. Operand a becomes rows of pairs, y[i, p], operand b
panels, y[panel, p, column]; p counts pairs, k = 2p. Zeros fill both up to a multiple of DEEP, the
depth of some tiles' blocks. The two numbers of a pair lie side by side if the matrix lies along k,
else one row apart. Then many pairs are made at once, and transposed where rows of a or panels of a
transposed b need it.
"""

import numpy as np

from autograd.kernels.bf16.pair_tile import pair, pair_panel_row, pair_row
from autograd.kernels.compiler import helper
from autograd.kernels.panels import pack_rows, transpose_block
from autograd.kernels.tiles import BYTES, VECTORS

DEEP = 16
LANES = BYTES // 4
WIDTH = VECTORS * LANES


@helper
def padded_pairs(K):
    """Return the number of pairs for K numbers, with the zeros that fill them up."""
    return -(-K // (2 * DEEP)) * DEEP


@helper
def pairs_side_by_side(x, x0, x_row, rows, K, y, y0, y_row, depth):
    """y[i, p] = x[i, 2p] and x[i, 2p + 1], with 0 beyond the K numbers of a row."""
    for i in range(rows):
        for p in range(0, depth, LANES):
            pair_row(x, x0 + i * x_row + 2 * p, K - 2 * p, y, y0 + i * y_row + p)


@helper
def pairs_across(x, x0, x_row, K, columns, y, y0, y_row, y_panel, depth):
    """y[panel, p, j] = x[2p, j] and x[2p + 1, j], with 0 beyond the K rows.

    A panel is WIDTH columns and written whole, with anything beyond the last column.
    """
    nothing = np.float32(0)
    whole = min(K // 2, depth)
    for p in range(whole):
        start, to = x0 + 2 * p * x_row, y0 + p * y_row
        for j in range(0, columns, WIDTH):
            some = min(WIDTH, columns - j)
            pair_panel_row(x, start + j, start + x_row + j, some, y, to)
            to += y_panel
    for p in range(whole, depth):
        last = x[x0 + 2 * p * x_row :][:columns]
        for j in range(columns):
            to = y0 + p * y_row + j // WIDTH * y_panel + j % WIDTH
            y[to] = pair(last[j], nothing) if 2 * p < K else np.uint32(0)


@helper
def pack_pairs(b, b0, b_row, b_column, K, columns, depth, panels, room):
    """Write a block of b as panels[panel, p, column]; the last panel may have columns to spare.

    room   memory for WIDTH rows of `depth` pairs, used if b lies along k
    """
    if b_column == 1:
        pairs_across(b, b0, b_row, K, columns, panels, 0, WIDTH, WIDTH * depth, depth)
        return
    for j in range(0, columns, WIDTH):
        some = min(WIDTH, columns - j)
        pairs_side_by_side(b, b0 + j * b_column, b_column, some, K, room, 0, depth, depth)
        pack_rows(room, 0, depth, some, depth, panels[j * depth :])


@helper
def turn_pairs(x, x0, x_row, K, rows, y, y0, y_row, room):
    """Write DEEP pairs of `rows` rows, y[i, p], from an x whose columns are these rows.

    Blocks of LANES rows are written whole.
    room   memory for DEEP rows of `rows` pairs, and WIDTH more
    """
    pairs_across(x, x0, x_row, K, rows, room, 0, rows, WIDTH, DEEP)
    for i in range(0, rows, LANES):
        for p in range(0, DEEP, LANES):
            transpose_block(room, p * rows + i, rows, LANES, min(LANES, rows - i),
                            y, y0 + i * y_row + p, y_row)
