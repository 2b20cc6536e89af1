"""Cross-entropy fused with log-softmax: the loss of each row of logits, and its gradient.

    loss_n = lse_n - logit_n[target_n],    lse_n = ln sum_v e^(logit_nv)
    dlogit_nv = scale (e^(logit_nv - lse_n) - [v = target_n])

Saved: lse, one number a row; probabilities are recomputed, so that the (N, V) matrix of them is
never stored. Rows whose target is negative are left out: loss 0, gradient 0.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel
from autograd.kernels.softmax import row_maximum
from autograd.kernels.vector_math import exp


@kernel
def cross_entropy(logits_NV, targets_N):
    N, V = logits_NV.shape
    losses_N, lse_N = np.zeros(N, logits_NV.dtype), np.empty(N, logits_NV.dtype)
    for n in prange(N):
        logit = logits_NV[n]
        m = row_maximum(logit)
        total = logit.dtype.type(0)
        for v in range(V):
            total += exp(logit[v] - m)
        lse_N[n] = m + math.log(total)
        if targets_N[n] >= 0:
            losses_N[n] = lse_N[n] - logit[targets_N[n]]
    return losses_N, lse_N


@kernel
def cross_entropy_backward(logits_NV, targets_N, lse_N, scale):
    N, V = logits_NV.shape
    dlogits_NV = np.zeros_like(logits_NV)
    for n in prange(N):
        if targets_N[n] >= 0:
            logit, dlogit, lse = logits_NV[n], dlogits_NV[n], lse_N[n]
            for v in range(V):
                dlogit[v] = exp(logit[v] - lse) * scale
            dlogit[targets_N[n]] -= scale
    return dlogits_NV
