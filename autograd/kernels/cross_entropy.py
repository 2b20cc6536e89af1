"""Cross-entropy fused with log-softmax: the loss of each row of logits, and its gradient.

    loss_n = ln total_n - (logit_n[target_n] - m_n)
    dlogit_nv = scale (e^(logit_nv - m_n) / total_n - [v = target_n])
    m_n = max_v logit_nv,    total_n = sum_v e^(logit_nv - m_n)

Saved: m and total, two values a row; probabilities are recomputed, so that the (N, V) matrix of
them is never stored. Their sum m + ln total would be one value, but has no digits left for the
logarithm where m is large. Rows whose target is negative are left out: loss 0, gradient 0.
Per logit an exp and 3 FLOPs forward, an exp and 2 backward; each row is read from memory once in
each.
"""

import numpy as np
from numba import prange

from autograd.kernels.compiler import filled, helper, kernel
from autograd.kernels.vector_math import PART, exp, row_maximum

CHUNK = 4096  # logits that a thread works on at a time


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
    """Fill, for each row, m, its maximum; total, the sum of exp(logit - m); z, the target's logit
    less m, left alone without a target."""
    N, V = logits_NV.shape
    rows = _rows_at_once(V)
    for chunk in prange(-(-N // rows)):
        start, end = chunk * rows, min(chunk * rows + rows, N)
        for n in range(start, end):
            m_N[n] = row_maximum(logits_NV[n])
            if targets_N[n] >= 0:
                z_N[n] = logits_NV[n, targets_N[n]] - m_N[n]
        for first in range(start, end, 2):
            second = min(first + 1, end - 1)
            m1, m2 = m_N[first], m_N[second]
            total1 = total2 = 0.0
            for v in range(0, V, PART):
                logit1, logit2 = logits_NV[first, v : v + PART], logits_NV[second, v : v + PART]
                part1 = part2 = logits_NV.dtype.type(0)
                for w in range(logit1.size):
                    part1 += exp(logit1[w] - m1)
                    part2 += exp(logit2[w] - m2)
                total1 += part1
                total2 += part2
            total_N[first], total_N[second] = total1, total2


@helper
def _rows_at_once(V):
    """Return an even number of rows whose maxima are found before the sums; a loop takes two rows,
    so that short ones keep the processor busy."""
    return 2 + CHUNK // V // 2 * 2


def cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale):
    return filled(_cross_entropy_backward, logits_NV, targets_N, m_N, total_N, scale)


@kernel
def _cross_entropy_backward(logits_NV, targets_N, m_N, total_N, scale, dlogits_NV):
    N, V = logits_NV.shape
    rows = _rows_at_once(V)
    for chunk in prange(-(-N // rows)):
        start, end = chunk * rows, min(chunk * rows + rows, N)
        for first in range(start, end, 2):
            second = min(first + 1, end - 1)
            logit1, logit2, m1, m2 = logits_NV[first], logits_NV[second], m_N[first], m_N[second]
            dlogit1, dlogit2 = dlogits_NV[first], dlogits_NV[second]
            factor1, factor2 = scale / total_N[first], scale / total_N[second]
            for v in range(V):
                dlogit1[v] = exp(logit1[v] - m1) * factor1
                dlogit2[v] = exp(logit2[v] - m2) * factor2
        for n in range(start, end):
            dlogit = dlogits_NV[n]
            if targets_N[n] >= 0:
                dlogit[targets_N[n]] -= scale
            else:
                for v in range(V):
                    dlogit[v] = 0
