"""The micro-kernel as plain loops, for processors whose vectors `tiles` does not know.

The functions and their arguments are those of `autograd.kernels.microkernel`.
"""

import numpy as np
from numba import types
from numba.extending import overload

from autograd.kernels.compiler import FASTMATH, helper
from autograd.kernels.microkernel import lower, pair, upper
from autograd.kernels.tiles import BYTES, VECTORS

LANES = BYTES // 4
WIDTH = VECTORS * LANES


@helper
def multiply_tile(
    a, a0, a_row, a_col, b, b0, b_row, s, s0, s_row, c, c0, c_row, depth, height, columns, add
):
    for k in range(depth):
        b_k = b[b0 + k * b_row : b0 + k * b_row + columns]
        for i in range(height):
            a_ik = a[a0 + i * a_row + k * a_col]
            c_i = c[c0 + i * c_row : c0 + i * c_row + columns]
            s_i = s[s0 + i * s_row : s0 + i * s_row + columns] if k == 0 else c_i
            for j in range(columns):
                term = _product(a_ik, b_k[j])
                c_i[j] = s_i[j] + term if k > 0 or add else term


multiply_streamed = multiply_tile


def _product(a, b):
    """a b; of two pairs, the sum of both products; b may be stored in fewer bytes."""


@overload(_product, jit_options={"fastmath": FASTMATH, "error_model": "numpy"})
def _product_of(a, b):
    if a == types.uint32:
        return lambda a, b: lower(a) * lower(b) + upper(a) * upper(b)
    return lambda a, b: a * widened(b)


def widened(b):
    """What is stored in fewer bytes than a float32, as a float32."""


@overload(widened, jit_options={"error_model": "numpy"})
def _widened(b):
    if b == types.uint16:
        return lambda b: np.uint32(np.uint32(b) << np.uint32(16)).view(np.float32)
    if b == types.int8:
        return lambda b: np.float32(b)  # noqa: PLW0108 (Numba takes a function of Python)
    return lambda b: b


@helper
def copy_panel_row(x, x0, columns, y, y0):
    for j in range(columns):
        y[y0 + j] = x[x0 + j]


@helper
def stream_row(x, x0, y, y0):
    for j in range(WIDTH):
        y[y0 + j] = x[x0 + j]


@helper
def finish_streams():
    pass


@helper
def pair_panel_row(x, low0, high0, columns, y, y0):
    for j in range(columns):
        y[y0 + j] = pair(x[low0 + j], x[high0 + j])


@helper
def pair_row(x, x0, count, y, y0):
    nothing = np.float32(0)
    for p in range(LANES):
        low = x[x0 + 2 * p] if 2 * p < count else nothing
        y[y0 + p] = pair(low, x[x0 + 2 * p + 1] if 2 * p + 1 < count else nothing)


@helper
def transpose_block(x, x0, x_row, rows, columns, y, y0, y_row):
    for i in range(rows):
        for j in range(columns):
            y[y0 + j * y_row + i] = x[x0 + i * x_row + j]
