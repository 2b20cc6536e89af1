"""Matrix products of stacks: c_z = a_z b_z, and with either operand transposed.

    c_ij = sum_k a_ik b_kj          2 M N K FLOPs on (M K + K N + M N) numbers

The ladder from the definition to the speed of the hardware:

1. Three loops, over i, j and k. Every multiply-add waits for the one before, and for b_kj, which
   lies N numbers from the last one read.
2. The loop over j innermost: rows of b and c are read as whole vectors. But every multiply-add
   reads and writes c once more, and all of b is read from memory M times.
3. A tile of c, ROWS rows of VECTORS vectors (`width` numbers), is held in registers during the
   whole loop over k: `autograd.kernels.microkernel`.
4. Blocks, so that what a tile reads is near. COLUMNS columns of b, DEPTH numbers deep, fill a part
   of the L2 cache and serve all rows of a. The ROWS rows of a that a tile needs, DEPTH numbers
   long, fit the L1 cache and serve all columns of the block.
5. Panels. The block of b is first copied into panels of `width` columns, in the order in which
   tiles read it: [panel, k, column]. b^T becomes the same panels, through small squares
   transposed in registers. a is read one number at a time, so that its layout matters little:
   a^T is a with its strides swapped, and no copy.

c is cut into rectangles, the jobs; one thread computes one, with panels of its own. Each c_ij is
the sum over k in order, in partial sums of DEPTH terms, whatever tile, job or thread it falls to.
A job of few rows would not repay the copy of b: it reads b in place, if b is not transposed and
its columns fill whole panels. With a single row, c = a b^T is a dot product for each row of b,
each read once, and memory sets the time, not arithmetic.
Source of blocks and panels: Goto and van de Geijn, Anatomy of High-Performance Matrix
Multiplication, 2008.
"""

import numba
import numpy as np
from numba import prange

from autograd.kernels.compiler import helper, kernel
from autograd.kernels.microkernel import (
    BYTES,
    HEIGHTS,
    ROWS,
    TILE,
    VECTORS,
    copy_panel_row,
    multiply_tile,
    transpose_block,
)

DEPTH, COLUMNS = 384, 256
# Up to this many rows b is read in place. 128 in AVX-512, 64 in AVX2: the narrower a panel, the
# more rows of b, each in another place of memory, are read for as many multiply-adds.
FEW_ROWS = VECTORS * BYTES
PACKING = 8  # the copy of a panel takes as long as the product of so many rows with it

