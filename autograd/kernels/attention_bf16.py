"""Attention whose five products have operands rounded to bfloat16.

Read `autograd.kernels.attention` first: the blocks, what is saved, and all but the products are the
same here, scores, weights and sums in float32. Rounded are q, k, v and dy, and before a product
the weights and the gradients of the scores. What belongs to a query, -lse and -dy . y, is no
element of a row here, where it would be rounded, but where the sums of scores begin.

A product reads rows and panels of pairs (`autograd.kernels.pairs`), always of whole blocks:

    a = k q^T, da = v dy^T    rows k, v (keys, D)        panels of q^T, dy^T (D, queries)
    y += a^T v, dq += dz^T k  rows a^T, dz^T: turned     panels of v, k (keys, D)
    dv += a dy, dk += dz q    rows a, dz                 panels of dy, q (queries, D)

so on the diagonal weights of unseen keys are made 0, all of them. Values that are not finite are
multiplied in float32 there, since 0 times infinity or NaN is NaN.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.attention_blocks import (
    BLOCK,
    add_bias,
    add_keys,
    add_to_bias,
    all_finite,
    begin_sums,
    clear_unseen,
    copy_rows,
    empty,
    hide_masked,
    minus_dots,
    row_length,
    scale_rows,
    weights,
    weights_backward,
)
from autograd.kernels.attention_heads import DK, DQ, DV, DY, K, Q, V, Y, head
from autograd.kernels.bf16_tile import ROOM, close_tiles, multiply_rows, open_tiles
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.pairs import (
    DEEP,
    WIDTH,
    pack_pairs,
    padded_pairs,
    pairs_side_by_side,
    turn_pairs,
)
from autograd.kernels.register_tile import empty_lines

HALF = BLOCK // 2  # pairs of a block


@helper
def _size_of_panels(columns, depth):
    return (columns + WIDTH - 1) // WIDTH * WIDTH * depth


@helper
def _empty_rows(S, D):
    """Memory for S rows along D, and for a block that begins with the last."""
    return empty_lines((S + BLOCK) * padded_pairs(D), np.uint32)


@helper
def _empty_panels(S, D):
    """Memory for the panels, as wide as D, of each block of S rows."""
    return empty_lines((S + BLOCK - 1) // BLOCK * _size_of_panels(D, HALF), np.uint32)


@helper
def _room(D):
    """Memory for pairs on their way: WIDTH rows along D, or DEEP of a block."""
    return empty_lines(max(WIDTH * padded_pairs(D), DEEP * BLOCK + WIDTH), np.uint32)


@helper
def _pack_blocks(x, x_row, S, D, panels, room):
    for s0 in range(0, S, BLOCK):
        pack_pairs(x, s0 * x_row, x_row, 1, min(BLOCK, S - s0), D, HALF,
                   panels[s0 // BLOCK * _size_of_panels(D, HALF) :], room)  # fmt: skip


@helper
def _panels_of_block(all_panels, x, x_row, S, D, s0, keys, block_panels, room):
    """(panels of `keys` rows from s0 on, where they begin in these): what `_pack_blocks` has made
    if that is a block of it; else they are made here."""
    if s0 % BLOCK == 0 and keys == min(BLOCK, S - s0):
        return all_panels, s0 // BLOCK * _size_of_panels(D, HALF)
    pack_pairs(x, s0 * x_row, x_row, 1, keys, D, HALF, block_panels, room)
    return block_panels, 0


@helper
def _scores(x, s0, panels, begin, add, keys, D, a_SQ, room):
    """a_st = x_s . (what is packed for t), plus begin_t if `add`."""
    deep = padded_pairs(D)
    for j in range(0, BLOCK, WIDTH):
        multiply_rows(x, s0 * deep, deep, panels, j * deep, begin, j, 0, a_SQ, j, BLOCK,
                      deep, keys, min(WIDTH, BLOCK - j), add, False, room)  # fmt: skip


@helper
def _add_products(rows, panels, p0, n, y, y0, y_row, D, add, room):
    """y_i (+)= the product of n rows of HALF pairs with the panels from p0 on."""
    for j in range(0, D, WIDTH):
        y_j = y0 + j
        multiply_rows(rows, 0, HALF, panels, p0 + j * HALF, y, y_j, y_row, y, y_j, y_row,
                      HALF, n, min(WIDTH, D - j), add, False, room)  # fmt: skip


@helper
def _turned(a_SQ, keys, rows, room):
    """rows[t, p]: the pairs along the keys."""
    for p in range(0, HALF, DEEP):
        turn_pairs(a_SQ, 2 * p * BLOCK, BLOCK, keys - 2 * p, BLOCK, rows, p, HALF, room)


@kernel
def attention_bf16(table, lse_BHT, mask_BS, bias_BHTS, G, S, D, causal, threads):
    B, H, T = lse_BHT.shape
    ahead = S - T if causal else S
    blocks = (T + BLOCK - 1) // BLOCK
    jobs = B * H * blocks
    for thread in prange(threads):
        _query_blocks(jobs * thread // threads, jobs * (thread + 1) // threads, blocks,
                      table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead)  # fmt: skip


@helper
def _query_blocks(first, end, blocks, table, lse_BHT, mask_BS, bias_BHTS, G, S, D, ahead):
    _, H, T = lse_BHT.shape
    lse = lse_BHT.reshape(-1)
    row, deep = row_length(D, lse), padded_pairs(D)
    pairs, sums = _room(D), empty_lines(ROOM, np.float32)
    keys_SD, values_SD = _empty_rows(S, D), _empty_panels(S, D)
    q_panels = empty_lines(_size_of_panels(BLOCK, deep), np.uint32)
    rows, v_panels = empty_lines(BLOCK * HALF, np.uint32), _empty_panels(BLOCK, D)
    a_SQ, values_KD = empty(BLOCK**2, lse), empty(BLOCK * row, lse)
    m, part, change = empty(BLOCK, lse), empty(BLOCK, lse), empty(BLOCK, lse)
    total = np.empty(BLOCK)
    scale = lse.dtype.type(1 / math.sqrt(D))
    extras, prepared = mask_BS.size > 0 or bias_BHTS.size > 0, -1
    open_tiles()
    for job in range(first, end):
        z, block = job // blocks, job % blocks
        b, h = z // H, z % H
        group = b * G + h * G // H
        t0 = BLOCK * (block // 2 if block % 2 == 0 else blocks - 1 - block // 2)
        q, q_row = head(table, Q, z, H, T, D, lse)
        k, k_row = head(table, K, group, G, S, D, lse)
        v, v_row = head(table, V, group, G, S, D, lse)
        y, y_row = head(table, Y, z, H, T, D, lse)
        if group != prepared:
            pairs_side_by_side(k, 0, k_row, S, D, keys_SD, 0, deep, deep)
            _pack_blocks(v, v_row, S, D, values_SD, pairs)
            prepared = group
        n, y0 = min(BLOCK, T - t0), t0 * y_row
        pack_pairs(q, t0 * q_row, 1, q_row, D, n, deep, q_panels, pairs)
        for t in range(BLOCK):
            m[t], total[t] = np.finfo(lse.dtype).min, 0
        whole, seen = min(S, t0 + ahead), min(S, t0 + ahead + n)
        s0 = 0
        while s0 < seen:
            diagonal = s0 >= whole
            keys = min(BLOCK, (seen if diagonal else whole) - s0)
            _scores(keys_SD, s0, q_panels, m, False, keys, D, a_SQ, sums)
            add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
            hide_masked(a_SQ, keys, mask_BS, b, s0)
            weights(a_SQ, keys, diagonal, scale, m, total, part, change)
            if s0 > 0:
                scale_rows(y, y0, y_row, n, D, change)
            if diagonal:
                clear_unseen(a_SQ, keys)
                copy_rows(v, s0 * v_row, v_row, keys, D, values_KD, row)
            if diagonal and not all_finite(values_KD[: keys * row]):
                add_keys(a_SQ, keys, n, True, True, values_KD, 0, row, y, y0, y_row, D, s0 > 0)
            else:
                panels, p0 = _panels_of_block(values_SD, v, v_row, S, D, s0, keys, v_panels, pairs)
                _turned(a_SQ, keys, rows, pairs)
                _add_products(rows, panels, p0, n, y, y0, y_row, D, s0 > 0, sums)
            s0 += keys
        for i in range(n):
            nothing = extras and total[i] == 0
            lse[z * T + t0 + i] = 0 if nothing else m[i] * scale + math.log(total[i])
            change[i] = 0 if nothing else 1 / total[i]
        scale_rows(y, y0, y_row, n, D, change)
    close_tiles()


@kernel
def attention_backward_bf16(
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
    _, H, T = lse_BHT.shape
    lse, heads, deep = lse_BHT.reshape(-1), H // G, padded_pairs(D)
    pairs, sums = _room(D), empty_lines(ROOM, np.float32)
    keys_SD, values_SD, keys_across = _empty_rows(S, D), _empty_rows(S, D), _empty_panels(S, D)
    q_along = empty_lines(_size_of_panels(BLOCK, deep), np.uint32)
    dy_along = empty_lines(q_along.size, np.uint32)
    q_across, dy_across = _empty_panels(BLOCK, D), _empty_panels(BLOCK, D)
    rows, k_panels = empty_lines(BLOCK * HALF, np.uint32), _empty_panels(BLOCK, D)
    a_SQ, dz_SQ = empty(BLOCK**2, lse), empty(BLOCK**2, lse)
    minus_lse, minus_dot = empty(BLOCK, lse), empty(BLOCK, lse)
    scale = lse.dtype.type(1 / math.sqrt(D))
    open_tiles()
    for job in range(first * together * heads, end * together * heads):
        unit, h_in_group = job // (together * heads), job % heads
        b, g = unit // G * together + job // heads % together, unit % G
        h, group = g * heads + h_in_group, b * G + g
        z = b * H + h
        q, q_row = head(table, Q, z, H, T, D, lse)
        k, k_row = head(table, K, group, G, S, D, lse)
        v, v_row = head(table, V, group, G, S, D, lse)
        y, y_row = head(table, Y, z, H, T, D, lse)
        dy, dy_row = head(table, DY, z, H, T, D, lse)
        dq, dq_row = head(table, DQ, z, H, T, D, lse)
        dk, dk_row = head(table, DK, group, G, S, D, lse)
        dv, dv_row = head(table, DV, group, G, S, D, lse)
        if h_in_group == 0:
            pairs_side_by_side(k, 0, k_row, S, D, keys_SD, 0, deep, deep)
            pairs_side_by_side(v, 0, v_row, S, D, values_SD, 0, deep, deep)
            _pack_blocks(k, k_row, S, D, keys_across, pairs)
        seen_before = 0
        for t0 in range(0, T, BLOCK):
            n = min(BLOCK, T - t0)
            q0, dy0 = t0 * q_row, t0 * dy_row
            pack_pairs(q, q0, 1, q_row, D, n, deep, q_along, pairs)
            pack_pairs(dy, dy0, 1, dy_row, D, n, deep, dy_along, pairs)
            pack_pairs(q, q0, q_row, 1, n, D, HALF, q_across, pairs)
            pack_pairs(dy, dy0, dy_row, 1, n, D, HALF, dy_across, pairs)
            for t in range(n):
                minus_lse[t] = -lse[z * T + t0 + t] / scale
            minus_dots(dy, dy0, dy_row, y, t0 * y_row, y_row, n, D, minus_dot)
            whole, seen = min(S, t0 + ahead), min(S, t0 + ahead + n)
            adds = t0 > 0 or h_in_group > 0
            if t0 > 0 and h_in_group == 0:
                begin_sums(dk, dk_row, dv, dv_row, seen_before, seen, D)
            seen_before = seen
            s0 = 0
            while s0 < seen:
                diagonal = s0 >= whole
                keys = min(BLOCK, (seen if diagonal else whole) - s0)
                _scores(keys_SD, s0, q_along, minus_lse, True, keys, D, a_SQ, sums)
                _scores(values_SD, s0, dy_along, minus_dot, True, keys, D, dz_SQ, sums)
                add_bias(a_SQ, keys, n, bias_BHTS, b, h, t0, s0, scale)
                hide_masked(a_SQ, keys, mask_BS, b, s0)
                weights_backward(a_SQ, dz_SQ, keys, diagonal, scale)
                add_to_bias(dz_SQ, keys, n, diagonal, dbias_BHTS, b, h, t0, s0, scale)
                if diagonal:
                    clear_unseen(a_SQ, keys)
                    clear_unseen(dz_SQ, keys)
                pairs_side_by_side(a_SQ, 0, BLOCK, keys, n, rows, 0, HALF, HALF)
                _add_products(rows, dy_across, 0, keys, dv, s0 * dv_row, dv_row, D, adds, sums)
                pairs_side_by_side(dz_SQ, 0, BLOCK, keys, n, rows, 0, HALF, HALF)
                _add_products(rows, q_across, 0, keys, dk, s0 * dk_row, dk_row, D, adds, sums)
                panels, p0 = _panels_of_block(
                    keys_across, k, k_row, S, D, s0, keys, k_panels, pairs
                )
                _turned(dz_SQ, keys, rows, pairs)
                _add_products(rows, panels, p0, n, dq, t0 * dq_row, dq_row, D, s0 > 0, sums)
                s0 += keys
    close_tiles()
