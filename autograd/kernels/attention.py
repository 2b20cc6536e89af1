"""Scaled dot-product attention in blocks: the T x S matrix of weights is never in memory.

    z_ts = q_t . k_s / sqrt(D)      a_ts = e^(z_ts - lse_t)      y_t = sum_s a_ts v_s
    lse_t = ln sum_s e^z_ts         over the keys s that query t reads: s <= t + S - T if causal

A bias is added to z, and its gradient is dz; no query reads a masked key. Query head h reads the
keys and values of head h G / H.

Forward: a block of queries goes through the blocks of keys before it, and last through the keys of
its own positions, the block on the diagonal. Until all scores are known, their maximum m and the
sum of e^(z - m) are those of the blocks so far. If a block raises m to m', the sum and y were taken
relative to too little, and are multiplied by e^(m - m'). At the end y is divided by the sum.
Saved: y and, per query, lse = m + ln(sum).

Backward recomputes the weights of a block as e^(z - lse). With da_ts = dy_t . v_s

    dz_ts = a_ts (da_ts - dy_t . y_t)                dq_t = sum_s dz_ts k_s / sqrt(D)
    dv_s  = sum_t a_ts dy_t                          dk_s = sum_t dz_ts q_t / sqrt(D)

where dy_t . y_t = sum_s a_ts da_ts, because y_t = sum_s a_ts v_s. A query has one lse and one
dy . y, so a product starts its sums from them: z - lse is (q_t . k_s - lse_t sqrt(D)) / sqrt(D).
Both terms are rounded, which makes a weight wrong by about |z| units of the last digit: with scores
beyond 1e6 in float32 no digit of the gradients is right, and they may be NaN.

A block of weights is stored [key, query]: the queries are side by side in a vector, so that their
maxima, sums and exponentials are vectors too. The five products of a block are a module of their
own: `autograd.kernels.attention_products`, or `autograd.kernels.bf16.attention_products`.

4 T S D FLOPs forward and 10 T S D backward for each problem (a head of a sequence), half of it when
causal. q, k, v and y, or they and their gradients, are read and written once. One thread computes a
problem, or forward some of its blocks of queries; sums over queries are taken in their order.
With a single query, as in generation, k and v are read once in place, and memory sets the time.
Sums over keys are made block by block. The sums of weights, which divide all results of a query,
go on in float64 from one block to the next.

A masked key and its value are replaced by 0, and its scores are -inf, so that even NaN there
reaches nothing. A bias is multiplied by sqrt(D), since scores here are q . k. A query whose scores
are all -inf has a sum of weights of 0: its y, gradient and lse are 0. Backward gives a thread whole
groups of heads; if all sequences share a bias, the same group of all of them, so that sums have one
order.

Arguments may be views with contiguous rows of length D: the model cuts q, k and v out of one array
(B, T, 3 C). Results are views of arrays (B, T, H, D), so that merging the heads moves nothing;
gradients of q, k and v cut out of one array lie side by side, so that neither does joining them.
Source: Dao et al., FlashAttention, 2022 and 2023. Running maximum: Milakov and Gimelshein, 2018.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels import attention_products
from autograd.kernels.attention_blocks import (
    begin_sums,
    empty,
    heads,
    scale_rows,
    weights,
    weights_backward,
)
from autograd.kernels.attention_mask import BLOCK, add_to_bias, keys_read, only_causal, restrict
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.vector_math import exp


def loops_with(products):
    """Return the loops of a thread, forward and backward, with the products of a module."""

    @helper
    def query_blocks(thread, threads, table, lse_BHT, visible, G, S, D):
        B, H, T = lse_BHT.shape
        lse, blocks = lse_BHT.reshape(-1), (T + BLOCK - 1) // BLOCK
        jobs = B * H * blocks
        room = products.empty_room(D, lse)
        keys_SD = products.empty_keys(S, D, True, False, lse)
        values_SD = products.empty_keys(S, D, False, True, lse)
        queries = products.empty_queries(D, False, lse)
        k_along, v_across, q_along = keys_SD.along, values_SD.across, queries.along
        a_SQ = empty(BLOCK**2, lse)
        m, part, change = empty(BLOCK, lse), empty(BLOCK, lse), empty(BLOCK, lse)
        total = np.empty(BLOCK)
        scale = lse.dtype.type(1 / math.sqrt(D))
        extras, taken = not only_causal(visible), -1
        products.open_tiles()
        # Threads share blocks of queries, because there may be fewer heads than threads.
        for job in range(jobs * thread // threads, jobs * (thread + 1) // threads):
            z, block = job // blocks, job % blocks
            b, h = z // H, z % H
            group = b * G + h * G // H
            # First, last, second, last but one, ...: if causal, a later block reads more keys. So
            # any two in a row are about the same work, and so are the threads' shares.
            t0 = BLOCK * (block // 2 if block % 2 == 0 else blocks - 1 - block // 2)
            q, y, k, v = heads(table, 0, z, group, H, G, T, S, D, lse)
            if group != taken:  # jobs of a head follow each other: it is copied once a thread
                products.take_keys(k, S, D, keys_SD, room)
                products.take_keys(v, S, D, values_SD, room)
                taken = group
            n = min(BLOCK, T - t0)
            products.take_queries(q, t0, n, D, False, queries, room)
            for t in range(BLOCK):
                m[t], total[t] = np.finfo(lse.dtype).min, 0  # -inf less -inf would be NaN
            first, whole, end = keys_read(visible, t0, n, S)
            s0 = first
            while s0 < end:
                diagonal, add = s0 >= whole, s0 > first
                keys = min(BLOCK, (end if diagonal else whole) - s0)
                products.scores(k_along, s0, q_along, m, False, keys, n, D, diagonal, a_SQ, room)
                if extras:
                    restrict(a_SQ, keys, n, visible, b, h, t0, s0, scale)
                weights(a_SQ, keys, diagonal, scale, m, total, part, change)
                if add:
                    scale_rows(y, t0, n, D, change)
                products.add_keys(a_SQ, keys, n, diagonal, True, v, v_across, s0, S, y, t0, D,
                                  add, room)
                s0 += keys
            for i in range(n):
                nothing = extras and total[i] == 0
                lse[z * T + t0 + i] = 0 if nothing else m[i] * scale + math.log(total[i])
                change[i] = 0 if nothing else 1 / total[i]
            scale_rows(y, t0, n, D, change)
        products.close_tiles()

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
        minus_lse, minus_dot, errors = empty(BLOCK, lse), empty(BLOCK, lse), empty(BLOCK, lse)
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
                products.minus_dots(dy, y, t0, n, D, minus_dot, errors)
                first, whole, end = keys_read(visible, t0, n, S)
                adds = t0 > 0 or h_in_group > 0
                if h_in_group == 0:
                    # The first block of queries writes its keys' sums instead of adding to them.
                    begin_sums(dk, dv, read_before, end if t0 > 0 else first, D)
                read_before = end
                s0 = first
                while s0 < end:
                    diagonal = s0 >= whole
                    keys = min(BLOCK, (end if diagonal else whole) - s0)
                    products.scores(k_along, s0, q_along, minus_lse, True,
                                    keys, n, D, diagonal, a_SQ, room)
                    products.scores(v_along, s0, dy_along, minus_dot, True,
                                    keys, n, D, diagonal, dz_SQ, room)
                    products.drop_errors(dz_SQ, keys, errors)
                    if extras:
                        restrict(a_SQ, keys, n, visible, b, h, t0, s0, scale)
                    weights_backward(a_SQ, dz_SQ, keys, diagonal, scale)
                    if extras:
                        add_to_bias(dz_SQ, keys, n, diagonal, visible, b, h, t0, s0, scale)
                    products.add_queries(a_SQ, keys, n, diagonal, dy_across, dv, s0, D, adds, room)
                    products.add_queries(dz_SQ, keys, n, diagonal, q_across, dk, s0, D, adds, room)
                    products.add_keys(dz_SQ, keys, n, diagonal, False, k, k_across, s0, S,
                                      dq, t0, D, s0 > first, room)
                    s0 += keys
        products.close_tiles()

    return query_blocks, groups_backward


_query_blocks, _groups_backward = loops_with(attention_products)


@kernel
def attend(table, lse_BHT, visible, G, S, D, threads):
    B, H, T = lse_BHT.shape
    for thread in prange(threads):  # as int64: the loops would be compiled for unsigned ones, too
        if T == 1 and only_causal(visible):
            first, end = B * H * thread // threads, B * H * (thread + 1) // threads
            _single_queries(first, end, table, lse_BHT, G, S, D)
        else:
            _query_blocks(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


@kernel
def attend_backward(table, lse_BHT, visible, G, S, D, threads):
    for thread in prange(threads):
        _groups_backward(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


@helper
def _single_queries(first, end, table, lse_BHT, G, S, D):
    """Compute problems of one query, which reads all keys."""
    H, lse = lse_BHT.shape[1], lse_BHT.reshape(-1)
    scale = lse.dtype.type(1 / math.sqrt(D))
    a_S = np.empty(S, lse.dtype)
    part_D, sum_D = np.empty(D, lse.dtype), np.empty(D)
    for z in range(first, end):
        group = z // H * G + z % H * G // H
        q, y, k, v = heads(table, 0, z, group, H, G, 1, S, D, lse)
        q_D, y_D = q.flat, y.flat
        m = np.finfo(lse.dtype).min
        for s in range(S):
            k_D = k.flat[s * k.step : s * k.step + D]
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
                v_D = v.flat[(s0 + s) * v.step :][:D]
                for d in range(D):
                    part_D[d] += a_K[s] * v_D[d]
            total += part
            for d in range(D):
                sum_D[d] += part_D[d]
        for d in range(D):
            y_D[d] = sum_D[d] / total
        lse[z] = m * scale + math.log(total)
