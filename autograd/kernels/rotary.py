"""Rotary positions: each pair of channels of a head is rotated by an angle that grows with t.

    y_e = x_e cos - x_(e+E) sin        y_(e+E) = x_(e+E) cos + x_e sin        E = D / 2

The cosines and sines are one table for all heads. Backward is the same with -sin.
6 FLOPs a pair: the time is that of memory.
"""

from numba import prange

from autograd.kernels.compiler import filled, kernel


def rotary(x_BTHD, cos_TE, sin_TE):
    return filled(_rotary, x_BTHD, cos_TE, sin_TE)


@kernel
def _rotary(x_BTHD, cos_TE, sin_TE, y_BTHD):
    B, T, H, D = x_BTHD.shape
    E = D // 2
    x_NHD, y_NHD = x_BTHD.reshape(B * T, H, D), y_BTHD.reshape(B * T, H, D)
    for n in prange(B * T):
        cos, sin = cos_TE[n % T], sin_TE[n % T]
        for h in range(H):
            a, b = x_NHD[n, h, :E], x_NHD[n, h, E:]
            y_a, y_b = y_NHD[n, h, :E], y_NHD[n, h, E:]
            for e in range(E):
                y_a[e] = a[e] * cos[e] - b[e] * sin[e]
                y_b[e] = b[e] * cos[e] + a[e] * sin[e]
