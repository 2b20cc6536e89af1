"""Matrix products of stacks: c_z = a_z b_z, and with either operand transposed.

    c_ij = sum_k a_ik b_kj          2 M N K FLOPs on (M K + K N + M N) numbers

A product does far more arithmetic than it reads memory, if what was read is used again while it
is in cache. So c is computed in tiles of ROWS x COLUMNS, one tile a unit of parallel work, and
k is taken in steps of DEPTH: a DEPTH x COLUMNS block of b stays in cache while all rows of the
tile pass over it. The innermost loop runs along rows of b and c, where vector instructions read
whole vectors, and adds eight terms before it writes, so that c is loaded and stored once for
eight multiply-adds. Every c_ij is summed in the order of k, whatever thread computes it.
"""

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

ROWS, COLUMNS, DEPTH = 32, 512, 64


@kernel
def matmul(a_ZMK, b_ZKN):
    Z, M, K = a_ZMK.shape
    N = b_ZKN.shape[2]
    c_ZMN = np.zeros((Z, M, N), a_ZMK.dtype)
    down = (M + ROWS - 1) // ROWS
    across = (N + COLUMNS - 1) // COLUMNS
    for tile in prange(Z * down * across):
        z = tile // (down * across)
        place = tile % (down * across)
        i0 = place // across * ROWS
        j0 = place % across * COLUMNS
        i1, j1 = min(i0 + ROWS, M), min(j0 + COLUMNS, N)
        for k0 in range(0, K, DEPTH):
            k1 = min(k0 + DEPTH, K)
            eights = k0 + (k1 - k0) // 8 * 8
            for i in range(i0, i1):
                c = c_ZMN[z, i, j0:j1]
                a = a_ZMK[z, i]
                for k in range(k0, eights, 8):
                    a0, a1, a2, a3 = a[k], a[k + 1], a[k + 2], a[k + 3]
                    a4, a5, a6, a7 = a[k + 4], a[k + 5], a[k + 6], a[k + 7]
                    b0, b1 = b_ZKN[z, k, j0:j1], b_ZKN[z, k + 1, j0:j1]
                    b2, b3 = b_ZKN[z, k + 2, j0:j1], b_ZKN[z, k + 3, j0:j1]
                    b4, b5 = b_ZKN[z, k + 4, j0:j1], b_ZKN[z, k + 5, j0:j1]
                    b6, b7 = b_ZKN[z, k + 6, j0:j1], b_ZKN[z, k + 7, j0:j1]
                    for j in range(j1 - j0):
                        low = a0 * b0[j] + a1 * b1[j] + a2 * b2[j] + a3 * b3[j]
                        high = a4 * b4[j] + a5 * b5[j] + a6 * b6[j] + a7 * b7[j]
                        c[j] += low + high
                for k in range(eights, k1):
                    a0, b0 = a[k], b_ZKN[z, k, j0:j1]
                    for j in range(j1 - j0):
                        c[j] += a0 * b0[j]
    return c_ZMN


@kernel
def transposed(x_ZMN):
    """Each matrix of the stack transposed, in blocks of 32 x 32 that fit the cache both ways."""
    Z, M, N = x_ZMN.shape
    y_ZNM = np.empty((Z, N, M), x_ZMN.dtype)
    across = (N + 31) // 32
    for block in prange(Z * across):
        z, j0 = block // across, block % across * 32
        j1 = min(j0 + 32, N)
        for i0 in range(0, M, 32):
            i1 = min(i0 + 32, M)
            for j in range(j0, j1):
                for i in range(i0, i1):
                    y_ZNM[z, j, i] = x_ZMN[z, i, j]
    return y_ZNM


def matmul_nt(a_ZMK, b_ZNK):
    """a b^T: the gradient of the left operand, da = dc b^T."""
    return matmul(a_ZMK, transposed(b_ZNK))


def matmul_tn(a_ZKM, b_ZKN):
    """a^T b: the gradient of the right operand, db = a^T dc."""
    return matmul(transposed(a_ZKM), b_ZKN)
