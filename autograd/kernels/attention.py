"""Scaled dot-product attention in blocks: the T x S matrix of weights is never in memory.

    z_ts = q_t . k_s / sqrt(D)      a_ts = e^(z_ts - lse_t)      y_t = sum_s a_ts v_s
    lse_t = ln sum_s e^z_ts         over the keys s that query t sees: s <= t + S - T if causal

A bias of scores is added to z, and its gradient is dz; a key that is masked is seen by no query.
Query head h reads the keys and values of head h G / H.

Forward: a block of queries goes through the blocks of keys before it, and last through the keys of
its own positions, the block on the diagonal. Until all scores are known, their maximum m and the
sum of e^(z - m) are those of the blocks so far. If a block raises m to m', the sum and y were taken
relative to too little, and are multiplied by e^(m - m'). At the end y is divided by the sum.
Saved: y and, per query, lse = m + ln(sum).

Backward recomputes the weights of a block as e^(z - lse). With da_ts = dy_t . v_s

    dz_ts = a_ts (da_ts - dy_t . y_t)                dq_t = sum_s dz_ts k_s / sqrt(D)
    dv_s  = sum_t a_ts dy_t                          dk_s = sum_t dz_ts q_t / sqrt(D)

where dy_t . y_t = sum_s a_ts da_ts, because y_t = sum_s a_ts v_s. What is subtracted belongs to a
query, so it is made one more element of a row, and comes with the product:

    (q_t, -lse_t sqrt(D)) . (k_s, 1) / sqrt(D) = z_ts - lse_t
    (dy_t, -dy_t . y_t) . (v_s, 1) = da_ts - dy_t . y_t

Both terms of z - lse are rounded, which makes a weight wrong by about |z| units of the last digit:
with scores beyond 1e6 in float32 no digit of the gradients is right, and they may be NaN.

A block of weights is stored [key, query]: the queries are side by side in a vector, so that their
maxima, sums and exponentials are vectors too. All five products of a block with vectors of length
D are tiles in registers, see `autograd.kernels.attention_blocks`. Tiles above the diagonal are
skipped; in those on it, weights of unseen keys are made 0.

4 T S D FLOPs forward and 10 T S D backward for each problem (a head of a sequence), half of it when
causal. Read and written: q, k, v and y, or they and their gradients, once. One thread computes a
problem, or forward some of its blocks of queries; sums over queries are taken in their order.
With a single query, as in generation, k and v are read once in place, and memory sets the time.
Sums over keys are made block by block, and those of the weights, which all of a query's results
and gradients are relative to, go on in float64 from one block to the next.

A masked key and its value are taken for 0, and its scores are -inf: what they hold, NaN too,
reaches nothing. A bias is added to scores in units of q . k, so multiplied by sqrt(D). A query all
of whose scores are -inf for these has a sum of weights of 0: y, gradient and lse are given as 0.
Backward gives a thread whole groups of heads, and of a bias that all sequences share the same group
of all of them, so that sums have one order. A mask or bias that is not there has a size of 0 here.

Arguments may be views with contiguous rows of length D: the model cuts q, k and v out of one array
(B, T, 3 C). Results are views of arrays (B, T, H, D), so that merging the heads moves nothing;
gradients of q, k and v cut out of one array lie side by side, so that neither does joining them.
Source: Dao et al., FlashAttention, 2022 and 2023. Running maximum: Milakov and Gimelshein, 2018.
"""

import math

import numba
import numpy as np
from numba import prange

from autograd.kernels.attention_bf16 import attention_backward_bf16, attention_bf16
from autograd.kernels.attention_blocks import (
    BLOCK,
    add_bias,
    add_keys,
    add_queries,
    add_to_bias,
    all_finite,
    begin_sums,
    copy_rows,
    empty,
    empty_panels,
    hide_masked,
    minus_dots,
    row_length,
    scale_rows,
    scores,
    weights,
    weights_backward,
)
from autograd.kernels.attention_heads import DK, DQ, DV, DY, K, Q, V, Y, head, table_of
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.register_tile import pack_rows
from autograd.kernels.vector_math import exp


