"""Scaled dot-product attention, one row of weights at a time.

    y_t = sum_s a_ts v_s,    a_t = softmax over s of (q_t . k_s / sqrt(D))

Each of the Z problems (one head of one sequence) is one unit of parallel work with room for one
row of T weights: the T x S matrix is never whole in memory. Saved: y and, per row, the logsumexp
of its scores, from which backward recomputes the row as e^(score - logsumexp). Causality is a
loop bound, `seen`: scores above the diagonal are not computed, so none has to be masked.

4 T S D FLOPs forward and 10 T S D backward for each problem, half of it when causal.
k and v are first transposed to (D, S), so that the innermost loop over s reads whole vectors.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.compiler import helper, kernel
from autograd.kernels.softmax import row_maximum
from autograd.kernels.vector_math import exp


@kernel
def attention(q_ZTD, k_ZSD, v_ZSD, causal):
    Z, T, D = q_ZTD.shape
    S = k_ZSD.shape[1]
    y_ZTD, lse_ZT = np.zeros_like(q_ZTD), np.empty((Z, T), q_ZTD.dtype)
    scale = q_ZTD.dtype.type(1 / math.sqrt(D))
    for z in prange(Z):
        k_DS = np.ascontiguousarray(k_ZSD[z].T)
        v_SD = v_ZSD[z]
        row = np.empty(S, q_ZTD.dtype)
        for t in range(T):
            seen = t + 1 + S - T if causal else S
            weight = row[:seen]
            _dot_rows(q_ZTD[z, t], k_DS, scale, weight)
            m = row_maximum(weight)
            for s in range(seen):
                weight[s] = exp(weight[s] - m)
            total = weight.sum()
            _add_rows(weight, v_SD, q_ZTD.dtype.type(1) / total, y_ZTD[z, t])
            lse_ZT[z, t] = m + math.log(total)
    return y_ZTD, lse_ZT


@kernel
def attention_backward(dy_ZTD, q_ZTD, k_ZSD, v_ZSD, y_ZTD, lse_ZT, causal):
    """With da_ts = dy_t . v_s:  dz_ts = a_ts (da_ts - dy_t . y_t) / sqrt(D), then
    dq_t = sum_s dz_ts k_s,  dk_s = sum_t dz_ts q_t,  dv_s = sum_t a_ts dy_t
    """
    Z, T, D = q_ZTD.shape
    S = k_ZSD.shape[1]
    dq_ZTD, dk_ZSD, dv_ZSD = np.zeros_like(q_ZTD), np.zeros_like(k_ZSD), np.zeros_like(v_ZSD)
    one, scale = q_ZTD.dtype.type(1), q_ZTD.dtype.type(1 / math.sqrt(D))
    for z in prange(Z):
        k_DS, v_DS = np.ascontiguousarray(k_ZSD[z].T), np.ascontiguousarray(v_ZSD[z].T)
        a_S, dz_S = np.empty(S, q_ZTD.dtype), np.empty(S, q_ZTD.dtype)
        for t in range(T):
            seen = t + 1 + S - T if causal else S
            a, dz = a_S[:seen], dz_S[:seen]
            q, dy = q_ZTD[z, t], dy_ZTD[z, t]
            _dot_rows(q, k_DS, scale, a)
            _dot_rows(dy, v_DS, one, dz)
            dot = (dy * y_ZTD[z, t]).sum()
            for s in range(seen):
                a[s] = exp(a[s] - lse_ZT[z, t])
                dz[s] = a[s] * (dz[s] - dot) * scale
            _add_rows(dz, k_ZSD[z], one, dq_ZTD[z, t])
            _add_outer(dz, q, dk_ZSD[z])
            _add_outer(a, dy, dv_ZSD[z])
    return dq_ZTD, dk_ZSD, dv_ZSD


@helper
def _dot_rows(x_D, y_DS, scale, out):
    """out_s = scale x . y_s"""
    out[:] = 0
    for d in range(x_D.size):
        x = x_D[d] * scale
        for s in range(out.size):
            out[s] += x * y_DS[d, s]


@helper
def _add_rows(weight_S, v_SD, scale, out_D):
    """out += scale sum_s weight_s v_s"""
    for s in range(weight_S.size):
        w = weight_S[s] * scale
        for d in range(out_D.size):
            out_D[d] += w * v_SD[s, d]


@helper
def _add_outer(weight_S, x_D, out_SD):
    """out_s += weight_s x"""
    for s in range(weight_S.size):
        for d in range(x_D.size):
            out_SD[s, d] += weight_S[s] * x_D[d]
