"""Scaled dot-product attention in blocks: the T x S matrix of weights is never in memory.

    z_ts = q_t . k_s / sqrt(D)      a_ts = e^(z_ts - lse_t)      y_t = sum_s a_ts v_s
    lse_t = ln sum_s e^z_ts         over the keys s that query t reads: s <= t + S - T if causal

A bias is added to z, and its gradient is dz; no query reads a masked key. Query head h reads the
keys and values of head h G / H. Backward is in `autograd.kernels.attention_backward`.

A block of queries goes through the blocks of keys before it, and last through the keys of its own
positions, the block on the diagonal. Until all scores are known, their maximum m and the sum of
e^(z - m) are those of the blocks so far. If a block raises m to m', the sum and y were taken
relative to too little, and are multiplied by e^(m - m'). At the end y is divided by the sum.
Saved: y and, per query, lse = m + ln(sum).

A block of weights is stored [key, query]: the queries are side by side in a vector, so that their
maxima, sums and exponentials are vectors too. The products of a block are a module of their own:
`autograd.kernels.attention_products`, or `autograd.kernels.bf16.attention_products`.

4 T S D FLOPs for each problem (a head of a sequence), half of it when causal. q, k, v and y are
read and written once. One thread computes a problem, or some of its blocks of queries. With a
single query, as in generation, k and v are read once in place, and memory sets the time. Sums over
keys are made block by block. The sums of weights, which divide all results of a query, go on in
float64 from one block to the next.

A masked key and its value are replaced by 0, and its scores are -inf, so that even NaN there
reaches nothing. A bias is multiplied by sqrt(D), since scores here are q . k. A query whose scores
are all -inf has a sum of weights of 0: its y, gradient and lse are 0.

Arguments may be views with contiguous rows of length D: the model cuts q, k and v out of one array
(B, T, 3 C). Results are views of arrays (B, T, H, D), so that merging the heads moves nothing;
gradients of q, k and v cut out of one array lie side by side, so that neither does joining them.
Source: Dao et al., FlashAttention, 2022 and 2023. Running maximum: Milakov and Gimelshein, 2018.
"""

import math
from types import FunctionType

import numpy as np
from numba import prange

from autograd.kernels import attention_products as products
from autograd.kernels.attention_blocks import (
    LANES,
    Block,
    clear_vector_before,
    empty,
    first_query,
    heads,
    row,
)
from autograd.kernels.attention_mask import BLOCK, keys_read, only_causal, restrict
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.vector_math import exp


@kernel
def attend(table, lse_BHT, visible, G, S, D, threads):
    B, H, T = lse_BHT.shape
    for thread in prange(threads):  # as int64: the loops would be compiled for unsigned ones, too
        if T == 1 and products.IN_PLACE and only_causal(visible):
            first, end = B * H * thread // threads, B * H * (thread + 1) // threads
            _single_queries(first, end, table, lse_BHT, G, S, D)
        else:
            query_blocks(np.int64(thread), threads, table, lse_BHT, visible, G, S, D)


