"""Layer norm over rows: centre, scale to variance 1, then a weight and a bias per channel.

    y = n weight + bias,    n = (x - mean) rstd,    rstd = 1 / sqrt(var + eps)
    dx = rstd (g - mean(g) - n mean(g n)),    g = dy weight

Saved: mean and rstd, two values a row; n is recomputed from them, which costs 2 FLOPs an
element where storing it would cost 4 bytes. About 8 FLOPs an element forward, 16 backward;
memory is read and written once, as all loops but the first find their row in cache.
The variance is the mean of (x - mean)^2 in a second loop over the row: E[x^2] - E[x]^2 loses all
digits when the mean is large.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

CHUNK = 32  # rows over which the gradients of weight and bias are summed together


def layer_norm(x_NC, weight_C, bias_C, eps):
    y_NC = np.empty_like(x_NC)
    mean_N, rstd_N = np.empty((2, len(x_NC)), x_NC.dtype)
    _layer_norm(x_NC, weight_C, bias_C, eps, y_NC, mean_N, rstd_N)
    return y_NC, mean_N, rstd_N


@kernel
def _layer_norm(x_NC, weight_C, bias_C, eps, y_NC, mean_N, rstd_N):
    dtype = x_NC.dtype.type
    count = dtype(x_NC.shape[1])
    for n in prange(len(x_NC)):
        x, y = x_NC[n], y_NC[n]
        total = dtype(0)
        for c in range(x.size):
            total += x[c]
        mean = total / count
        squares = dtype(0)
        for c in range(x.size):
            squares += (x[c] - mean) * (x[c] - mean)
        rstd = dtype(1 / math.sqrt(squares / count + eps))
        for c in range(x.size):
            y[c] = (x[c] - mean) * rstd * weight_C[c] + bias_C[c]
        mean_N[n], rstd_N[n] = mean, rstd


def layer_norm_backward(dy_NC, x_NC, weight_C, mean_N, rstd_N):
    N, C = x_NC.shape
    dx_NC, zeros_C = np.empty_like(x_NC), np.zeros(C, x_NC.dtype)
    sums = np.zeros((2, -(-N // CHUNK), C), x_NC.dtype)
    _layer_norm_backward(dy_NC, x_NC, weight_C, mean_N, rstd_N, dx_NC, *sums, zeros_C)
    # In order, so that threads do not change the rounding, and in float64: so many float32
    # additions would round too often.
    return dx_NC, *sums.sum(1, np.float64).astype(x_NC.dtype)


@kernel
def _layer_norm_backward(
    dy_NC, x_NC, weight_C, mean_N, rstd_N, dx_NC, dweights, dbiases, zeros_C
):
    """dweights and dbiases are sums over CHUNK rows each.

    Two rows at a time, because reading and writing these sums takes as long as reading a row.
    """
    zero, count = x_NC.dtype.type(0), x_NC.dtype.type(x_NC.shape[1])
    for chunk in prange(len(dweights)):
        dweight, dbias = dweights[chunk], dbiases[chunk]
        end = min(chunk * CHUNK + CHUNK, len(x_NC))
        for first in range(chunk * CHUNK, end, 2):
            second = first + 1
            dy1, x1, mean1, rstd1 = dy_NC[first], x_NC[first], mean_N[first], rstd_N[first]
            dy2, x2, mean2, rstd2 = zeros_C, zeros_C, zero, zero
            if second < end:
                dy2, x2, mean2, rstd2 = dy_NC[second], x_NC[second], mean_N[second], rstd_N[second]
            sum_g1 = sum_g2 = sum_gn1 = sum_gn2 = zero
            for c in range(weight_C.size):
                g1, g2 = dy1[c] * weight_C[c], dy2[c] * weight_C[c]
                n1, n2 = (x1[c] - mean1) * rstd1, (x2[c] - mean2) * rstd2
                sum_g1 += g1
                sum_g2 += g2
                sum_gn1 += g1 * n1
                sum_gn2 += g2 * n2
                dweight[c] += dy1[c] * n1 + dy2[c] * n2
                dbias[c] += dy1[c] + dy2[c]
            for row in range(first, min(first + 2, end)):
                dy, x, dx, mean, rstd = dy_NC[row], x_NC[row], dx_NC[row], mean_N[row], rstd_N[row]
                along_shift = (sum_g1 if row == first else sum_g2) / count
                along_scale = (sum_gn1 if row == first else sum_gn2) / count
                for c in range(x.size):
                    normal = (x[c] - mean) * rstd
                    dx[c] = (dy[c] * weight_C[c] - along_shift - normal * along_scale) * rstd