def attention(q_BHTD, k_BGSD, v_BGSD, causal, mask_BS=None, bias_BHTS=None, bf16=False):
    B, H, T, D = q_BHTD.shape
    G, S = k_BGSD.shape[1:3]
    y_BHTD = _empty_heads(q_BHTD)
    lse_BHT = np.empty((B, H, T), q_BHTD.dtype)
    if y_BHTD.size:
        k_BGSD, v_BGSD, mask_BS = _masked(k_BGSD, v_BGSD, mask_BS)
        table = table_of(q_BHTD, k_BGSD, v_BGSD, y_BHTD)
        bias_BHTS = _or_empty(bias_BHTS, q_BHTD.dtype)
        threads = numba.get_num_threads()
        compute = attention_bf16 if bf16 else _attention
        compute(table, lse_BHT, mask_BS, bias_BHTS, G, S, D, causal, threads)
    return y_BHTD, lse_BHT


def attention_backward(
    dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, causal, mask_BS=None, bias_BHTS=None,
    bf16=False,
):  # fmt: skip
    dq_BHTD, dk_BGSD, dv_BGSD = _empty_gradients(q_BHTD, k_BGSD, v_BGSD)
    dbias_BHTS = None if bias_BHTS is None else np.zeros_like(bias_BHTS)
    if dq_BHTD.size:
        G, S, D = k_BGSD.shape[1:]
        k_BGSD, v_BGSD, mask_BS = _masked(k_BGSD, v_BGSD, mask_BS)
        table = table_of(q_BHTD, k_BGSD, v_BGSD, y_BHTD, dy_BHTD, dq_BHTD, dk_BGSD, dv_BGSD)
        bias, dbias = (_or_empty(x, q_BHTD.dtype) for x in (bias_BHTS, dbias_BHTS))
        threads = numba.get_num_threads()
        compute = attention_backward_bf16 if bf16 else _attention_backward
        compute(table, lse_BHT, mask_BS, bias, dbias, G, S, D, causal, threads)
    else:
        dk_BGSD[:], dv_BGSD[:] = 0, 0
    return dq_BHTD, dk_BGSD, dv_BGSD, dbias_BHTS


def _masked(k_BGSD, v_BGSD, mask_BS):
    """Keys and values with 0 for those that are masked, whatever they hold; and the mask."""
    if mask_BS is None:
        return k_BGSD, v_BGSD, np.empty((0, 0), bool)
    seen_B1S1, nothing = mask_BS[:, None, :, None], k_BGSD.dtype.type(0)
    return np.where(seen_B1S1, k_BGSD, nothing), np.where(seen_B1S1, v_BGSD, nothing), mask_BS


def _or_empty(bias_BHTS, dtype):
    return np.empty((0, 0, 0, 0), dtype) if bias_BHTS is None else bias_BHTS


def _empty_heads(x_BHTD):
    """Memory for an array like x, in which the heads of a position lie side by side."""
    B, H, T, D = x_BHTD.shape
    return np.empty((B, T, H, D), x_BHTD.dtype).swapaxes(1, 2)


def _empty_gradients(q_BHTD, k_BGSD, v_BGSD):
    """Memory for dq, dk and dv: parts of one array (B, T, 3 H, D) if q, k and v are of one."""
    base = q_BHTD.base
    if base is None or not base is k_BGSD.base is v_BGSD.base or q_BHTD.shape != k_BGSD.shape:
        return tuple(_empty_heads(x) for x in (q_BHTD, k_BGSD, v_BGSD))
    B, H, T, D = q_BHTD.shape
    dqkv_BHTD = np.empty((B, T, 3 * H, D), q_BHTD.dtype).swapaxes(1, 2)
    return tuple(dqkv_BHTD[:, h : h + H] for h in range(0, 3 * H, H))


@kernel
def _attention(table, lse_BHT, mask_BS, bias_BHTS, G, S, D, causal, threads):
    B, H, T = lse_BHT.shape
    ahead = S - T if causal else S  # query t sees keys up to t + ahead
    blocks = (T + BLOCK - 1) // BLOCK
    jobs = B * H * blocks
    for thread in prange(threads):
        first, end = jobs * thread // threads, jobs * (thread + 1) // threads
        if T == 1 and mask_BS.size == 0 and bias_BHTS.size == 0:
            _single_queries(first, end, table, lse_BHT, G, S, D)
        else:
            _query_blocks(first, end, blocks, table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead)


