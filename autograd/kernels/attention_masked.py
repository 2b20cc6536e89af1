"""Attention with fewer heads of keys than of queries, a mask over the keys, and a bias of scores.

    z_ts = q_t . k_s / sqrt(D) + bias_ts,  -inf if s is masked        y_t = sum_s a_ts v_s
    dbias_ts = dz_ts

Otherwise what `autograd.kernels.attention` is, block by block, with the same steps. Kept apart from
it, so that a model that needs none of this compiles none of it. What is different:

- query head h reads the keys of head h G / H. Backward gives a thread whole groups of heads, and a
  bias that all sequences share to one thread a group, so that sums have one order;
- a masked key and its value are copied as 0, and its scores are -inf: what they hold, NaN too,
  reaches nothing;
- scores have a bias added in units of q . k, so multiplied by sqrt(D);
- a query all of whose scores are -inf has a sum of weights of 0. Its y is 0 and so is its gradient;
  its lse is given as 0.

Memory besides arguments and results: that of the blocks, and a thread's copy of a head's keys and
values. One compiled function serves all; an array that is not given is passed with a size of 0.
"""

import math

import numba
import numpy as np
from numba import prange

from autograd.kernels.attention import (
    DK,
    DQ,
    DV,
    DY,
    K,
    Q,
    V,
    Y,
    _empty_heads,
    _head,
    _table,
)
from autograd.kernels.attention_blocks import (
    BLOCK,
    add_keys,
    add_queries,
    all_finite,
    copy_rows,
    dot_rows,
    empty,
    empty_panels,
    row_length,
    scale_rows,
    scores,
    weights,
    weights_backward,
)
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.register_tile import pack_rows


def attention_masked(q_BHTD, k_BGSD, v_BGSD, mask_BS, bias_BHTS, causal):
    B, H, T, D = q_BHTD.shape
    G, S = k_BGSD.shape[1:3]
    y_BHTD = _empty_heads(q_BHTD)
    lse_BHT = np.empty((B, H, T), q_BHTD.dtype)
    if y_BHTD.size:
        table = _table(q_BHTD, k_BGSD, v_BGSD, y_BHTD)
        mask_BS, bias_BHTS = _or_empty(mask_BS, bias_BHTS, q_BHTD.dtype)
        threads = numba.get_num_threads()
        _attention_masked(table, lse_BHT, mask_BS, bias_BHTS, G, S, D, causal, threads)
    return y_BHTD, lse_BHT


def attention_masked_backward(
    dy_BHTD, q_BHTD, k_BGSD, v_BGSD, y_BHTD, lse_BHT, mask_BS, bias_BHTS, causal
):
    G, S, D = k_BGSD.shape[1:]
    dq_BHTD, dk_BGSD, dv_BGSD = map(_empty_heads, (q_BHTD, k_BGSD, v_BGSD))
    dk_BGSD[:], dv_BGSD[:] = 0, 0
    dbias_BHTS = None if bias_BHTS is None else np.zeros_like(bias_BHTS)
    if dq_BHTD.size:
        table = _table(q_BHTD, k_BGSD, v_BGSD, y_BHTD, dy_BHTD, dq_BHTD, dk_BGSD, dv_BGSD)
        mask_BS, bias = _or_empty(mask_BS, bias_BHTS, q_BHTD.dtype)
        dbias = bias if dbias_BHTS is None else dbias_BHTS
        threads = numba.get_num_threads()
        _attention_masked_backward(
            table, lse_BHT, mask_BS, bias, dbias, G, S, D, causal, threads
        )  # fmt: skip
    return dq_BHTD, dk_BGSD, dv_BGSD, dbias_BHTS


def _or_empty(mask_BS, bias_BHTS, dtype):
    mask_BS = np.empty((0, 0), bool) if mask_BS is None else mask_BS
    return mask_BS, np.empty((0, 0, 0, 0), dtype) if bias_BHTS is None else bias_BHTS


