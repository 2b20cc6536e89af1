"""Cross-entropy fused with log-softmax: the loss of each row of logits, and its gradient.

    loss_n = ln total_n - (logit_n[target_n] - m_n)
    dlogit_nv = scale (e^(logit_nv - m_n) / total_n - [v = target_n])
    m_n = max_v logit_nv,    total_n = sum_v e^(logit_nv - m_n)

Saved: m and total, two numbers a row; probabilities are recomputed, so that the (N, V) matrix of
them is never stored. Their sum m + ln total would be one number, but has no digits left for the
logarithm where m is large. Rows whose target is negative are left out: loss 0, gradient 0.
An exp and 3 FLOPs per logit forward, as many backward; each row is read from memory once in each.
"""

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel
from autograd.kernels.vector_math import exp, row_maximum

CHUNK = 4096  # logits, of whole rows, whose maxima are found before the sums


def cross_entropy(logits_NV, targets_N):
    z_N, m_N, total_N = np.zeros((3, len(logits_NV)), logits_NV.dtype)
    _cross_entropy(logits_NV, targets_N, z_N, m_N, total_N)
    # Not in the kernel: the compiler would add m to the logarithm first, which leaves no digits.
    loss_N = np.log(total_N)
    loss_N -= z_N
    loss_N[targets_N < 0] = 0
    return loss_N, m_N, total_N


@kernel
def _cross_entropy(logits_NV, targets_N, z_N, m_N, total_N):
    """z is the target's logit less m, and stays as it is without a target."""
    N, V = logits_NV.shape
    rows = 1 + CHUNK // V
    for chunk in prange((N + rows - 1) // rows):
        start, end = chunk * rows, min(chunk * rows + rows, N)
        # Two loops over some rows: where rows are short, the processor is with several at once.
        for n in range(start, end):
            m_N[n] = row_maximum(logits_NV[n])
        for n in range(start, end):
            logit, m, total = logits_NV[n], m_N[n], logits_NV.dtype.type(0)
            for v in range(logit.size):
                total += exp(logit[v] - m)
            total_N[n] = total
            if targets_N[n] >= 0:
                z_N[n] = logit[targets_N[n]] - m


def cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale):
    dlogits_NV = np.empty_like(logits_NV)
    _cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale, dlogits_NV)
    return dlogits_NV


@kernel
def _cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale, dlogits_NV):
    for n in prange(len(logits_NV)):
        logit, dlogit, m = logits_NV[n], dlogits_NV[n], m_N[n]
        if targets_N[n] >= 0:
            factor = scale / total_N[n]
            for v in range(logit.size):
                dlogit[v] = exp(logit[v] - m) * factor
            dlogit[targets_N[n]] -= scale
        else:
            for v in range(logit.size):
                dlogit[v] = 0
