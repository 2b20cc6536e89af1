"""Element by element: GELU in both forms, SiLU, and dropout, whose mask is computed, not stored.

    gelu         y = x s,  s = sigmoid(2u),  u = sqrt(2/pi) (x + 0.044715 x^3)
                 dx = dy (s + x s (1 - s) 2 du/dx)
    gelu_exact   y = x Phi(x),  dx = dy (Phi(x) + x phi(x))
    silu         y = x s,  s = sigmoid(x),  dx = dy (s + x s (1 - s))
    dropout      y_i = x_i / (1 - p) where hash(seed, i) >= p, else 0

Backward of GELU and SiLU recomputes s from x, which is saved anyway; memory is read and written
once. GELU is not fused into the product that makes its x: arithmetic sets its time, not reading x.
All work on flat arrays in chunks of fixed size: the number of threads must not decide where a chunk
ends, because different instructions compute the last few elements of a vector loop.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import filled, helper, kernel
from autograd.kernels.vector_math import exp, normal_cdf

CHUNK = 4096
TWO_SQRT_2_OVER_PI = 2 * math.sqrt(2 / math.pi)
CUBIC = 0.044715
SATURATED = 100  # beyond, s is 0 or 1 in any precision


def gelu(x):
    return filled(_gelu, x)


@kernel
def _gelu(all_x, all_y):
    one, a, b = _constants(all_x)
    for chunk in prange(-(-all_x.size // CHUNK)):
        x, y = _chunk(all_x, chunk), _chunk(all_y, chunk)
        for i in range(x.size):
            two_u = a * x[i] * (one + b * x[i] * x[i])
            y[i] = x[i] / (one + exp(-two_u))


def gelu_backward(dy, x):
    return filled(_gelu_backward, dy, x)


@kernel
def _gelu_backward(all_dy, all_x, all_dx):
    one, a, b = _constants(all_x)
    three, limit = all_x.dtype.type(3), all_x.dtype.type(SATURATED)
    for chunk in prange(-(-all_x.size // CHUNK)):
        dy, x, dx = _chunk(all_dy, chunk), _chunk(all_x, chunk), _chunk(all_dx, chunk)
        for i in range(x.size):
            z = limit if x[i] > limit else x[i]
            z = -limit if z < -limit else z
            square = z * z
            s = one / (one + exp(-a * z * (one + b * square)))
            two_du = a * (one + three * b * square)
            dx[i] = dy[i] * (s + z * s * (one - s) * two_du)


@helper
def _chunk(x, chunk):
    return x[chunk * CHUNK : chunk * CHUNK + CHUNK]


@helper
def _constants(x):
    """Return 1, 2 sqrt(2/pi) and 0.044715 in the dtype of x: a literal would make it float64."""
    return x.dtype.type(1), x.dtype.type(TWO_SQRT_2_OVER_PI), x.dtype.type(CUBIC)


def gelu_exact(x):
    """In float32 the absolute error of Phi is below 2.5e-7, and that of y is |x| times as large."""
    return filled(_gelu_exact, x)


@kernel
def _gelu_exact(all_x, all_y):
    for chunk in prange(-(-all_x.size // CHUNK)):
        x, y = _chunk(all_x, chunk), _chunk(all_y, chunk)
        for i in range(x.size):
            y[i] = x[i] * normal_cdf(x[i])


def gelu_exact_backward(dy, x):
    return filled(_gelu_exact_backward, dy, x)


@kernel
def _gelu_exact_backward(all_dy, all_x, all_dx):
    half, peak = all_x.dtype.type(0.5), all_x.dtype.type(1 / math.sqrt(2 * math.pi))
    for chunk in prange(-(-all_x.size // CHUNK)):
        dy, x, dx = _chunk(all_dy, chunk), _chunk(all_x, chunk), _chunk(all_dx, chunk)
        for i in range(x.size):
            density = peak * exp(-half * x[i] * x[i])
            dx[i] = dy[i] * (normal_cdf(x[i]) + x[i] * density)


def silu(x):
    return filled(_silu, x)


@kernel
def _silu(all_x, all_y):
    one = all_x.dtype.type(1)
    for chunk in prange(-(-all_x.size // CHUNK)):
        x, y = _chunk(all_x, chunk), _chunk(all_y, chunk)
        for i in range(x.size):
            y[i] = x[i] / (one + exp(-x[i]))


def silu_backward(dy, x):
    return filled(_silu_backward, dy, x)


@kernel
def _silu_backward(all_dy, all_x, all_dx):
    one = all_x.dtype.type(1)
    for chunk in prange(-(-all_x.size // CHUNK)):
        dy, x, dx = _chunk(all_dy, chunk), _chunk(all_x, chunk), _chunk(all_dx, chunk)
        for i in range(x.size):
            s = one / (one + exp(-x[i]))
            dx[i] = dy[i] * (s + x[i] * s * (one - s))


def dropout(x, p, seed):
    """Hash as `autograd.reference.dropout` does, which explains it."""
    return filled(_dropout, x, p, seed)


@kernel
def _dropout(all_x, p, seed, all_y):
    key = _mix(np.uint64(seed))
    scale, zero = all_x.dtype.type(1 / (1 - p)), all_x.dtype.type(0)
    lowest = np.uint64(math.ceil(p * 2.0**24))  # the hash is an integer of 24 bits
    for chunk in prange(-(-all_x.size // CHUNK)):
        x, y = _chunk(all_x, chunk), _chunk(all_y, chunk)
        first = key + np.uint64(chunk * CHUNK)
        for i in range(x.size):
            kept = _mix(first + np.uint64(i)) >> np.uint64(40) >= lowest
            y[i] = x[i] * scale if kept else zero


@helper
def _mix(z):
    z = z + np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
