"""Scaled dot-product attention in blocks: the T x S matrix of weights is never in memory.

    z_ts = q_t . k_s / sqrt(D)      a_ts = e^(z_ts - lse_t)      y_t = sum_s a_ts v_s
    lse_t = ln sum_s e^z_ts         over the keys s that query t sees: s <= t + S - T if causal

Forward: QUERIES queries go through their keys in blocks of KEYS. Until all scores are known,
their maximum m and the sum of e^(z - m) are those of the blocks so far. If a block raises m to m',
the sum and y were taken relative to too little, and are multiplied by e^(m - m'). At the end y is
divided by the sum. Saved: y and, per query, lse = m + ln(sum).

Backward recomputes the weights of a block as e^(z - lse). With da_ts = dy_t . v_s

    dz_ts = a_ts (da_ts - dy_t . y_t)                dq_t = sum_s dz_ts k_s / sqrt(D)
    dv_s  = sum_t a_ts dy_t                          dk_s = sum_t dz_ts q_t / sqrt(D)

where dy_t . y_t = sum_s a_ts da_ts, because y_t = sum_s a_ts v_s.

A block of weights is stored [key, query]: the queries are side by side in a vector, so that their
maxima, sums and exponentials are vectors too. All five products of a block with vectors of length
D are tiles in registers, see `autograd.kernels.attention_blocks`. Tiles above the diagonal are
skipped; in those on it, weights of unseen keys are set to 0.

4 T S D FLOPs forward and 10 T S D backward for each problem (a head of a sequence), half of it when
causal. Read and written: q, k, v and y, or they and their gradients, once. One thread computes a
problem, or forward some of its blocks of queries; sums over queries are taken in their order.
With a single query, as in generation, k and v are read once in place, and memory sets the time.

Arguments may be views with contiguous rows of D numbers: the model cuts q, k and v out of one array
(B, T, 3 C). Results are views of arrays (B, T, H, D), so that merging the heads moves nothing;
gradients of q, k and v cut out of one array lie side by side, so that neither does joining them.
Source: Dao et al., FlashAttention, 2022 and 2023. Running maximum: Milakov and Gimelshein, 2018.
"""

import math
from typing import NamedTuple

import numba
import numpy as np
from numba import prange

from autograd.kernels.attention_blocks import (
    KEYS,
    QUERIES,
    add_keys,
    add_queries,
    all_finite,
    copy_rows,
    dot_rows,
    empty_panels,
    pack_rows,
    row_length,
    scale_rows,
    scores,
)
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.vector_math import exp


class Rows(NamedTuple):
    """The memory of an array (B, H, T, D), flat, and the steps from one b, h or t to the next."""

    memory: np.ndarray
    batch: int
    head: int
    time: int


def attention(q_BHTD, k_BHSD, v_BHSD, causal):
    B, H, T, D = q_BHTD.shape
    S = k_BHSD.shape[2]
    y_BHTD = _empty_heads(q_BHTD)
    lse_BHT = np.empty((B, H, T), q_BHTD.dtype)
    if y_BHTD.size:
        q, k, v, y = (_rows(x) for x in (q_BHTD, k_BHSD, v_BHSD, y_BHTD))
        _attention(q, k, v, y, lse_BHT, S, D, causal, numba.get_num_threads())
    return y_BHTD, lse_BHT


def attention_backward(dy_BHTD, q_BHTD, k_BHSD, v_BHSD, y_BHTD, lse_BHT, causal):
    dq_BHTD, dk_BHSD, dv_BHSD = _empty_gradients(q_BHTD, k_BHSD, v_BHSD)
    if dq_BHTD.size:
        S, D = k_BHSD.shape[2:]
        given = (_rows(x) for x in (dy_BHTD, q_BHTD, k_BHSD, v_BHSD, y_BHTD))
        found = (_rows(x) for x in (dq_BHTD, dk_BHSD, dv_BHSD))
        _attention_backward(*given, *found, lse_BHT, S, D, causal, numba.get_num_threads())
    else:
        dk_BHSD[:], dv_BHSD[:] = 0, 0
    return dq_BHTD, dk_BHSD, dv_BHSD


def _empty_heads(x_BHTD):
    """Memory for an array like x, in which the heads of a position lie side by side."""
    B, H, T, D = x_BHTD.shape
    return np.empty((B, T, H, D), x_BHTD.dtype).swapaxes(1, 2)


def _empty_gradients(q_BHTD, k_BHSD, v_BHSD):
    """Memory for dq, dk and dv: parts of one array (B, T, 3 H, D) if q, k and v are of one."""
    base = q_BHTD.base
    if base is None or not base is k_BHSD.base is v_BHSD.base or q_BHTD.shape != k_BHSD.shape:
        return tuple(_empty_heads(x) for x in (q_BHTD, k_BHSD, v_BHSD))
    B, H, T, D = q_BHTD.shape
    dqkv_BHTD = np.empty((B, T, 3 * H, D), q_BHTD.dtype).swapaxes(1, 2)
    return tuple(dqkv_BHTD[:, h : h + H] for h in range(0, 3 * H, H))