@helper
def _query_blocks(first, end, blocks, table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead):
    _, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    row = row_length(D, lse)
    keys_SD, values_SD = empty(S * row, lse), empty(S * row, lse)
    q_panels = empty_panels(D, lse)
    a_SQ = empty(BLOCK**2, lse)
    m, part, change = empty(BLOCK, lse), empty(BLOCK, lse), empty(BLOCK, lse)
    total = np.empty(BLOCK)
    scale = lse.dtype.type(1 / math.sqrt(D))
    extras, copied = mask_BS.size > 0 or bias_BHTS.size > 0, -1
    for job in range(first, end):
        z, block = job // blocks, job % blocks
        b, h = z // H, z % H
        group = b * G + h * G // H
        # First, last, second, last but one: the later of two halves has no more work.
        t0 = BLOCK * (block // 2 if block % 2 == 0 else blocks - 1 - block // 2)
        if group != copied:
            k, k_row = head(table, K, group, G, S, D, lse)
            v, v_row = head(table, V, group, G, S, D, lse)
            copy_rows(k, 0, k_row, S, D, keys_SD, row)
            copy_rows(v, 0, v_row, S, D, values_SD, row)
            copied = group
        q, q_row = head(table, Q, z, H, T, D, lse)
        y, y_row = head(table, Y, z, H, T, D, lse)
        n, y0 = min(BLOCK, T - t0), t0 * y_row
        pack_rows(q, t0 * q_row, q_row, n, D, q_panels)
        for t in range(BLOCK):
            m[t], total[t] = np.finfo(lse.dtype).min, 0
        whole, seen = min(S, t0 + ahead), min(S, t0 + ahead + n)
        s0 = 0
        while s0 < seen:
            diagonal = s0 >= whole
            keys = min(BLOCK, (seen if diagonal else whole) - s0)
            scores(keys_SD, s0 * row, row, q_panels, keys, n, D, diagonal, a_SQ)
            add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
            hide_masked(a_SQ, keys, mask_BS, b, s0)
            weights(a_SQ, keys, diagonal, scale, m, total, part, change)
            if s0 > 0:
                scale_rows(y, y0, y_row, n, D, change)
            exact = diagonal and not all_finite(values_SD[s0 * row : (s0 + keys) * row])
            add_keys(a_SQ, keys, n, diagonal, exact, values_SD, s0 * row, row,
                      y, y0, y_row, D, s0 > 0)  # fmt: skip
            s0 += keys
        for i in range(n):
            nothing = extras and total[i] == 0
            lse[z * T + t0 + i] = 0 if nothing else m[i] * scale + math.log(total[i])
            change[i] = 0 if nothing else 1 / total[i]
        scale_rows(y, y0, y_row, n, D, change)


@helper
def _single_queries(first, end, table, lse_BHT, G, S, D):
    """Each problem has one query, which sees all keys."""
    H, lse = lse_BHT.shape[1], lse_BHT.reshape(-1)
    scale = lse.dtype.type(1 / math.sqrt(D))
    a_S = np.empty(S, lse.dtype)
    part_D, sum_D = np.empty(D, lse.dtype), np.empty(D)
    for z in range(first, end):
        group = z // H * G + z % H * G // H
        q_D, _ = head(table, Q, z, H, 1, D, lse)
        k, k_row = head(table, K, group, G, S, D, lse)
        v, v_row = head(table, V, group, G, S, D, lse)
        y_D, _ = head(table, Y, z, H, 1, D, lse)
        m = np.finfo(lse.dtype).min
        for s in range(S):
            k_D = k[s * k_row : s * k_row + D]
            dot = lse.dtype.type(0)
            for d in range(D):
                dot += q_D[d] * k_D[d]
            a_S[s] = dot
            m = dot if dot > m else m
        total = 0.0
        sum_D[:] = 0
        for s0 in range(0, S, BLOCK):
            a_K = a_S[s0 : s0 + BLOCK]
            part, part_D[:] = lse.dtype.type(0), 0
            for s in range(a_K.size):
                a_K[s] = exp((a_K[s] - m) * scale)
                part += a_K[s]
            for s in range(a_K.size):
                v_D = v[(s0 + s) * v_row :][:D]
                for d in range(D):
                    part_D[d] += a_K[s] * v_D[d]
            total += part
            for d in range(D):
                sum_D[d] += part_D[d]
        for d in range(D):
            y_D[d] = sum_D[d] / total
        lse[z] = m * scale + math.log(total)


@kernel
def _attention_backward(
    table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS, G, S, D, causal, threads
):  # fmt: skip
    B, H, T = lse_BHT.shape
    ahead = S - T if causal else S
    together = B if len(bias_BHTS) == 1 else 1  # sequences, of which a thread takes all or none
    units = B // together * G
    for thread in prange(threads):
        first, end = units * thread // threads, units * (thread + 1) // threads
        _groups_backward(first, end, together, table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS,
                         G, S, D, ahead)  # fmt: skip


@helper
def _groups_backward(
    first, end, together, table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS, G, S, D, ahead
):
    """A unit is a group of heads that read the same keys, of `together` sequences."""
    _, H, T = lse_BHT.shape
    lse, heads = lse_BHT.reshape(-1), H // G
    row = row_length(D + 1, lse)
    keys_SD, values_SD = empty(S * row, lse), empty(S * row, lse)
    q_QD, dy_QD = empty(BLOCK * row, lse), empty(BLOCK * row, lse)
    q_panels, dy_panels = empty_panels(D + 1, lse), empty_panels(D + 1, lse)
    a_SQ, dz_SQ, dots = empty(BLOCK**2, lse), empty(BLOCK**2, lse), empty(BLOCK, lse)
    scale = lse.dtype.type(1 / math.sqrt(D))
    for job in range(first * together * heads, end * together * heads):
        unit, h_in_group = job // (together * heads), job % heads
        b, g = unit // G * together + job // heads % together, unit % G
        h, group = g * heads + h_in_group, b * G + g
        z = b * H + h
        q, q_row = head(table, Q, z, H, T, D, lse)
        y, y_row = head(table, Y, z, H, T, D, lse)
        dy, dy_row = head(table, DY, z, H, T, D, lse)
        dq, dq_row = head(table, DQ, z, H, T, D, lse)
        dk, dk_row = head(table, DK, group, G, S, D, lse)
        dv, dv_row = head(table, DV, group, G, S, D, lse)
        if h_in_group == 0:
            k, k_row = head(table, K, group, G, S, D, lse)
            v, v_row = head(table, V, group, G, S, D, lse)
            copy_rows(k, 0, k_row, S, D, keys_SD, row)
            copy_rows(v, 0, v_row, S, D, values_SD, row)
            for s in range(S):
                keys_SD[s * row + D] = 1
                values_SD[s * row + D] = 1
        seen_before = 0
        for t0 in range(0, T, BLOCK):
            n = min(BLOCK, T - t0)
            copy_rows(q, t0 * q_row, q_row, n, D, q_QD, row)
            copy_rows(dy, t0 * dy_row, dy_row, n, D, dy_QD, row)
            minus_dots(dy_QD, 0, row, y, t0 * y_row, y_row, n, D, dots)
            for t in range(n):
                q_QD[t * row + D] = -lse[z * T + t0 + t] / scale
                dy_QD[t * row + D] = dots[t]
            pack_rows(q_QD, 0, row, n, D + 1, q_panels)
            pack_rows(dy_QD, 0, row, n, D + 1, dy_panels)
            whole, seen = min(S, t0 + ahead), min(S, t0 + ahead + n)
            adds = t0 > 0 or h_in_group > 0
            if t0 > 0 and h_in_group == 0:
                begin_sums(dk, dk_row, dv, dv_row, seen_before, seen, D)
            seen_before = seen
            s0 = 0
            while s0 < seen:
                diagonal = s0 >= whole
                keys = min(BLOCK, (seen if diagonal else whole) - s0)
                scores(keys_SD, s0 * row, row, q_panels, keys, n, D + 1, diagonal, a_SQ)
                scores(values_SD, s0 * row, row, dy_panels, keys, n, D + 1, diagonal, dz_SQ)
                add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
                hide_masked(a_SQ, keys, mask_BS, b, s0)
                weights_backward(a_SQ, dz_SQ, keys, diagonal, scale)
                add_to_bias(dz_SQ, keys, n, diagonal, dbias_BHTS, b, h, t0, s0, scale)
                add_queries(a_SQ, keys, n, diagonal, dy_QD, row,
                             dv, s0 * dv_row, dv_row, D, adds)  # fmt: skip
                add_queries(dz_SQ, keys, n, diagonal, q_QD, row,
                             dk, s0 * dk_row, dk_row, D, adds)  # fmt: skip
                add_keys(dz_SQ, keys, n, diagonal, False, keys_SD, s0 * row, row,
                          dq, t0 * dq_row, dq_row, D, s0 > 0)  # fmt: skip
                s0 += keys
