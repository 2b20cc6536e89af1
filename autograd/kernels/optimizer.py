"""AdamW's update in one pass over memory, and the sum of squares that gradient clipping needs.

    g = scale gradient                          the clipped gradient
    m += (1 - beta1) (g - m)                    running mean of g
    v += (1 - beta2) (g^2 - v)                  running mean of g^2
    weight -= lr decay weight                   decoupled from the gradient
    weight -= lr m^ / (sqrt(v^) + eps)          m^ = m / (1 - beta1^step), v^ = v / (1 - beta2^step)

m and v start at 0; dividing by 1 - beta^step removes that bias. 15 FLOPs and 28 bytes an element.
Source: Loshchilov and Hutter, Decoupled Weight Decay Regularization, 2019, algorithm 2.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

CHUNK = 4096


@kernel
def adamw_(weight, gradient, m, v, lr, beta1, beta2, eps, decay, scale, step):
    """weight, gradient, m, v are flat arrays; weight, m and v are updated in place."""
    number = weight.dtype.type
    clip = number(scale)
    keep = number(1 - lr * decay)
    new1, new2 = number(1 - beta1), number(1 - beta2)
    rate = number(lr / (1 - beta1**step))
    unbias = number(1 / math.sqrt(1 - beta2**step))
    small = number(eps)
    for chunk in prange((weight.size + CHUNK - 1) // CHUNK):
        for i in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, weight.size)):
            g = gradient[i] * clip
            m[i] += (g - m[i]) * new1
            v[i] += (g * g - v[i]) * new2
            weight[i] = weight[i] * keep - rate * m[i] / (np.sqrt(v[i]) * unbias + small)


@kernel
def sum_of_squares(x):
    """In float64, over chunks of fixed size that are added in order."""
    chunks = (x.size + CHUNK - 1) // CHUNK
    partial = np.zeros(chunks)
    for chunk in prange(chunks):
        total = 0.0
        for i in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, x.size)):
            total += np.float64(x[i]) * np.float64(x[i])
        partial[chunk] = total
    result = 0.0
    for chunk in range(chunks):  # not partial.sum(), which Numba would share among the threads
        result += partial[chunk]
    return result