def _rows(x_BHTD):
    B, H, T, D = x_BHTD.shape
    size = x_BHTD.itemsize
    batch, head, time, _ = (step // size for step in x_BHTD.strides)
    span = (B - 1) * batch + (H - 1) * head + (T - 1) * time + D
    return Rows(np.lib.stride_tricks.as_strided(x_BHTD, (span,), (size,)), batch, head, time)


@kernel
def _attention(q, k, v, y, lse_BHT, S, D, causal, threads):
    B, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    ahead = S - T if causal else S  # query t sees keys up to t + ahead
    blocks = (T + QUERIES - 1) // QUERIES
    jobs = B * H * blocks
    for thread in prange(threads):
        first, end = jobs * thread // threads, jobs * (thread + 1) // threads
        if T == 1:
            _single_queries(first, end, H, S, D, q, k, v, y, lse)
        else:
            _query_blocks(first, end, blocks, H, T, S, D, ahead, q, k, v, y, lse)


@helper
def _query_blocks(first, end, blocks, H, T, S, D, ahead, q, k, v, y, lse):
    memory = q.memory
    row = row_length(D, memory)
    keys_SD, values_SD = np.empty(S * row, memory.dtype), np.empty(S * row, memory.dtype)
    q_panels = empty_panels(D, memory)
    a_SQ = np.empty(KEYS * QUERIES, memory.dtype)
    m, total = np.empty(QUERIES, memory.dtype), np.empty(QUERIES, memory.dtype)
    scale = memory.dtype.type(1 / math.sqrt(D))
    copied = -1
    for job in range(first, end):
        z, block = job // blocks, job % blocks
        # First, last, second, last but one: the later of two halves has no more work.
        t0 = QUERIES * (block // 2 if block % 2 == 0 else blocks - 1 - block // 2)
        if z != copied:
            copy_rows(k.memory, _place(k, z, H, 0), k.time, S, D, keys_SD, row)
            copy_rows(v.memory, _place(v, z, H, 0), v.time, S, D, values_SD, row)
            copied = z
        n = min(QUERIES, T - t0)
        pack_rows(memory, _place(q, z, H, t0), q.time, n, D, q_panels)
        m[:] = np.finfo(memory.dtype).min
        total[:] = 0
        y0 = _place(y, z, H, t0)
        seen = min(S, t0 + n + ahead)
        for s0 in range(0, seen, KEYS):
            keys = min(KEYS, seen - s0)
            offset = s0 - ahead - t0  # key s0 + i is seen by queries from t0 + offset + i on
            scores(keys_SD, s0 * row, row, q_panels, keys, n, D, offset, a_SQ)
            change = _weights(a_SQ, keys, offset, scale, m, total)
            if s0 > 0:
                scale_rows(y.memory, y0, y.time, n, D, change)
            exact = offset + keys > 1 and not all_finite(values_SD, s0 * row, row, keys, D)
            add_keys(a_SQ, keys, n, offset, exact, values_SD, s0 * row, row,
                      y.memory, y0, y.time, D, s0 > 0)  # fmt: skip
        for i in range(n):
            lse[z * T + t0 + i] = m[i] * scale + math.log(total[i])
            total[i] = memory.dtype.type(1) / total[i]
        scale_rows(y.memory, y0, y.time, n, D, total)


@helper
def _weights(a_SQ, keys, offset, scale, m, total):
    """Scores of a block become weights relative to the maxima so far, m, which are raised.

    Returns the factor by which this changes earlier weights; sums so far, total, have it already.
    All loops are over QUERIES, a number that the compiler knows: a vector loop without a rest. What
    stands beyond the last query of the text is anything, and reaches no other.
    """
    change = m.copy()
    for i in range(keys):
        a = a_SQ[i * QUERIES : (i + 1) * QUERIES]
        a[: max(0, offset + i)] = -np.inf
        for t in range(QUERIES):
            m[t] = a[t] if a[t] > m[t] else m[t]  # not for NaN, which reaches y as a weight
    for t in range(QUERIES):
        change[t] = exp((change[t] - m[t]) * scale)
        total[t] *= change[t]
    for i in range(keys):
        a = a_SQ[i * QUERIES : (i + 1) * QUERIES]
        for t in range(QUERIES):
            a[t] = exp((a[t] - m[t]) * scale)
            total[t] += a[t]
    return change


@helper
def _single_queries(first, end, H, S, D, q, k, v, y, lse):
    """Each problem has one query, which sees all keys."""
    scale = q.memory.dtype.type(1 / math.sqrt(D))
    a_S = np.empty(S, q.memory.dtype)
    for z in range(first, end):
        q0, k0 = _place(q, z, H, 0), _place(k, z, H, 0)
        v0, y0 = _place(v, z, H, 0), _place(y, z, H, 0)
        q_D, y_D = q.memory[q0 : q0 + D], y.memory[y0 : y0 + D]
        m = np.finfo(q.memory.dtype).min
        for s in range(S):
            k_D = k.memory[k0 + s * k.time : k0 + s * k.time + D]
            dot = q.memory.dtype.type(0)
            for d in range(D):
                dot += q_D[d] * k_D[d]
            a_S[s] = dot
            m = dot if dot > m else m
        for s in range(S):
            a_S[s] = exp((a_S[s] - m) * scale)
        total = a_S.sum()
        y_D[:] = 0
        for s in range(S):
            v_D = v.memory[v0 + s * v.time : v0 + s * v.time + D]
            a = a_S[s] / total
            for d in range(D):
                y_D[d] += a * v_D[d]
        lse[z] = m * scale + math.log(total)


@kernel
def _attention_backward(dy, q, k, v, y, dq, dk, dv, lse_BHT, S, D, causal, threads):
    B, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    ahead = S - T if causal else S
    for thread in prange(threads):
        _problems_backward(B * H * thread // threads, B * H * (thread + 1) // threads,
                           H, T, S, D, ahead, dy, q, k, v, y, dq, dk, dv, lse)  # fmt: skip


@helper
def _problems_backward(first, end, H, T, S, D, ahead, dy, q, k, v, y, dq, dk, dv, lse):
    memory = q.memory
    row = row_length(D, memory)
    keys_SD, values_SD = np.empty(S * row, memory.dtype), np.empty(S * row, memory.dtype)
    q_QD, dy_QD = np.empty(QUERIES * row, memory.dtype), np.empty(QUERIES * row, memory.dtype)
    q_panels, dy_panels = empty_panels(D, memory), empty_panels(D, memory)
    a_SQ, dz_SQ = np.empty(KEYS * QUERIES, memory.dtype), np.empty(KEYS * QUERIES, memory.dtype)
    lse_Q, dot_Q = np.empty(QUERIES, memory.dtype), np.empty(QUERIES, memory.dtype)
    scale = memory.dtype.type(1 / math.sqrt(D))
    for z in range(first, end):
        copy_rows(k.memory, _place(k, z, H, 0), k.time, S, D, keys_SD, row)
        copy_rows(v.memory, _place(v, z, H, 0), v.time, S, D, values_SD, row)
        dk0, dv0 = _place(dk, z, H, 0), _place(dv, z, H, 0)
        seen_before = 0
        for t0 in range(0, T, QUERIES):
            n = min(QUERIES, T - t0)
            q0, dy0, dq0 = _place(q, z, H, t0), _place(dy, z, H, t0), _place(dq, z, H, t0)
            copy_rows(memory, q0, q.time, n, D, q_QD, row)
            copy_rows(dy.memory, dy0, dy.time, n, D, dy_QD, row)
            pack_rows(q_QD, 0, row, n, D, q_panels)
            pack_rows(dy_QD, 0, row, n, D, dy_panels)
            dot_rows(dy_QD, 0, row, y.memory, _place(y, z, H, t0), y.time, n, D, dot_Q)
            for t in range(n):
                lse_Q[t] = lse[z * T + t0 + t]
            seen = min(S, t0 + n + ahead)
            for s in range(seen_before, seen):  # their sums begin
                dk.memory[dk0 + s * dk.time : dk0 + s * dk.time + D] = 0
                dv.memory[dv0 + s * dv.time : dv0 + s * dv.time + D] = 0
            seen_before = seen
            for s0 in range(0, seen, KEYS):
                keys = min(KEYS, seen - s0)
                offset = s0 - ahead - t0
                scores(keys_SD, s0 * row, row, q_panels, keys, n, D, offset, a_SQ)
                scores(values_SD, s0 * row, row, dy_panels, keys, n, D, offset, dz_SQ)
                _weights_backward(a_SQ, dz_SQ, keys, offset, scale, lse_Q, dot_Q)
                add_queries(a_SQ, keys, n, offset, dy_QD, row,
                             dv.memory, dv0 + s0 * dv.time, dv.time, D)  # fmt: skip
                add_queries(dz_SQ, keys, n, offset, q_QD, row,
                             dk.memory, dk0 + s0 * dk.time, dk.time, D)  # fmt: skip
                add_keys(dz_SQ, keys, n, offset, False, keys_SD, s0 * row, row,
                          dq.memory, dq0, dq.time, D, s0 > 0)  # fmt: skip


@helper
def _weights_backward(a_SQ, dz_SQ, keys, offset, scale, lse_Q, dot_Q):
    """Scores become weights a; da becomes dz / sqrt(D)."""
    for i in range(keys):
        a, dz = a_SQ[i * QUERIES : (i + 1) * QUERIES], dz_SQ[i * QUERIES : (i + 1) * QUERIES]
        for t in range(QUERIES):
            a[t] = exp(a[t] * scale - lse_Q[t])
            dz[t] = a[t] * (dz[t] - dot_Q[t]) * scale
        a[: max(0, offset + i)] = 0
        dz[: max(0, offset + i)] = 0


@helper
def _place(x, z, H, t):
    return z // H * x.batch + z % H * x.head + t * x.time