if TILE == "plain":

    @helper
    def multiply_tile(a, a0, a_row, a_col, b, b0, b_row, c, c0, c_row, depth, height, columns, add):
        for k in range(depth):
            b_k = b[b0 + k * b_row : b0 + k * b_row + columns]
            for i in range(height):
                a_ik = a[a0 + i * a_row + k * a_col]
                c_i = c[c0 + i * c_row : c0 + i * c_row + columns]
                for j in range(columns):
                    c_i[j] = c_i[j] + a_ik * b_k[j] if k > 0 or add else a_ik * b_k[j]

    @helper
    def copy_panel_row(x, x0, columns, y, y0):
        for j in range(columns):
            y[y0 + j] = x[x0 + j]

    @helper
    def transpose_block(x, x0, x_row, rows, columns, y, y0, y_row):
        for i in range(rows):
            for j in range(columns):
                y[y0 + j * y_row + i] = x[x0 + i * x_row + j]


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
    down, across = _parts(Z, M, N, VECTORS * (BYTES // a.itemsize), threads)
    jobs = Z * down * across
    for thread in prange(threads):
        # In a function of its own: what stands directly in the parallel loop compiles to code
        # that takes twice as long for small products.
        _do_jobs(jobs * thread // threads, jobs * (thread + 1) // threads, down, across,
                 a_flat, a_row, a_col, b_flat, b_row, b_col, c_flat, M, N, K)  # fmt: skip


@helper
def _parts(Z, M, N, width, threads):
    """Into how many parts to cut the rows and the columns of c, for all threads to have work."""
    across = (N + COLUMNS - 1) // COLUMNS
    more = 1
    while Z * across * more % threads and Z * across * more < 8 * threads:
        more += 1
    panels = (N + width - 1) // width
    time_by_rows = (M // more + PACKING) * (panels // across)
    time_by_columns = (M + PACKING) * -(-panels // (across * more))
    return (more, across) if time_by_rows < time_by_columns else (1, across * more)


@helper
def _part(size, step, part, parts):
    """The bounds of one part of `size`, cut into parts between multiples of `step`."""
    steps = (size + step - 1) // step
    return steps * part // parts * step, min(size, steps * (part + 1) // parts * step)


@helper
def _do_jobs(first, end, down, across, a, a_row, a_col, b, b_row, b_col, c, M, N, K):
    width = VECTORS * (BYTES // c.itemsize)
    most_columns = (N + width * across - 1) // (width * across) * width
    panels = np.empty((min(K, DEPTH) + width) * most_columns, c.dtype)
    for job in range(first, end):
        z, place = job // (down * across), job % (down * across)
        i0, i1 = _part(M, ROWS, place // across, down)
        j0, j1 = _part(N, width, place % across, across)
        a0, b0, c0 = z * M * K + i0 * a_row, z * K * N + j0 * b_col, z * M * N + i0 * N + j0
        if M == 1 and b_row == 1:
            _dot_products(a[a0 : a0 + K], b, b0, c[c0 : c0 + j1 - j0])
        else:
            _rectangle(a, a0, a_row, a_col, b, b0, b_row, b_col, c, c0, N,
                       i1 - i0, j1 - j0, K, panels)  # fmt: skip


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
def _rectangle(
    a, a0, a_row, a_col, b, b0, b_row, b_col, c, c0, c_row, rows, columns, K, panels
):  # fmt: skip
    """One job: the element in row i and column j of the rectangle is c[c0 + i c_row + j]."""
    width = VECTORS * (BYTES // c.itemsize)
    in_place = rows <= FEW_ROWS and b_col == 1 and columns % width == 0
    for k0 in range(0, K, DEPTH):
        depth = min(DEPTH, K - k0)
        a_k, b_k = a0 + k0 * a_col, b0 + k0 * b_row
        if not in_place:
            _pack(b, b_k, b_row, b_col, depth, columns, panels)
        i = 0
        while i < rows:
            height = _tile_height(rows - i)
            for j in range(0, columns, width):
                if in_place:
                    panel, start, step = b, b_k + j, b_row
                else:
                    panel, start, step = panels, j * depth, width
                multiply_tile(a, a_k + i * a_row, a_row, a_col, panel, start, step,
                              c, c0 + i * c_row + j, c_row,
                              depth, height, min(width, columns - j), k0 > 0)  # fmt: skip
            i += height


@helper
def _tile_height(rows):
    """The tallest tile that fits."""
    height = 1
    for h in HEIGHTS:
        if height < h <= rows:
            height = h
    return height


@helper
def _pack(b, b0, b_row, b_col, depth, columns, panels):
    """Copy a block of b as panels[panel, k, column]; the last panel may have columns to spare."""
    lanes = BYTES // b.itemsize
    width = VECTORS * lanes
    if b_col == 1:
        for k in range(depth):
            for j in range(0, columns, width):
                copy_panel_row(b, b0 + k * b_row + j, min(width, columns - j),
                               panels, j * depth + k * width)  # fmt: skip
    else:
        for j in range(0, columns, lanes):
            start = j // width * width * depth + j % width
            for k in range(0, depth, lanes):
                # Rows below a panel's last fall into the next panel, which is written later.
                transpose_block(b, b0 + k + j * b_col, b_col,
                                min(lanes, columns - j), min(lanes, depth - k),
                                panels, start + k * width, width)  # fmt: skip
