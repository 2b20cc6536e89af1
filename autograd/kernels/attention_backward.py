"""The gradients of `autograd.kernels.attention`: weights are computed again, block by block.

A block's weights are e^(z - lse). With da_ts = dy_t . v_s

    dz_ts = a_ts (da_ts - dy_t . y_t)                dq_t = sum_s dz_ts k_s / sqrt(D)
    dv_s  = sum_t a_ts dy_t                          dk_s = sum_t dz_ts q_t / sqrt(D)

where dy_t . y_t = sum_s a_ts da_ts, because y_t = sum_s a_ts v_s. A query has one lse and one
dy . y, so a product starts its sums from them: z - lse is (q_t . k_s - lse_t sqrt(D)) / sqrt(D).
Both terms are rounded, which makes a weight wrong by about |z| units of the last digit: with scores
beyond 1e6 in float32 no digit of the gradients is right, and they may be NaN.

10 T S D FLOPs for each problem, half of it when causal. A thread computes whole groups of heads,
which read the same keys; if all sequences share a bias, the same group of all of them, so that
sums have one order. Sums over queries are taken in their order.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels import attention_products as products
from autograd.kernels.attention_blocks import (
    Block,
    clear_vector_before,
    empty,
    first_query,
    heads,
    row,
)
from autograd.kernels.attention_mask import BLOCK, add_to_bias, keys_read, only_causal, restrict
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.vector_math import exp


@kernel
def attend_backward(table, lse_BHT, visible, G, S, D, threads):
    for thread in prange(threads):
        groups_backward(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


@helper
def groups_backward(thread, threads, table, lse_BHT, visible, G, S, D):
    """Compute units: the heads that read the same keys, of `together` sequences."""
    B, H, T = lse_BHT.shape
    lse, readers = lse_BHT.reshape(-1), H // G  # heads that read the same keys
    together = B if len(visible.bias_BHTS) == 1 else 1
    units, jobs = B // together * G, together * readers  # jobs of a unit
    room = products.empty_room(D, lse)
    keys_SD = products.empty_keys(S, D, True, True, lse)
    values_SD = products.empty_keys(S, D, True, False, lse)
    q_QD, dy_QD = products.empty_queries(D, True, lse), products.empty_queries(D, True, lse)
    k_along, v_along, k_across = keys_SD.along, values_SD.along, keys_SD.across
    q_along, dy_along, q_across, dy_across = q_QD.along, dy_QD.along, q_QD.across, dy_QD.across
    a_SQ, dz_SQ = empty(BLOCK**2, lse), empty(BLOCK**2, lse)
    minus_lse, minus_dot = empty(BLOCK, lse), empty(BLOCK, lse)
    scale, extras = lse.dtype.type(1 / math.sqrt(D)), not only_causal(visible)
    products.open_tiles()
    # A unit is not shared, because all of its queries add to the same dk and dv. With fewer
    # units than threads some threads idle, where partial sums might pay for their memory.
    first_job = units * thread // threads * jobs
    for job in range(first_job, units * (thread + 1) // threads * jobs):
        unit, h_in_group = job // jobs, job % readers
        b, g = unit // G * together + job // readers % together, unit % G
        h, group = g * readers + h_in_group, b * G + g
        z = b * H + h
        q, y, k, v = heads(table, 0, z, group, H, G, T, S, D, lse)
        dq, dy, dk, dv = heads(table, 4, z, group, H, G, T, S, D, lse)
        if h_in_group == 0:
            products.take_keys(k, S, D, keys_SD, room)
            products.take_keys(v, S, D, values_SD, room)
        read_before = 0
        for t0 in range(0, T, BLOCK):
            n = min(BLOCK, T - t0)
            products.take_queries(q, t0, n, D, True, q_QD, room)
            products.take_queries(dy, t0, n, D, True, dy_QD, room)
            for t in range(n):
                minus_lse[t] = -lse[z * T + t0 + t] / scale
            products.minus_dots(dy, y, t0, n, D, minus_dot)
            whole, end = keys_read(visible, t0, n, S)
            adds = t0 > 0 or h_in_group > 0
            if h_in_group == 0:
                # The first block of queries writes its keys' sums instead of adding to them.
                _begin_sums(dk, dv, read_before, end if t0 > 0 else 0, D)
            read_before = end
            s0 = np.int64(0)
            while s0 < end:
                diagonal = s0 >= whole
                keys = min(BLOCK, (end if diagonal else whole) - s0)
                block = Block(s0, keys, t0, n, D, diagonal)
                products.scores(k_along, q_along, minus_lse, True, block, a_SQ, room)
                products.scores(v_along, dy_along, minus_dot, True, block, dz_SQ, room)
                if extras:
                    restrict(a_SQ, block, visible, b, h, scale)
                weights_backward(a_SQ, dz_SQ, block, scale)
                if extras:
                    add_to_bias(dz_SQ, block, visible, b, h, scale)
                products.add_queries(a_SQ, block, dy_across, dv, adds, room)
                products.add_queries(dz_SQ, block, q_across, dk, adds, room)
                products.add_keys(dz_SQ, block, False, k, k_across, S, dq, s0 > 0, room)
                s0 += keys
    products.close_tiles()


@helper
def _begin_sums(dk, dv, first, end, D):
    """Write 0 to the gradients of keys and values that no query before this block has read."""
    dk_flat, dv_flat = dk.flat, dv.flat
    for s in range(first, end):
        dk_D, dv_D = dk_flat[s * dk.step :][:D], dv_flat[s * dv.step :][:D]
        for d in range(D):
            dk_D[d] = dv_D[d] = 0


@helper
def weights_backward(a_SQ, dz_SQ, block, scale):
    """Turn a, scores less lse sqrt(D), into weights, and dz, da less dy . y, into dz / sqrt(D)."""
    if not block.diagonal:
        for i in range(block.keys * BLOCK):
            a_st = exp(a_SQ[i] * scale)
            dz_SQ[i] *= a_st * scale
            a_SQ[i] = a_st
        return
    for i in range(block.keys):
        first = first_query(i, True)
        clear_vector_before(a_SQ, i, first)
        clear_vector_before(dz_SQ, i, first)
        a, dz = row(a_SQ, i, first), row(dz_SQ, i, first)
        unread, nothing = np.int32(i - first), a_SQ.dtype.type(0)
        for t in range(a.size):
            a_st = exp(a[t] * scale)
            dz_st = a_st * dz[t] * scale
            a[t] = a_st if np.int32(t) >= unread else nothing
            dz[t] = dz_st if np.int32(t) >= unread else nothing
