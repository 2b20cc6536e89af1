"""The micro-kernel as plain loops, for processors whose vectors `tiles` does not know.

The functions have the names and arguments of `autograd.kernels.microkernel` and of
`autograd.kernels.stored_tile`, whose operands, and those of `autograd.kernels.bf16.pair_tile`,
`multiply_tile` takes.
"""

import numpy as np
from numba import types
from numba.extending import overload

from autograd.kernels.compiler import FASTMATH, helper
from autograd.kernels.tiles import BYTES, GROUP, VECTORS

WIDTH, TWO_112 = VECTORS * BYTES // 4, np.float32(2.0**112)


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


@helper
def multiply_grouped(a, a0, a_row, t, t0, b, b0, s, s0, c, c0, groups, height, halves):
    c[c0 : c0 + height * WIDTH] = 0
    half = GROUP // 2
    for k in range(groups * GROUP):
        first = s0 + k // GROUP * 2 * WIDTH
        for j in range(WIDTH):
            code = b[b0 + (k // GROUP * half + k % half if halves else k) * WIDTH + j]
            if halves:
                code = code >> 4 & 15 if k % GROUP >= half else code & 15
            weight = np.float32(code) * _half(s[first + j])
            weight += _half(s[first + WIDTH + j])
            for i in range(height):
                c[c0 + i * WIDTH + j] += a[a0 + i * a_row + k] * weight


@helper
def _half(bits):
    """Return the float32 of the bits of a float16, whose exponent has 112 less."""
    return _number((bits & 0x8000) << 16 | (bits & 0x7FFF) << 13) * TWO_112


def _product(a, b):
    """Return a b, where b may be stored in fewer bytes; for pairs, the sum of both products."""


@overload(_product, jit_options={"fastmath": FASTMATH, "error_model": "numpy"})
def _product_of(a, b):
    if a == types.uint32:
        return lambda a, b: (
            _number(a << 16) * _number(b << 16) + _number(a & 0xFFFF0000) * _number(b & 0xFFFF0000)
        )
    if b == types.uint16:
        return lambda a, b: a * _number(b << 16)
    if b == types.int8:
        return lambda a, b: a * np.float32(b)
    return lambda a, b: a * b


@helper
def _number(bits):
    """Return the float32 with the lower 32 of these bits."""
    return np.uint32(bits).view(np.float32)


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
def transpose_block(x, x0, x_row, rows, columns, y, y0, y_row):
    for i in range(rows):
        for j in range(columns):
            y[y0 + j * y_row + i] = x[x0 + i * x_row + j]
