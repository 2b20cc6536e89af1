"""AdamW's update in one pass over memory, and the sum of squares that gradient clipping needs.

    g = scale gradient                          the clipped gradient
    m += (1 - beta1) (g - m)                    running mean of g
    v += (1 - beta2) (g^2 - v)                  running mean of g^2
    weight -= lr decay weight                   decoupled from the gradient
    weight -= lr m^ / (sqrt(v^) + eps)          m^ = m / (1 - beta1^step), v^ = v / (1 - beta2^step)

m and v start at 0; dividing by 1 - beta^step removes that bias. 15 FLOPs and 28 bytes an element,
and 2 FLOPs and 4 bytes more for the sum of squares: the time is that of memory. All arrays of a
model are one launch, because a model has many that are too small to be worth one.
Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.addresses import Table, array_at, find_chunk
from autograd.kernels.compiler import kernel


def adamw_(weights, gradients, ms, vs, decays, lr, beta1, beta2, eps, scale, step):
    """Update lists of contiguous arrays of one dtype, of one size at each index.

    weights, ms and vs are updated in place.
    """
    if weights:
        table = Table(weights, gradients, ms, vs)
        rate, unbias = lr / (1 - beta1**step), 1 / math.sqrt(1 - beta2**step)
        scalars = np.array([scale, 1 - beta1, 1 - beta2, rate, unbias, eps], weights[0].dtype)
        keeps = (1 - lr * np.array(decays)).astype(scalars.dtype)
        _adamw(table.addresses, table.sizes, table.first, table.owner, keeps, *scalars)


@kernel
def _adamw(addresses, sizes, first, owner, keeps, scale, new1, new2, rate, unbias, eps):
    for chunk in prange(len(owner)):
        p, start, size = find_chunk(owner, first, sizes, chunk)
        weight = array_at(addresses[0, p], start, size, keeps)
        gradient = array_at(addresses[1, p], start, size, keeps)
        m = array_at(addresses[2, p], start, size, keeps)
        v = array_at(addresses[3, p], start, size, keeps)
        keep = keeps[p]
        for i in range(size):
            g = gradient[i] * scale
            m[i] += (g - m[i]) * new1
            v[i] += (g * g - v[i]) * new2
            weight[i] = weight[i] * keep - rate * m[i] / (np.sqrt(v[i]) * unbias + eps)


def sum_of_squares(arrays):
    """Sum over contiguous arrays of one dtype, in float64, chunk by chunk in fixed order."""
    if not arrays:
        return 0.0
    table = Table(arrays)
    partial, like = np.empty(len(table.owner)), np.empty(0, arrays[0].dtype)
    return _sum_of_squares(table.addresses[0], table.sizes, table.first, table.owner, partial, like)


@kernel
def _sum_of_squares(addresses, sizes, first, owner, partial, like):
    for chunk in prange(len(owner)):
        p, start, size = find_chunk(owner, first, sizes, chunk)
        x = array_at(addresses[p], start, size, like)
        total = 0.0
        for i in range(size):
            total += np.float64(x[i]) * np.float64(x[i])
        partial[chunk] = total
    result = 0.0
    for chunk in range(partial.size):  # not partial.sum(), which Numba would share among threads
        result += partial[chunk]
    return result
