"""Matrix products of operands rounded to bfloat16, with sums in float32.

    c_ij = sum_k r(a_ik) r(b_kj),    r(x) the bfloat16 nearest to x, of 8 bits, ties to even

A product of two such numbers is exact in float32. Instructions for them multiply pairs along k:
`autograd.kernels.bf16.pair_tile`. Read `autograd.kernels.matmul` first. The differences:

- All threads first make all panels of b. A job rounds its rows of a to pairs, [step of the depth,
  row, pair]: they are in its cache when they are read.
- Until the last step the sums of a job are kept side by side, for c can be large and is written
  once.
- Nothing is read in place, and a single row is a product like any other.
- The sums of the rows of b, a gradient, are taken before b is rounded.

Each c_ij is the sum over k in order, in equal steps, as there. The processor decides whether two or
32 terms of a step are added at once, and whether numbers below 1e-38 count as 0.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.bf16.pairs import (
    DEEP,
    WIDTH,
    pack_pairs,
    padded_pairs,
    pairs_across,
    pairs_side_by_side,
    turn_pairs,
)
from autograd.kernels.bf16.tile import ROOM, TALL, close_tiles, multiply_rows, open_tiles
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.matmul import ADD_BIAS, REPLACE, bounds, cut
from autograd.kernels.panels import empty_lines

DEPTH = 192  # pairs of a step, a multiple of DEEP


def multiply_bf16(a, b, c_ZMN, a_transposed, b_transposed, task, bias_N, sums_N, threads):
    """Compute c as `autograd.kernels.matmul.multiply` does.

    parts_KN   sums over 2 DEEP rows of b each, if sums_N has a size
    """
    N = c_ZMN.shape[2]
    deep = padded_pairs.py_func(a.shape[1 if a_transposed else 2])
    shape = len(b), -(-N // WIDTH), deep * WIDTH
    panels_ZJP = empty_lines.py_func(math.prod(shape), np.uint32).reshape(shape)
    parts_KN = np.empty((deep // DEEP if sums_N.size else 0, N), np.float32)
    _multiply_bf16(a, b, c_ZMN, panels_ZJP, a_transposed, b_transposed, task, bias_N, parts_KN,
                   threads)
    if sums_N.size:
        sums_N += parts_KN.sum(0, np.float64)


@kernel
def _multiply_bf16(
    a, b, c_ZMN, panels_ZJP, a_transposed, b_transposed, task, bias_N, parts_KN, threads
):
    Z, M, N = c_ZMN.shape
    K = a.shape[1 if a_transposed else 2]
    a_flat, b_flat, c_flat = a.reshape(-1), b.reshape(-1), c_ZMN.reshape(-1)
    a_matrix = M * K if len(a) == Z else 0
    parts = len(b) * (len(panels_ZJP[0]) if b_transposed else padded_pairs(K) // DEEP)
    for thread in prange(threads):
        first, end = parts * thread // threads, parts * (thread + 1) // threads
        _pack(first, end, b_flat, b_transposed, K, N, panels_ZJP, parts_KN)
    down, across = cut(Z, M, N, WIDTH, threads)
    jobs = Z * down * across
    for thread in prange(threads):
        _do_jobs(jobs * thread // threads, jobs * (thread + 1) // threads, down, across,
                 a_flat, a_transposed, a_matrix, panels_ZJP, c_flat, M, N, K, task, bias_N)


@helper
def _pack(first, end, b, transposed, K, N, panels_ZJP, parts_KN):
    """Pack a panel of b^T at a time, or DEEP pairs of all columns of b."""
    _, panels, size = panels_ZJP.shape
    deep = size // WIDTH
    flat = panels_ZJP.reshape(-1)
    room = empty_lines(size if transposed else 0, np.uint32)
    for i in range(first, end):
        if transposed:
            j = i % panels * WIDTH
            pack_pairs(b, (i // panels * N + j) * K, 1, K, K, min(WIDTH, N - j), deep,
                       flat[i * size :], room)
        else:
            z, block = i // (deep // DEEP), i % (deep // DEEP)
            p = block * DEEP
            start = (z * K + 2 * p) * N
            pairs_across(b, start, N, K - 2 * p, N, flat, z * panels * size + p * WIDTH, WIDTH,
                         size, DEEP)
            if len(parts_KN):
                _sum_rows(b, start, min(2 * DEEP, K - 2 * p), parts_KN[block])


@helper
def _do_jobs(
    first, end, down, across, a, a_transposed, a_matrix, panels_ZJP, c, M, N, K, task, bias
):
    panels, deep = panels_ZJP.reshape(-1), padded_pairs(K)
    b_matrix = panels_ZJP[0].size if len(panels_ZJP) > 1 else 0
    steps = -(-deep // DEPTH)
    most = -(-deep // (DEEP * steps)) * DEEP
    # An odd number of cache lines to a row. Rows that are 4 KiB apart share a set of the cache,
    # which has fewer places than a tile has rows.
    row = (most // DEEP | 1) * DEEP
    rows = -(-M // (TALL * down)) * TALL
    most_columns = -(-N // (WIDTH * across)) * WIDTH
    pairs, rounded = empty_lines(steps * rows * row, np.uint32), -1
    sums = empty_lines(rows * most_columns if steps > 1 else 0, np.float32)
    for_rows = empty_lines(ROOM, np.float32)
    open_tiles()
    for job in range(first, end):
        z, part = job // (down * across), job % (down * across)
        i0, i1 = bounds(M, TALL, part // across, down)
        j0, j1 = bounds(N, WIDTH, part % across, across)
        if rounded != job // across:  # jobs of the same rows follow each other
            rounded = job // across
            _round(a, z * a_matrix, a_transposed, M, K, i0, i1, most, pairs, rows * row, row)
        for step in range(steps):
            p0 = step * most
            last, depth = step == steps - 1, min(most, deep - p0)
            panel = z * b_matrix + j0 * deep + p0 * WIDTH
            for j in range(0, j1 - j0, WIDTH):
                c0, so_far = z * M * N + i0 * N + j0 + j, j * (i1 - i0)
                s, s0, s_row = (bias, j0 + j, 0) if task == ADD_BIAS else (c, c0, N)
                if step > 0:
                    s, s0, s_row = sums, so_far, WIDTH
                to, to0, to_row = (c, c0, N) if last else (sums, so_far, WIDTH)
                multiply_rows(pairs, step * rows * row, row, panels, panel + j * deep,
                              s, s0, s_row, to, to0, to_row,
                              depth, i1 - i0, min(WIDTH, j1 - j0 - j), task != REPLACE or step > 0,
                              for_rows)
    close_tiles()


@helper
def _round(a, a0, transposed, M, K, i0, i1, depth, y, y_step, y_row):
    """Write pairs of rows i0 to i1 of the matrix at a0 as y[step, i - i0, p]."""
    room = np.empty(DEEP * (i1 - i0) + WIDTH if transposed else 0, np.uint32)
    deep = padded_pairs(K)
    for p in range(0, deep, DEEP if transposed else depth):
        to = p // depth * y_step + p % depth
        if transposed:
            turn_pairs(a, a0 + 2 * p * M + i0, M, K - 2 * p, i1 - i0, y, to, y_row, room)
        else:
            pairs_side_by_side(a, a0 + i0 * K + 2 * p, K, i1 - i0, K - 2 * p, y, to, y_row,
                               min(depth, deep - p))


@helper
def _sum_rows(x, x0, rows, y_J):
    """y_j = sum_i x_ij, over rows that follow each other from x0 on."""
    y_J[:] = 0
    for i in range(rows):
        x_J = x[x0 + i * y_J.size :][: y_J.size]
        for j in range(y_J.size):
            y_J[j] += x_J[j]
