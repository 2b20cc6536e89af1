"""The products of attention's blocks with operands rounded to bfloat16.

The names are those of `autograd.kernels.attention_products`. Scores, weights and sums stay float32;
rounded are q, k, v and dy, and before a product the weights and the gradients of the scores. A
product reads rows and panels of pairs (`autograd.kernels.bf16.pairs`), always of whole blocks:

    scores        rows k, v (keys, D)           panels of q^T, dy^T (D, queries)
    add_keys      rows a^T, dz^T: transposed    panels of v, k (keys, D)
    add_queries   rows a, dz                    panels of dy, q (queries, D)

so on the diagonal all weights of unread keys are made 0. Values that are not finite are multiplied
in float32 there, since 0 times infinity or NaN is NaN.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels import attention_products as in_float32
from autograd.kernels.attention_blocks import Block, empty
from autograd.kernels.attention_mask import BLOCK
from autograd.kernels.attention_products import Operand, all_finite, row_length
from autograd.kernels.bf16 import tile
from autograd.kernels.bf16.pair_tile import pair
from autograd.kernels.bf16.pairs import (
    DEEP,
    WIDTH,
    pack_pairs,
    padded_pairs,
    pairs_side_by_side,
    turn_pairs,
)
from autograd.kernels.bf16.tile import ROOM, multiply_rows
from autograd.kernels.compiler import helper
from autograd.kernels.panels import empty_lines

IN_PLACE = False
HALF = BLOCK // 2  # pairs of a block
open_tiles, close_tiles = tile.open_tiles, tile.close_tiles


class Room(NamedTuple):
    """Memory of a thread for one block, or for one tile of it."""

    pairs: np.ndarray  # not yet in their order: WIDTH rows along D, or DEEP of a block
    sums: np.ndarray
    weights: np.ndarray  # rounded
    panels: np.ndarray  # of keys that are no block of `take_keys`
    values: np.ndarray  # in float32


@helper
def empty_room(D, like):
    return Room(
        empty_lines(max(WIDTH * padded_pairs(D), DEEP * BLOCK + WIDTH), np.uint32),
        empty_lines(ROOM, np.float32),
        empty_lines(BLOCK * HALF, np.uint32),
        _empty_panels(BLOCK, D),
        empty(BLOCK * row_length(D, like), like),
    )


@helper
def empty_keys(S, D, scored, summed, like):
    """Return memory for S rows, and a block that begins with the last; and for panels."""
    rows = empty_lines((S + BLOCK) * padded_pairs(D) * scored, np.uint32)
    return Operand(rows, _empty_panels(S * summed, D))


@helper
def take_keys(x, S, D, operand, room):
    deep = padded_pairs(D)
    if operand.along.size:
        pairs_side_by_side(x.flat, 0, x.step, S, D, operand.along, 0, deep, deep)
    if operand.across.size:
        for s0 in range(0, S, BLOCK):
            panels = operand.across[s0 // BLOCK * _panel_size(D, HALF) :]
            pack_pairs(x.flat, s0 * x.step, x.step, 1, min(BLOCK, S - s0), D, HALF,
                       panels, room.pairs)


@helper
def empty_queries(D, summed, like):
    along = empty_lines(_panel_size(BLOCK, padded_pairs(D)), np.uint32)
    return Operand(along, _empty_panels(BLOCK * summed, D))


@helper
def take_queries(x, t0, n, D, summed, operand, room):
    start = t0 * x.step
    pack_pairs(x.flat, start, 1, x.step, D, n, padded_pairs(D), operand.along, room.pairs)
    if summed:
        pack_pairs(x.flat, start, x.step, 1, n, D, HALF, operand.across, room.pairs)


@helper
def scores(keys_SD, queries, begin, add, block, a_SQ, room):
    s0, keys, D = block.s0, block.keys, block.D
    deep = padded_pairs(D)
    for j in range(0, BLOCK, WIDTH):
        multiply_rows(keys_SD, s0 * deep, deep, queries, j * deep, begin, j, 0, a_SQ, j, BLOCK,
                      deep, keys, min(WIDTH, BLOCK - j), add, room.sums)


@helper
def minus_dots(dy, y, t0, n, D, dots):
    nothing = np.float32(0)
    dy_flat, y_flat = dy.flat, y.flat
    for i in range(t0, t0 + n):
        dy_D, y_D = dy_flat[i * dy.step :][:D], y_flat[i * y.step :][:D]
        dot = nothing
        for d in range(D):
            rounded = np.uint32(pair(nothing, dy_D[d]))  # the upper half of a float32, and zeros
            dot += rounded.view(np.float32) * y_D[d]
        dots[i - t0] = -dot


@helper
def add_keys(a_SQ, block, careful, x, panels, S, y, add, room):
    s0, keys, t0, n, D, diagonal = block
    finite = True
    if diagonal:
        _clear_unread(a_SQ, keys)
        if careful:
            in_float32.copy_rows(x, s0, keys, D, room.values)
            finite = all_finite(room.values[: keys * row_length(D, a_SQ)])
    if not finite:
        block = Block(np.int64(0), keys, t0, n, D, True)
        in_float32.add_keys(a_SQ, block, True, x, room.values, S, y, add, None)
        return
    first = s0 // BLOCK * _panel_size(D, HALF)
    if s0 % BLOCK or keys < min(BLOCK, S - s0):  # not a block of `take_keys`
        pack_pairs(x.flat, s0 * x.step, x.step, 1, keys, D, HALF, room.panels, room.pairs)
        panels, first = room.panels, 0
    for p in range(0, HALF, DEEP):
        turn_pairs(a_SQ, 2 * p * BLOCK, BLOCK, keys - 2 * p, BLOCK, room.weights, p, HALF,
                   room.pairs)
    _add_products(panels, first, n, y, t0, D, add, room)


@helper
def add_queries(a_SQ, block, x_QD, y, add, room):
    s0, keys, _, n, D, diagonal = block
    if diagonal:
        _clear_unread(a_SQ, keys)
    pairs_side_by_side(a_SQ, 0, BLOCK, keys, n, room.weights, 0, HALF, HALF)
    _add_products(x_QD, 0, keys, y, s0, D, add, room)


@helper
def _add_products(panels, first, n, y, y0, D, add, room):
    """y_i (+)= the product of n rows of weights with the panels from `first` on."""
    for j in range(0, D, WIDTH):
        start = y0 * y.step + j
        multiply_rows(room.weights, 0, HALF, panels, first + j * HALF, y.flat, start, y.step,
                      y.flat, start, y.step,
                      HALF, n, min(WIDTH, D - j), add, room.sums)


@helper
def _clear_unread(a_SQ, keys):
    """Write 0 for the queries before the first that reads a key."""
    for i in range(keys):
        for t in range(i):
            a_SQ[i * BLOCK + t] = 0


@helper
def _panel_size(columns, depth):
    return -(-columns // WIDTH) * WIDTH * depth


@helper
def _empty_panels(S, D):
    """Return memory for the panels, as wide as D, of each block of S rows."""
    return empty_lines(-(-S // BLOCK) * _panel_size(D, HALF), np.uint32)