@helper
def query_blocks(thread, threads, table, lse_BHT, visible, G, S, D):
    """Compute a thread's blocks of queries."""
    B, H, T = lse_BHT.shape
    lse, blocks = lse_BHT.reshape(-1), -(-T // BLOCK)
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
        z, part_of_T = job // blocks, job % blocks
        b, h = z // H, z % H
        group = b * G + h * G // H
        # First, last, second, last but one, ...: if causal, a later block reads more keys. So
        # any two in a row are about the same work, and so are the threads' shares.
        half, odd = part_of_T // 2, part_of_T % 2
        t0 = BLOCK * (blocks - 1 - half if odd else half)
        q, y, k, v = heads(table, 0, z, group, H, G, T, S, D, lse)
        if group != taken:  # jobs of a head follow each other: it is copied once a thread
            products.take_keys(k, S, D, keys_SD, room)
            products.take_keys(v, S, D, values_SD, room)
            taken = group
        n = min(BLOCK, T - t0)
        products.take_queries(q, t0, n, D, False, queries, room)
        for t in range(BLOCK):
            m[t], total[t] = np.finfo(lse.dtype).min, 0  # -inf less -inf would be NaN
        whole, end = keys_read(visible, t0, n, S)
        s0 = np.int64(0)  # for a literal, functions would be compiled once more
        while s0 < end:
            diagonal, add = s0 >= whole, s0 > 0
            keys = min(BLOCK, (end if diagonal else whole) - s0)
            block = Block(s0, keys, t0, n, D, diagonal)
            products.scores(k_along, q_along, m, False, block, a_SQ, room)
            if extras:
                restrict(a_SQ, block, visible, b, h, scale)
            weights(a_SQ, block, scale, m, total, part, change)
            if add:
                _scale_rows(y, t0, n, D, change)
            products.add_keys(a_SQ, block, True, v, v_across, S, y, add, room)
            s0 += keys
        for i in range(n):
            nothing = extras and total[i] == 0
            lse[z * T + t0 + i] = 0 if nothing else m[i] * scale + math.log(total[i])
            change[i] = 0 if nothing else 1 / total[i]
        _scale_rows(y, t0, n, D, change)
    products.close_tiles()


@helper
def weights(a_SQ, block, scale, m, total, part, change):
    """Turn scores into weights, a_st = e^((a_st - m_t) / sqrt(D)), m the maxima so far, which are
    raised if need be.

    change   the factors of earlier weights that follow; `total`, their sums, is multiplied here
    part     memory for the sums of this block

    Entries beyond the last query may be anything, and reach no query.
    """
    keys, diagonal = block.keys, block.diagonal
    if diagonal:
        _hide(a_SQ, keys)
    for i in range(keys * BLOCK, (keys + 1) // 2 * 2 * BLOCK):
        a_SQ[i] = -np.inf  # beyond the last key, where loops take two at once
    for t in range(BLOCK):
        change[t] = m[t]
    for i in range(0, keys, 2):
        first = first_query(i, diagonal)
        a, b, m_Q = row(a_SQ, i, first), row(a_SQ, i + 1, first), m[first:BLOCK]
        for t in range(m_Q.size):
            m_Q[t] = _higher(_higher(a[t], b[t]), m_Q[t])
    for t in range(BLOCK):
        change[t] = exp((change[t] - m[t]) * scale)
        total[t] *= change[t]
        part[t] = 0
    for i in range(0, keys, 2):
        first = first_query(i, diagonal)
        a, b = row(a_SQ, i, first), row(a_SQ, i + 1, first)
        m_Q, part_Q = m[first:BLOCK], part[first:BLOCK]
        for t in range(m_Q.size):
            x, y = exp((a[t] - m_Q[t]) * scale), exp((b[t] - m_Q[t]) * scale)
            a[t], b[t] = x, y
            part_Q[t] += x + y
    for t in range(BLOCK):
        total[t] += part[t]


@helper
def _hide(a_SQ, keys):
    """Write score -inf, thus weight 0, for queries that do not read a key of the diagonal."""
    for i in range(keys):
        first = first_query(i, True)
        a = row(a_SQ, i, first)[:LANES]
        unread = np.int32(i - first)  # of 32 bits: comparisons fill vectors as float32 does
        for t in range(LANES):
            a[t] = -np.inf if np.int32(t) < unread else a[t]
        clear_vector_before(a_SQ, i, first)


@helper
def _higher(x, y):
    return x if x > y else y  # skips a NaN in x, which reaches the result as a weight


@helper
def _scale_rows(x, t0, rows, D, factor):
    x_flat = x.flat
    for i in range(rows):
        x_D, by = x_flat[(t0 + i) * x.step :][:D], factor[i]
        for d in range(D):
            x_D[d] *= by


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


def with_products(attend, loop, products):
    """Return a kernel, this one or that of backward, whose loop has a different module's products.
    """
    names = loop.py_func.__globals__ | {"products": products}
    names[loop.__name__] = helper(FunctionType(loop.py_func.__code__, names, loop.__name__))
    rounded = FunctionType(attend.py_func.__code__, names, f"{attend.__name__}_bf16")
    rounded.__qualname__ = rounded.__name__
    return kernel(rounded)
