"""Matrix products of operands rounded to bfloat16, with sums in float32.

    c_ij = sum_k r(a_ik) r(b_kj),    r(x) the bfloat16 nearest to x, of 8 bits, ties to even

A product of two such numbers is exact in float32. Instructions for them multiply pairs along k:
`autograd.kernels.bf16.pair_tile`. Read `autograd.kernels.matmul` first. The differences:

- a is rounded to rows of pairs, [step of the depth, row, pair]. A job rounds its rows where they
  fit a cache; else all threads round all of a first. b becomes panels: a job makes those of a step,
  or all are made first if several jobs read them.
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
from autograd.kernels.matmul import ADD_BIAS, REPLACE, Matrix, bounds, cut
from autograd.kernels.panels import empty_lines

NEAR = 1 << 19  # pairs that fit the L2 cache
DEPTH = 192  # pairs of a step, a multiple of DEEP


def multiply_bf16(a, b, c_ZMN, a_transposed, b_transposed, task, bias_N, sums_N, threads):
    """Compute c as `autograd.kernels.matmul.multiply` does.

    parts_KN   sums over 2 DEEP rows of b each, if sums_N has a size
    """
    M, K = (a.shape[2], a.shape[1]) if a_transposed else a.shape[1:]
    Z, _, N = c_ZMN.shape
    blocks = -(-K // (2 * DEEP))
    down, across = cut.py_func(Z, M, N, WIDTH, threads)
    steps = -(-blocks * DEEP // DEPTH)
    depth = -(-blocks // steps) * DEEP
    # An odd number of cache lines to a row. Rows that are 4 KiB apart share a set of the cache,
    # which has fewer places than a tile has rows.
    row = (depth // DEEP | 1) * DEEP
    near = len(a) == Z and down >= threads and -(-M // down) * steps * row <= NEAR
    shape = 0 if near else len(a), steps, -(-M // TALL) * TALL, row
    pairs = empty_lines.py_func(math.prod(shape), np.uint32).reshape(shape)
    shape = len(b), -(-N // WIDTH), blocks * DEEP * WIDTH if down > 1 or len(b) < Z else 0
    panels = empty_lines.py_func(math.prod(shape), np.uint32).reshape(shape)
    parts_KN = np.empty((blocks if sums_N.size else 0, N), np.float32)
    _multiply_bf16(a, b, c_ZMN, pairs, panels, a_transposed, b_transposed, task, bias_N, parts_KN,
                   sums_N, depth, down, across, threads)


@kernel
def _multiply_bf16(
    a, b, c_ZMN, pairs_ZSMP, panels, a_transposed, b_transposed, task, bias_N, parts_KN, sums_N,
    depth, down, across, threads,
):
    Z, M, N = c_ZMN.shape
    K = a.shape[1 if a_transposed else 2]
    b_steps = K * N if len(b) == Z else 0, 1 if b_transposed else N, K if b_transposed else 1
    a_flat, b_flat, c_flat = a.reshape(-1), b.reshape(-1), c_ZMN.reshape(-1)
    blocks = padded_pairs(K) // DEEP
    of_a = len(pairs_ZSMP) * (blocks if a_transposed else M)
    of_b = len(b) * (len(panels[0]) if b_transposed else blocks) if panels.size else 0
    for thread in prange(threads):
        first, end = of_a * thread // threads, of_a * (thread + 1) // threads
        _round_all(first, end, a_flat, a_transposed, M, K, depth, pairs_ZSMP)
        first, end = of_b * thread // threads, of_b * (thread + 1) // threads
        _pack(first, end, b_flat, b_transposed, K, N, panels, parts_KN)
    jobs = Z * down * across
    for thread in prange(threads):
        _do_jobs(jobs * thread // threads, jobs * (thread + 1) // threads, down, across,
                 a_flat, a_transposed, pairs_ZSMP, b_flat, b_steps, panels, c_flat, M, N, K, depth,
                 task, bias_N, parts_KN)
    for k in range(len(parts_KN)):
        for j in range(N):
            sums_N[j] += parts_KN[k, j]


@helper
def _round_all(first, end, a, transposed, M, K, depth, pairs_ZSMP):
    """Round rows of all matrices, counted together; for a^T, DEEP pairs of all rows of one."""
    _, steps, rows, row = pairs_ZSMP.shape
    pairs, deep = pairs_ZSMP.reshape(-1), padded_pairs(K)
    parts = deep // DEEP if transposed else M
    for job in range(first, end):
        z, i, p = job // parts, job % parts, job % parts * DEEP
        i0, i1, p0, p1 = (0, M, p, p + DEEP) if transposed else (i, i + 1, 0, deep)
        _round(a, z * K * M, transposed, M, K, i0, i1, p0, p1, depth,
               pairs, z * steps * rows * row, rows, row)


@helper
def _round(a, a0, transposed, M, K, i0, i1, p0, p1, depth, y, y0, y_rows, y_row):
    """Write pairs p0 to p1 of rows i0 to i1 of the matrix at a0 as y[step, i, p]."""
    room = np.empty(DEEP * (i1 - i0) + WIDTH if transposed else 0, np.uint32)
    for p in range(p0, p1, DEEP if transposed else depth):
        to = y0 + (p // depth * y_rows + i0) * y_row + p % depth
        if transposed:
            turn_pairs(a, a0 + 2 * p * M + i0, M, K - 2 * p, i1 - i0, y, to, y_row, room)
        else:
            pairs_side_by_side(a, a0 + i0 * K + 2 * p, K, i1 - i0, K - 2 * p, y, to, y_row,
                               min(depth, p1 - p))


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
                _sum_rows(b, start, N, min(2 * DEEP, K - 2 * p), N, parts_KN[block], 0)


@helper
def _pack_step(b, p0, K, columns, depth, panels, room, parts_KN, j0):
    """Pack panels of a job's columns, from pair p0 on."""
    start = b.start + 2 * p0 * b.row
    pack_pairs(b.flat, start, b.row, b.column, K - 2 * p0, columns, depth, panels, room)
    for block in range(p0 // DEEP, min((p0 + depth) // DEEP, len(parts_KN))):
        k = 2 * DEEP * block
        _sum_rows(b.flat, b.start + k * b.row, b.row, min(2 * DEEP, K - k), columns,
                  parts_KN[block], j0)


@helper
def _do_jobs(
    first, end, down, across, a, a_transposed, pairs_ZSMP, b, b_steps, panels_ZJP, c, M, N, K,
    most, task, bias, parts_KN,
):
    _, steps, rows, row = pairs_ZSMP.shape
    pairs, a_matrix = pairs_ZSMP.reshape(-1), steps * rows * row if len(pairs_ZSMP) > 1 else 0
    b_matrix, b_row, b_column = b_steps
    packed, size = panels_ZJP.reshape(-1), panels_ZJP.shape[2]
    for_rows = empty_lines(ROOM, np.float32)
    room = empty_lines(0 if packed.size else WIDTH * most, np.uint32)
    most_rows = (M + TALL * down - 1) // (TALL * down) * TALL
    most_columns = (N + WIDTH * across - 1) // (WIDTH * across) * WIDTH
    near, rounded = len(pairs_ZSMP) == 0, -1
    if near:
        rows = most_rows
        pairs = empty_lines(steps * rows * row, np.uint32)
    panels = packed if packed.size else empty_lines(most * most_columns, np.uint32)
    deep = padded_pairs(K)
    sums = empty_lines(most_rows * most_columns if steps > 1 else 0, np.float32)
    open_tiles()
    for job in range(first, end):
        z, part = job // (down * across), job % (down * across)
        i0, i1 = bounds(M, TALL, part // across, down)
        j0, j1 = bounds(N, WIDTH, part % across, across)
        if near and rounded != job // across:
            rounded = job // across
            _round(a, z * M * K, a_transposed, M, K, i0, i1, 0, deep, most,
                   pairs, -i0 * row, rows, row)
        a0 = 0 if near else z * a_matrix + i0 * row
        for step in range(steps):
            p0 = step * most
            depth = min(most, deep - p0)
            panel, panel_size = j0 * deep + p0 * WIDTH, deep
            if packed.size:
                panel += z * panels_ZJP.shape[1] * size if b_matrix else 0
            else:
                panel, panel_size = 0, depth
                _pack_step(Matrix(b, z * b_matrix + j0 * b_column, b_row, b_column), p0, K,
                           j1 - j0, depth, panels, room, parts_KN, j0)
            last = step == steps - 1
            for j in range(0, j1 - j0, WIDTH):
                c0, so_far = z * M * N + i0 * N + j0 + j, j * (i1 - i0)
                s, s0, s_row = (bias, j0 + j, 0) if task == ADD_BIAS else (c, c0, N)
                if step > 0:
                    s, s0, s_row = sums, so_far, WIDTH
                to, to0, to_row = (c, c0, N) if last else (sums, so_far, WIDTH)
                multiply_rows(pairs, a0 + step * rows * row, row,
                              panels, panel + j * panel_size, s, s0, s_row, to, to0, to_row,
                              depth, i1 - i0, min(WIDTH, j1 - j0 - j), task != REPLACE or step > 0,
                              for_rows)
    close_tiles()


@helper
def _sum_rows(x, x0, x_row, rows, columns, y, y0):
    """y[y0 + j] = sum_i x_ij"""
    y_J = y[y0:][:columns]
    y_J[:] = 0
    for i in range(rows):
        x_J = x[x0 + i * x_row :][:columns]
        for j in range(columns):
            y_J[j] += x_J[j]