@kernel
def _attention_masked(table, lse_BHT, mask_BS, bias_BHTS, G, S, D, causal, threads):
    B, H, T = lse_BHT.shape
    ahead = S - T if causal else S  # query t sees keys up to t + ahead
    blocks = (T + BLOCK - 1) // BLOCK
    jobs = B * H * blocks
    for thread in prange(threads):
        first, end = jobs * thread // threads, jobs * (thread + 1) // threads
        _blocks_of_queries(first, end, blocks, table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead)


@helper
def _blocks_of_queries(first, end, blocks, table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead):
    _, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    row = row_length(D, lse)
    keys_SD, values_SD = empty(S * row, lse), empty(S * row, lse)
    q_panels = empty_panels(D, lse)
    a_SQ = empty(BLOCK**2, lse)
    m, part, change = empty(BLOCK, lse), empty(BLOCK, lse), empty(BLOCK, lse)
    total = np.empty(BLOCK)
    scale = lse.dtype.type(1 / math.sqrt(D))
    copied = -1
    for job in range(first, end):
        z, block = job // blocks, job % blocks
        b, h = z // H, z % H
        group = b * G + h * G // H
        # First, last, second, last but one: the later of two halves has no more work.
        t0 = BLOCK * (block // 2 if block % 2 == 0 else blocks - 1 - block // 2)
        if group != copied:
            _copy_seen(table, K, group, G, S, D, mask_BS, b, keys_SD, row)
            _copy_seen(table, V, group, G, S, D, mask_BS, b, values_SD, row)
            copied = group
        q, q_row = _head(table, Q, z, H, T, D, lse)
        y, y_row = _head(table, Y, z, H, T, D, lse)
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
            _add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
            _hide_masked(a_SQ, keys, mask_BS, b, s0)
            weights(a_SQ, keys, diagonal, scale, m, total, part, change)
            if s0 > 0:
                scale_rows(y, y0, y_row, n, D, change)
            exact = diagonal and not all_finite(values_SD[s0 * row : (s0 + keys) * row])
            add_keys(a_SQ, keys, n, diagonal, exact, values_SD, s0 * row, row,
                      y, y0, y_row, D, s0 > 0)  # fmt: skip
            s0 += keys
        for i in range(n):
            nothing = total[i] == 0
            lse[z * T + t0 + i] = 0 if nothing else m[i] * scale + math.log(total[i])
            change[i] = 0 if nothing else 1 / total[i]
        scale_rows(y, y0, y_row, n, D, change)


@kernel
def _attention_masked_backward(
    table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS, G, S, D, causal, threads
):
    B, H, T = lse_BHT.shape
    ahead = S - T if causal else S
    together = B if len(bias_BHTS) == 1 else 1  # sequences, of which a thread takes all or none
    units = B // together * G
    for thread in prange(threads):
        for unit in range(units * thread // threads, units * (thread + 1) // threads):
            for b in range(unit // G * together, unit // G * together + together):
                _group_backward(b, unit % G, table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS,
                                G, S, D, ahead)  # fmt: skip


@helper
def _group_backward(
    b, g, table, lse_BHT, mask_BS, bias_BHTS, dbias_BHTS, G, S, D, ahead
):  # fmt: skip
    """All heads of queries that read keys of head g of sequence b."""
    _, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    row = row_length(D + 1, lse)
    keys_SD, values_SD = empty(S * row, lse), empty(S * row, lse)
    q_QD, dy_QD = empty(BLOCK * row, lse), empty(BLOCK * row, lse)
    q_panels, dy_panels = empty_panels(D + 1, lse), empty_panels(D + 1, lse)
    a_SQ, dz_SQ = empty(BLOCK**2, lse), empty(BLOCK**2, lse)
    scale = lse.dtype.type(1 / math.sqrt(D))
    group = b * G + g
    _copy_seen(table, K, group, G, S, D, mask_BS, b, keys_SD, row)
    _copy_seen(table, V, group, G, S, D, mask_BS, b, values_SD, row)
    for s in range(S):
        keys_SD[s * row + D] = 1
        values_SD[s * row + D] = 1
    dk, dk_row = _head(table, DK, group, G, S, D, lse)
    dv, dv_row = _head(table, DV, group, G, S, D, lse)
    for h in range(g * (H // G), (g + 1) * (H // G)):
        z = b * H + h
        q, q_row = _head(table, Q, z, H, T, D, lse)
        y, y_row = _head(table, Y, z, H, T, D, lse)
        dy, dy_row = _head(table, DY, z, H, T, D, lse)
        dq, dq_row = _head(table, DQ, z, H, T, D, lse)
        for t0 in range(0, T, BLOCK):
            n = min(BLOCK, T - t0)
            copy_rows(q, t0 * q_row, q_row, n, D, q_QD, row)
            copy_rows(dy, t0 * dy_row, dy_row, n, D, dy_QD, row)
            for t in range(n):
                q_QD[t * row + D] = -lse[z * T + t0 + t] / scale
            dot_rows(dy_QD, row, y, t0 * y_row, y_row, n, D)
            pack_rows(q_QD, 0, row, n, D + 1, q_panels)
            pack_rows(dy_QD, 0, row, n, D + 1, dy_panels)
            whole, seen = min(S, t0 + ahead), min(S, t0 + ahead + n)
            s0 = 0
            while s0 < seen:
                diagonal = s0 >= whole
                keys = min(BLOCK, (seen if diagonal else whole) - s0)
                scores(keys_SD, s0 * row, row, q_panels, keys, n, D + 1, diagonal, a_SQ)
                scores(values_SD, s0 * row, row, dy_panels, keys, n, D + 1, diagonal, dz_SQ)
                _add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
                _hide_masked(a_SQ, keys, mask_BS, b, s0)
                weights_backward(a_SQ, dz_SQ, keys, diagonal, scale)
                _add_to_bias(dz_SQ, keys, n, diagonal, dbias_BHTS, b, h, t0, s0, scale)
                add_queries(a_SQ, keys, n, diagonal, dy_QD, row,
                             dv, s0 * dv_row, dv_row, D, True)  # fmt: skip
                add_queries(dz_SQ, keys, n, diagonal, q_QD, row,
                             dk, s0 * dk_row, dk_row, D, True)  # fmt: skip
                add_keys(dz_SQ, keys, n, diagonal, False, keys_SD, s0 * row, row,
                          dq, t0 * dq_row, dq_row, D, s0 > 0)  # fmt: skip
                s0 += keys


@helper
def _copy_seen(table, i, group, G, S, D, mask_BS, b, rows_SD, row):
    """The keys or values of a head, with 0 for those that are masked."""
    x, x_row = _head(table, i, group, G, S, D, rows_SD)
    copy_rows(x, 0, x_row, S, D, rows_SD, row)
    if mask_BS.size > 0:
        for s in range(S):
            if not mask_BS[b, s]:
                rows_SD[s * row : s * row + D] = 0


@helper
def _hide_masked(a_SQ, keys, mask_BS, b, s0):
    if mask_BS.size > 0:
        for i in range(keys):
            if not mask_BS[b, s0 + i]:
                a_SQ[i * BLOCK : i * BLOCK + BLOCK] = -np.inf


@helper
def _add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale):
    if bias_BHTS.size > 0:
        unit = a_SQ.dtype.type(1) / scale
        for t in range(n):
            bias_S = bias_BHTS[b if len(bias_BHTS) > 1 else 0, h, t0 + t, s0 : s0 + keys]
            for i in range(keys):
                a_SQ[i * BLOCK + t] += bias_S[i] * unit


@helper
def _add_to_bias(dz_SQ, keys, n, diagonal, dbias_BHTS, b, h, t0, s0, scale):
    """dz comes divided by sqrt(D), for the gradients of q and k."""
    if dbias_BHTS.size > 0:
        unit = dz_SQ.dtype.type(1) / scale
        for t in range(n):
            dbias_S = dbias_BHTS[b if len(dbias_BHTS) > 1 else 0, h, t0 + t, s0 : s0 + keys]
            for i in range(min(keys, t + 1) if diagonal else keys):
                dbias_S[i] += dz_SQ[i * BLOCK + t] * unit
