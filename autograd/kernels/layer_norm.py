"""Layer norm over rows: centre, scale to variance 1, then a gain and a shift per channel.

    y = n weight + bias,    n = (x - mean) rstd,    rstd = 1 / sqrt(var + eps)
    dx = rstd (g - mean(g) - n mean(g n)),    g = dy weight

Saved: mean and rstd, two numbers a row; n is recomputed from them, which costs 2 FLOPs an
element where storing it would cost 4 bytes. About 8 FLOPs an element forward, 14 backward.
The variance is the mean of (x - mean)^2 in a second pass over the row: E[x^2] - E[x]^2 loses all
digits when the mean is large.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

CHUNK = 64  # rows whose gains' gradients are summed together


@kernel
def layer_norm(x_NC, weight_C, bias_C, eps):
    N, C = x_NC.shape
    y_NC = np.empty_like(x_NC)
    mean_N, rstd_N = np.empty(N, x_NC.dtype), np.empty(N, x_NC.dtype)
    count = x_NC.dtype.type(C)
    for n in prange(N):
        x, y = x_NC[n], y_NC[n]
        mean = x.sum() / count
        variance = x.dtype.type(0)
        for c in range(C):
            variance += (x[c] - mean) * (x[c] - mean)
        rstd = x.dtype.type(1 / math.sqrt(variance / count + eps))
        for c in range(C):
            y[c] = (x[c] - mean) * rstd * weight_C[c] + bias_C[c]
        mean_N[n], rstd_N[n] = mean, rstd
    return y_NC, mean_N, rstd_N


@kernel
def layer_norm_backward(dy_NC, x_NC, weight_C, mean_N, rstd_N):
    N, C = x_NC.shape
    chunks = (N + CHUNK - 1) // CHUNK
    dx_NC = np.empty_like(x_NC)
    dweights = np.zeros((chunks, C), x_NC.dtype)
    dbiases = np.zeros((chunks, C), x_NC.dtype)
    count = x_NC.dtype.type(C)
    for chunk in prange(chunks):
        dweight, dbias = dweights[chunk], dbiases[chunk]
        for n in range(chunk * CHUNK, min(chunk * CHUNK + CHUNK, N)):
            dy, x, dx = dy_NC[n], x_NC[n], dx_NC[n]
            mean, rstd = mean_N[n], rstd_N[n]
            sum_g = sum_gn = x.dtype.type(0)
            for c in range(C):
                g = dy[c] * weight_C[c]
                sum_g += g
                sum_gn += g * (x[c] - mean)
            along_shift, along_scale = sum_g / count, sum_gn * rstd / count
            for c in range(C):
                normal = (x[c] - mean) * rstd
                dx[c] = (dy[c] * weight_C[c] - along_shift - normal * along_scale) * rstd
                dweight[c] += dy[c] * normal
                dbias[c] += dy[c]
    dweight_C, dbias_C = np.zeros(C, x_NC.dtype), np.zeros(C, x_NC.dtype)
    for chunk in range(chunks):  # in order, so that threads do not change the rounding
        for c in range(C):
            dweight_C[c] += dweights[chunk, c]
            dbias_C[c] += dbiases[chunk, c]
    return dx_NC, dweight_C, dbias_C
