"""Matrix products of stacks: c_z = a_z b_z, and with either operand transposed.

    c_ij = sum_k a_ik b_kj          2 M N K FLOPs on M K + K N + M N elements

The ladder from the definition to the speed of the hardware:

1. Three loops, over i, j and k. Every multiply-add waits for the one before, and for b_kj, which
   lies N elements from the last one read.
2. The loop over j innermost: rows of b and c are read as whole vectors. But every multiply-add
   reads and writes c once more, and all of b is read from memory M times.
3. A tile of c, ROWS rows of VECTORS vectors (`width` elements), is held in registers during the
   whole loop over k: `autograd.kernels.microkernel`.
4. Blocks, so that what a tile reads is near. COLUMNS columns of b, DEPTH elements deep, fill a part
   of the L2 cache and serve all rows of a. The ROWS rows of a that a tile needs, DEPTH elements
   long, fit the L1 cache and serve all columns of the block.
5. Panels. The block of b is first copied into panels of `width` columns, in the order in which
   tiles read it: [panel, k, column]. b^T becomes the same panels, through small squares
   transposed in registers. a is read one element at a time, so that its layout matters less: a^T
   is a with its strides swapped. Only with short vectors are the rows of a tile of a^T copied
   first, [k, row], where many panels follow: each k lies on another page of memory, and a short
   panel leaves less time to read ahead. With vectors of a whole line the copy takes longer than it
   saves: on AMD Zen 5 products a^T b ran at 190 to 216 GFLOP/s with it, at 207 to 236 without.

c is cut into rectangles, the jobs; one thread computes one, with panels of its own. A job has at
most TALLEST rows, so that c is near, too, when one partial sum over k is added to the one before.
Each c_ij is the sum over k in order, in equal steps of at most DEPTH terms, whatever tile, job or
thread it falls to. A layer's bias, or a gradient to be added to, is where these sums begin. The
gradient of a bias, the sum of the rows of b, is a product with a row of ones, by panels that are
there already: a product for SUMMED rows at a time, which are added up in float64.

A job of few rows would not repay the copy of b: it reads b in place, if b is not transposed and
its columns fill whole panels. With a single row memory sets the time, not arithmetic: c = a b is
computed from STRIP rows of b at a time, which are read from end to end, and c = a b^T is a dot
product for each row of b.
Source of blocks and panels: Goto and van de Geijn, Anatomy of High-Performance Matrix
Multiplication, 2008.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from autograd.kernels.compiler import helper, kernel
from autograd.kernels.microkernel import multiply_tile
from autograd.kernels.panels import copy_panel_row, empty_lines, pack_rows, tile_height
from autograd.kernels.tiles import BYTES, HEIGHTS, LINE, ROWS, VECTORS

COLUMNS, TALLEST, DEPTH, STRIP = 256, 512, 384, 16
REPLACE, ADD, ADD_BIAS = range(3)  # c = a b; c += a b; c = a b + bias
SUMMED = 32  # rows of b that are summed before they are added up in float64
PACKING = 8  # copying a panel takes as long as multiplying so many rows with it
# Up to this many rows b is read in place. 128 in AVX-512, 64 in AVX2: the narrower a panel, the
# more rows of b, each far from the last in memory, are read for as many multiply-adds.
FEW_ROWS = VECTORS * BYTES
FEW_PANELS = 3  # that do not repay the copy of a tile's rows of a^T


class Matrix(NamedTuple):
    """A matrix in a flat array: entry (i, j) is at start + i row + j column."""

    flat: np.ndarray
    start: int
    row: int
    column: int


@kernel
def multiply(a, b, c_ZMN, a_transposed, b_transposed, task, bias_N, sums_N, threads):
    Z, M, N = c_ZMN.shape
    K = a.shape[1 if a_transposed else 2]
    # The steps in the flat arrays from one matrix, row and column to the next.
    a_steps = M * K if len(a) == Z else 0, 1 if a_transposed else K, M if a_transposed else 1
    b_steps = K * N if len(b) == Z else 0, 1 if b_transposed else N, K if b_transposed else 1
    a_flat, b_flat, c_flat = a.reshape(-1), b.reshape(-1), c_ZMN.reshape(-1)
    depth = STRIP if M == 1 and not b_transposed else -(-K // -(-K // DEPTH))  # equal steps
    down, across = cut(Z, M, N, VECTORS * (BYTES // a.itemsize), threads)
    jobs = Z * down * across
    for thread in prange(threads):
        # In a function of its own: what stands directly in the parallel loop compiles to code
        # that takes twice as long for small products.
        _do_jobs(jobs * thread // threads, jobs * (thread + 1) // threads, down, across,
                 a_flat, a_steps, b_flat, b_steps, c_flat, M, N, K, depth,
                 task, bias_N, sums_N)


@helper
def cut(Z, M, N, width, threads):
    """Return into how many parts to cut rows and columns of c, so that all threads have work."""
    across = -(-N // COLUMNS)
    down = max(1, -(-M // TALLEST))
    more = 1
    while Z * down * across * more % threads and Z * down * across * more < 8 * threads:
        more += 1
    panels = -(-N // width)
    time_by_rows = (M // (down * more) + PACKING) * (panels // across)
    time_by_columns = (M // down + PACKING) * -(-panels // (across * more))
    return (down * more, across) if time_by_rows < time_by_columns else (down, across * more)


@helper
def bounds(size, step, part, parts):
    """Return the bounds of one part of `size`, cut into parts at multiples of `step`."""
    steps = -(-size // step)
    return steps * part // parts * step, min(size, steps * (part + 1) // parts * step)


@helper
def _do_jobs(first, end, down, across, a, a_steps, b, b_steps, c, M, N, K, most, task, bias, sums):
    a_matrix, a_row, a_column = a_steps
    b_matrix, b_row, b_column = b_steps
    width = VECTORS * (BYTES // c.itemsize)
    most_columns = -(-N // (width * across)) * width
    panels = empty_lines((most + width) * most_columns, c.dtype)
    a_rows = empty_lines(most * ROWS + width, c.dtype)
    for job in range(first, end):
        z, part = job // (down * across), job % (down * across)
        i0, i1 = bounds(M, HEIGHTS[1], part // across, down)
        j0, j1 = bounds(N, width, part % across, across)
        a_part = Matrix(a, z * a_matrix + i0 * a_row, a_row, a_column)
        b_part = Matrix(b, z * b_matrix + j0 * b_column, b_row, b_column)
        c_part = Matrix(c, z * M * N + i0 * N + j0, N, 1)
        if M == 1 and b_row == 1 and task == REPLACE and sums.size == 0:
            a0, c0 = a_part.start, c_part.start
            _dot_products(a[a0 : a0 + K], b, b_part.start, c[c0 : c0 + j1 - j0])
        else:
            begin = Matrix(bias, j0, 0, 1) if task == ADD_BIAS else c_part
            part_sums = sums[j0:j1] if part < across else sums[:0]  # each by one job
            _rectangle(a_part, b_part, begin, c_part, i1 - i0, j1 - j0, K, most,
                       task != REPLACE, part_sums, panels, a_rows)


@helper
def _dot_products(a_K, b, b0, c_J):
    K = a_K.size
    for j in range(c_J.size):
        b_K = b[b0 + j * K : b0 + j * K + K]
        total = a_K.dtype.type(0)
        for k in range(K):
            total += a_K[k] * b_K[k]
        c_J[j] = total


@helper
def _rectangle(a, b, begin, c, rows, columns, K, most, add, sums, panels, a_rows):
    """Do one job: c = a b for `rows` rows of a and `columns` columns of b, which are Matrices.

    A sum over k begins at the entry of `begin` if `add`, else at 0. If `sums` is not empty, the
    sums of the columns of b are added to it.
    """
    width = VECTORS * (BYTES // c.flat.itemsize)
    # A row of a panel takes `width` entries: in float64 NEON's is narrower than its tile is high.
    copied = (a.row == 1 and a.column != 1 and columns >= FEW_PANELS * width and BYTES < LINE
              and width >= ROWS)
    in_place = rows <= FEW_ROWS and b.column == 1 and columns % width == 0
    for k0 in range(0, K, most):
        depth = min(most, K - k0)
        a_k, b_k = a.start + k0 * a.column, b.start + k0 * b.row
        if in_place:
            panel = Matrix(b.flat, b_k, b.row, 1)
        else:
            _pack(Matrix(b.flat, b_k, b.row, b.column), depth, columns, panels)
            panel = Matrix(panels, 0, width, depth)  # its column j, a multiple of `width`
        before = c if k0 > 0 else begin
        i = 0
        while i < rows:
            height = tile_height(rows - i)
            tile = Matrix(a.flat, a_k + i * a.row, a.row, a.column)
            if copied:
                for k in range(depth):
                    copy_panel_row(a.flat, tile.start + k * a.column, height, a_rows, k * ROWS)
                tile = Matrix(a_rows, 0, 1, ROWS)
            for j in range(0, columns, width):
                multiply_tile(tile.flat, tile.start, tile.row, tile.column,
                              panel.flat, panel.start + j * panel.column, panel.row,
                              before.flat, before.start + i * before.row + j, before.row,
                              c.flat, c.start + i * c.row + j, c.row,
                              depth, height, min(width, columns - j), add or k0 > 0)
            i += height
        if sums.size:
            _add_sums(panel, depth, width, sums)


@helper
def _add_sums(b, depth, width, sums):
    """Add the sums of b's columns over `depth` rows: products with a row of ones."""
    one, part = np.ones(1, b.flat.dtype), np.empty(width, b.flat.dtype)
    for j in range(0, sums.size, width):
        columns = min(width, sums.size - j)
        for k in range(0, depth, SUMMED):
            multiply_tile(one, 0, 0, 0, b.flat, b.start + j * b.column + k * b.row, b.row,
                          part, 0, 0, part, 0, 0,
                          min(SUMMED, depth - k), 1, columns, False)
            for i in range(columns):
                sums[j + i] += part[i]


@helper
def _pack(b, depth, columns, panels):
    """Copy a block of b as panels[panel, k, column]; the last panel may have columns to spare."""
    if b.column == 1:
        width = VECTORS * (BYTES // b.flat.itemsize)
        for k in range(depth):
            for j in range(0, columns, width):
                copy_panel_row(b.flat, b.start + k * b.row + j, min(width, columns - j),
                               panels, j * depth + k * width)
    else:
        pack_rows(b.flat, b.start, b.column, columns, depth, panels)
