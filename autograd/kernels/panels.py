"""Operands in the order in which tiles read them: copied into lines and panels.

A panel is as wide as a tile, [k, column], so that the vectors of each k lie side by side.

copy_panel_row(x, x0, columns, y, y0)
    y[y0 + j] = x[x0 + j]; y is written for a panel's `width` columns, with anything beyond the
    last.
transpose_block(x, x0, x_row, rows, columns, y, y0, y_row)
    y[y0 + j y_row + i] = x[x0 + i x_row + j] for at most `lanes` rows and columns, transposed in
    registers; y is written for all `lanes` of both, with anything beyond the last.
"""

import numpy as np
from numba import types
from numba.extending import intrinsic

from autograd.kernels.compiler import helper
from autograd.kernels.tiles import BYTES, HEIGHTS, LINE, VECTORS
from autograd.kernels.vectors import constants, load_parts, position, store, vector_of


@helper
def empty_lines(size, dtype):
    """Return memory for `size` entries that begins with a line of the cache.

    A vector of 64 bytes across two lines is read twice; a block of AMX takes four times as long.
    """
    x = np.empty(size + LINE, dtype)
    return x[-x.ctypes.data % LINE // x.itemsize :][:size]


@helper
def tile_height(rows):
    """Return the tallest tile that fits."""
    for h in HEIGHTS:
        if h <= rows:
            return h
    return 1


@helper
def pack_rows(x, x0, x_row, rows, depth, panels):
    """Write the rows of x from x0 on as panels[panel, k, row]: side by side, for tiles to read.

    Blocks of `lanes` by `lanes` entries are written whole, with anything beyond the last row and
    the depth: the memory of the last panel must go on for `lanes` more k.
    """
    lanes = BYTES // x.itemsize
    width = VECTORS * lanes
    for i in range(0, rows, lanes):
        start = i // width * width * depth + i % width
        for k in range(0, depth, lanes):
            # What falls beyond the depth of a panel is in the next one, which is written later.
            transpose_block(x, x0 + i * x_row + k, x_row, min(lanes, rows - i),
                            min(lanes, depth - k), panels, start + k * width, width)


@intrinsic
def copy_panel_row(typing, x, x0, columns, y, y0):
    def generate(context, builder, signature, values):
        x, x0, columns, y, y0 = values
        vector = vector_of(context, signature.args[0])
        x_start = position(context, builder, signature.args[0], x, x0)
        y_start = position(context, builder, signature.args[3], y, y0)
        whole = builder.icmp_signed("==", columns, columns.type(VECTORS * vector.count))
        for v in range(VECTORS):
            step = columns.type(v * vector.count)
            inside = builder.sub(columns, step)
            row = load_parts(builder, [builder.gep(x_start, [step])], vector, whole, inside)
            store(builder, *row, builder.gep(y_start, [step]))
        return context.get_dummy_value()

    return types.void(x, types.intp, types.intp, y, types.intp), generate


@intrinsic
def transpose_block(typing, x, x0, x_row, rows, columns, y, y0, y_row):
    def generate(context, builder, signature, values):
        x, x0, x_row, rows, columns, y, y0, y_row = values
        vector = vector_of(context, signature.args[0])
        x_start = position(context, builder, signature.args[0], x, x0)
        y_start = position(context, builder, signature.args[5], y, y0)
        index = rows.type
        last = builder.sub(rows, index(1))
        addresses = []
        for i in map(index, range(vector.count)):  # below the last row, the last once more
            row = builder.select(builder.icmp_signed("<", i, last), i, last)
            addresses.append(builder.gep(x_start, [builder.mul(x_row, row)]))
        whole = builder.icmp_signed("==", columns, index(vector.count))
        block = load_parts(builder, addresses, vector, whole, columns)
        for i, column in enumerate(_transpose(builder, block)):
            store(builder, column, builder.gep(y_start, [builder.mul(y_row, index(i))]))
        return context.get_dummy_value()

    n = types.intp
    return types.void(x, n, n, n, n, y, n, n), generate


def _transpose(builder, rows):
    """Swap the off-diagonal quarters of a square of vectors, then those of every quarter."""
    lanes = len(rows)
    half = lanes // 2
    while half:
        # Lane numbers from `lanes` on mean the second vector of a pair.
        low = constants([i if not i & half else lanes + i - half for i in range(lanes)])
        high = constants([i + half if not i & half else lanes + i for i in range(lanes)])
        swapped = list(rows)
        for i in range(lanes):
            if not i & half:
                swapped[i] = builder.shuffle_vector(rows[i], rows[i + half], low)
                swapped[i + half] = builder.shuffle_vector(rows[i], rows[i + half], high)
        rows = swapped
        half //= 2
    return rows
