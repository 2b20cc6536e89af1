"""Matrix products of stacks: c_z = a_z b_z, and with either operand transposed.

    c_ij = sum_k a_ik b_kj          2 M N K FLOPs on (M K + K N + M N) numbers

The ladder from the definition to the speed of the hardware:

1. Three loops, over i, j and k. Every multiply-add waits for the one before, and for b_kj, which
   lies N numbers from the last one read.
2. The loop over j innermost: rows of b and c are read as whole vectors. But for every multiply-add
   c is read and written once more, and all of b is read from memory M times.
3. A tile of c, ROWS x `width` numbers, held in registers over the whole loop over k
   (`autograd.kernels.microkernel`): ROWS + 2 reads for 2 ROWS multiply-adds, no write.
4. Blocks, so that what a tile reads is near. COLUMNS columns of b, DEPTH numbers deep, fill half
   of the L2 cache and serve all rows of a; the ROWS rows of a that a tile needs, DEPTH numbers
   long, fit the L1 cache and serve all columns of the block.
5. Panels. b is copied block by block into panels of `width` columns, in the order in which the
   tiles read it: [panel, k, column]. Here b and b^T become the same, the latter through blocks
   transposed in registers. a is read one number at a time, so any layout will do: a^T is a with
   its strides swapped.

A product is cut into jobs, each a rectangle of c that one thread computes alone, packing the
panels that it needs. Every c_ij is the sum over k in order, whatever tile, job or thread it falls
to. Packing reads and writes each number of b once per job, against 2 M FLOPs on it.
Source of the scheme: Goto and van de Geijn, Anatomy of High-Performance Matrix Multiplication,
2008.
"""

import numba
import numpy as np
from numba import prange

from autograd.kernels.compiler import helper, kernel
from autograd.kernels.microkernel import (
    BYTES,
    HEIGHTS,
    ROWS,
    VECTORS,
    copy_panel_row,
    multiply_tile,
    transpose_block,
)

DEPTH, COLUMNS = 384, 256
JOB_ROWS = 256  # fewer rows would not repay packing b once more


def matmul(a_ZMK, b_ZKN):
    return _product(a_ZMK, b_ZKN, False, False)


def matmul_nt(a_ZMK, b_ZNK):
    """a b^T: the gradient of the left operand, da = dc b^T."""
    return _product(a_ZMK, b_ZNK, False, True)


def matmul_tn(a_ZKM, b_ZKN):
    """a^T b: the gradient of the right operand, db = a^T dc."""
    return _product(a_ZKM, b_ZKN, True, False)


def _product(a, b, a_transposed, b_transposed):
    shape = len(a), a.shape[2 if a_transposed else 1], b.shape[1 if b_transposed else 2]
    if a.size == 0 or b.size == 0:
        return np.zeros(shape, a.dtype)
    # Allocated by NumPy, which asks the system for large pages: fewer faults at the first write.
    c_ZMN = np.empty(shape, a.dtype)
    _multiply(a, b, c_ZMN, a_transposed, b_transposed, numba.get_num_threads())
    return c_ZMN


@kernel
def _multiply(a, b, c_ZMN, a_transposed, b_transposed, threads):
    Z, M, N = c_ZMN.shape
    K = a.size // (Z * M)
    a_row, a_col = (1, M) if a_transposed else (K, 1)
    b_row, b_col = (1, K) if b_transposed else (N, 1)
    a_flat, b_flat, c_flat = a.reshape(-1), b.reshape(-1), c_ZMN.reshape(-1)
    width = VECTORS * (BYTES // a.itemsize)
    down, across = _jobs(Z, M, N, width, threads)
    for job in prange(Z * down * across):
        z, rest = job // (down * across), job % (down * across)
        i0, i1 = _part(M, ROWS, rest // across, down)
        j0, j1 = _part(N, width, rest % across, across)
        size = (min(K, DEPTH) + 1) * (j1 - j0 + width)
        panels = np.empty(size + ROWS*width, a.dtype)
        edge = panels[size:]
        for k0 in range(0, K, DEPTH):
            depth = min(DEPTH, K - k0)
            b0 = z * K * N + k0 * b_row + j0 * b_col
            _pack(b_flat, b0, b_row, b_col, depth, j1 - j0, panels)
            a0 = z * M * K + i0 * a_row + k0 * a_col
            c0 = z * M * N + i0 * N + j0
            _multiply_block(a_flat, a0, a_row, a_col, panels, c_flat, c0, N,
                            i1 - i0, j1 - j0, depth, k0 > 0, edge)


@helper
def _jobs(Z, M, N, width, threads):
    """Into how many parts to cut the rows and the columns of c, so that all threads have work."""
    across = (N + COLUMNS - 1) // COLUMNS
    more = 1
    while Z * across * more % threads and Z * across * more < 8 * threads:
        more += 1
    if JOB_ROWS * more <= M or across * more * width > N:
        return more, across
    return 1, across * more


@helper
def _part(size, step, part, parts):
    """The bounds of one part of `size`, cut into parts between multiples of `step`."""
    steps = (size + step - 1) // step
    return steps * part // parts * step, min(size, steps * (part + 1) // parts * step)


@helper
def _pack(b, b0, b_row, b_col, depth, columns, panels):
    """Copy a block of b as panels[panel, k, column]; columns beyond the last hold anything."""
    lanes = BYTES // b.itemsize
    width = VECTORS * lanes
    if b_col == 1:
        whole = columns // width * width
        for k in range(depth):
            for j in range(0, whole, width):
                copy_panel_row(b, b0 + k * b_row + j, panels, j * depth + k * width)
            for j in range(whole, columns):
                panels[whole * depth + k * width + j - whole] = b[b0 + k * b_row + j]
    elif depth >= lanes:
        for j in range(0, columns, lanes):
            place = j // width * width * depth + j % width
            for k in range(0, depth, lanes):
                k = min(k, depth - lanes)  # the last block overlaps the one before
                transpose_block(b, b0 + k + j * b_col, b_col, min(lanes, columns - j),
                                panels, place + k * width, width)
    else:
        for j in range(columns):
            place = j // width * width * depth + j % width
            for k in range(depth):
                panels[place + k * width] = b[b0 + k + j * b_col]


@helper
def _multiply_block(a, a0, a_row, a_col, panels, c, c0, c_row, rows, columns, depth, add, edge):
    """All tiles of a block. One that sticks out to the right goes through `edge`."""
    lanes = BYTES // c.itemsize
    width = VECTORS * lanes
    i = 0
    while i < rows:
        height = _tile_height(rows - i)
        for j in range(0, columns, width):
            inside = min(width, columns - j)
            vectors = (inside + lanes - 1) // lanes
            partial = inside < vectors * lanes
            place = c0 + i * c_row + j
            if partial:
                target, t0, t_row = edge, 0, width
            else:
                target, t0, t_row = c, place, c_row
            multiply_tile(a, a0 + i * a_row, a_row, a_col, panels, j * depth,
                          target, t0, t_row, depth, height, vectors, add and not partial)
            if partial:
                for r in range(height):
                    for s in range(inside):
                        before = c[place + r * c_row + s] if add else c.dtype.type(0)
                        c[place + r * c_row + s] = before + edge[r * width + s]
        i += height


@helper
def _tile_height(rows):
    """The tallest tile that fits."""
    height = 1
    for h in HEIGHTS:
        if height < h <= rows:
            height = h
    return height
