"""Matrix products of operands rounded to bfloat16, with sums in float32.

    c_ij = sum_k r(a_ik) r(b_kj),    r(x) the bfloat16 nearest to x, of 8 bits, ties to even

A product of two such numbers is exact in float32. Instructions for them multiply pairs along k:
`autograd.kernels.microkernel`. Read `autograd.kernels.matmul` first. The differences:

- All of a is rounded first, by all threads, to rows of pairs, which every job reads. b is rounded
  into panels by each job, as it is copied there.
- Nothing is read in place, and a single row is a product like any other.
- The sums of the rows of b, a gradient, are those of its numbers before they are rounded.

Each c_ij is the sum over k in order, in equal steps, as there. How the terms of a step are added,
two or 32 at once, and whether numbers below 1e-38 count as 0, is the processor's.
"""

import math

import numpy as np
from numba import prange

from autograd.kernels.bf16_tile import ROOM, TALL, close_tiles, multiply_rows, open_tiles
from autograd.kernels.compiler import helper, kernel
from autograd.kernels.matmul_jobs import ADD_BIAS, REPLACE, SUMMED, Matrix, bounds, cut
from autograd.kernels.pairs import (
    DEEP,
    WIDTH,
    empty_pairs,
    pack_pairs,
    padded_pairs,
    pairs_side_by_side,
    turn_pairs,
)

DEPTH = 192  # pairs of a step, a multiple of DEEP


def multiply_bf16(a, b, c_ZMN, a_transposed, b_transposed, task, bias_N, sums_N, threads):
    """The product of float32 matrices that `autograd.kernels.matmul` describes, into c."""
    M, K = (a.shape[2], a.shape[1]) if a_transposed else a.shape[1:]
    rows, blocks = -(-M // TALL) * TALL, -(-K // (2 * DEEP))
    # An odd number of cache lines to a row. Rows that are 4 KiB apart share a set of the cache,
    # which has fewer places than a tile has rows.
    shape = len(a), rows, (blocks | 1) * DEEP
    pairs = empty_pairs.py_func(math.prod(shape)).reshape(shape)
    _multiply_bf16(
        a, b, c_ZMN, pairs, a_transposed, b_transposed, task, bias_N, sums_N, threads
    )  # fmt: skip


@kernel
def _multiply_bf16(
    a, b, c_ZMN, pairs_ZMP, a_transposed, b_transposed, task, bias_N, sums_N, threads
):
    Z, M, N = c_ZMN.shape
    K = a.shape[1 if a_transposed else 2]
    b_steps = K * N if len(b) == Z else 0, 1 if b_transposed else N, K if b_transposed else 1
    a_flat, b_flat, c_flat = a.reshape(-1), b.reshape(-1), c_ZMN.reshape(-1)
    blocks = len(a) * (padded_pairs(K) // DEEP if a_transposed else M)
    for thread in prange(threads):
        first, end = blocks * thread // threads, blocks * (thread + 1) // threads
        if a_transposed:
            _turn(first, end, a_flat, M, K, pairs_ZMP)
        else:
            _round(first, end, a_flat, M, K, pairs_ZMP)
    down, across = cut(Z, M, N, WIDTH, threads)
    jobs = Z * down * across
    for thread in prange(threads):
        _do_jobs(jobs * thread // threads, jobs * (thread + 1) // threads, down, across,
                 pairs_ZMP, b_flat, b_steps, c_flat, M, N, K, task, bias_N, sums_N)  # fmt: skip


@helper
def _round(first, end, a, M, K, pairs_ZMP):
    """Rows of all matrices, counted together."""
    _, rows, row = pairs_ZMP.shape
    pairs = pairs_ZMP.reshape(-1)
    for i in range(first, end):
        to = (i // M * rows + i % M) * row
        pairs_side_by_side(a, i * K, K, 1, K, pairs, to, row, padded_pairs(K))


@helper
def _turn(first, end, a, M, K, pairs_ZMP):
    """DEEP pairs of all rows of a matrix at a time."""
    _, rows, row = pairs_ZMP.shape
    pairs, steps = pairs_ZMP.reshape(-1), padded_pairs(K) // DEEP
    room = np.empty(DEEP * M + WIDTH, np.uint32)
    for i in range(first, end):
        z, p = i // steps, i % steps * DEEP
        turn_pairs(a, (z * K + 2 * p) * M, M, K - 2 * p, M,
                   pairs, z * rows * row + p, row, room)  # fmt: skip


@helper
def _do_jobs(first, end, down, across, pairs_ZMP, b, b_steps, c, M, N, K, task, bias, sums):
    _, rows, row = pairs_ZMP.shape
    pairs, a_matrix = pairs_ZMP.reshape(-1), rows * row if len(pairs_ZMP) > 1 else 0
    b_matrix, b_row, b_column = b_steps
    most_columns = (N + WIDTH * across - 1) // (WIDTH * across) * WIDTH
    panels = empty_pairs(DEPTH * most_columns)
    for_columns, for_rows = empty_pairs(WIDTH * DEPTH), np.empty(ROOM, np.float32)
    open_tiles()
    for job in range(first, end):
        z, part = job // (down * across), job % (down * across)
        i0, i1 = bounds(M, TALL, part // across, down)
        j0, j1 = bounds(N, WIDTH, part % across, across)
        a_part = Matrix(pairs, z * a_matrix + i0 * row, row, 1)
        b_part = Matrix(b, z * b_matrix + j0 * b_column, b_row, b_column)
        c_part = Matrix(c, z * M * N + i0 * N + j0, N, 1)
        begin = Matrix(bias, j0, 0, 1) if task == ADD_BIAS else c_part
        _rectangle(a_part, b_part, begin, c_part, i1 - i0, j1 - j0, K,
                   task != REPLACE, panels, for_columns, for_rows)  # fmt: skip
        if part < across and sums.size:  # each by one job
            _add_sums(b_part, K, sums[j0:j1])
    close_tiles()


@helper
def _rectangle(a, b, begin, c, rows, columns, K, add, panels, for_columns, for_rows):
    """One job: c = a b for `rows` rows of pairs and `columns` columns of b, which are Matrices."""
    deep, p0 = padded_pairs(K), 0
    steps = (deep + DEPTH - 1) // DEPTH
    for step in range(steps):
        p1 = deep // DEEP * (step + 1) // steps * DEEP
        depth = p1 - p0
        pack_pairs(b.flat, b.start + 2 * p0 * b.row, b.row, b.column, K - 2 * p0, columns, depth,
                   panels, for_columns)  # fmt: skip
        s, adds = c if p0 > 0 else begin, add or p0 > 0
        for j in range(0, columns, WIDTH):
            multiply_rows(a.flat, a.start + p0, a.row, panels, j * depth,
                          s.flat, s.start + j, s.row, c.flat, c.start + j, c.row,
                          depth, rows, min(WIDTH, columns - j), adds, for_rows)  # fmt: skip
        p0 = p1


@helper
def _add_sums(b, K, sums):
    """Add the sums of b's columns, over SUMMED rows in float32 at a time."""
    part = np.empty(sums.size, b.flat.dtype)
    for k0 in range(0, K, SUMMED):
        part[:] = 0
        for k in range(k0, min(K, k0 + SUMMED)):
            b_J = b.flat[b.start + k * b.row :][: sums.size]
            for j in range(sums.size):
                part[j] += b_J[j]
        for j in range(sums.size):
            sums[j] += part[j]
