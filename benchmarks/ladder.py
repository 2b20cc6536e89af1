"""The first rungs of the ladder to a fast matrix product, as small as they can be written.

    c_mn = sum_k a_mk b_kn

`autograd.kernels.matmul` explains and continues where these end. All are compiled by Numba; what
separates them is the order in which the same multiplications and additions are done.
"""

import numba
import numpy as np

BLOCK = 64
# Sums may be reordered, so that the compiler is free to use vectors; NaN and infinity are kept.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}


@numba.njit
def three_loops(a_MK, b_KN):
    """Follow the definition: each addition waits for the last, b is read down its columns."""
    (M, K), N = a_MK.shape, b_KN.shape[1]
    c_MN = np.zeros((M, N), a_MK.dtype)
    for m in range(M):
        for n in range(N):
            for k in range(K):
                c_MN[m, n] += a_MK[m, k] * b_KN[k, n]
    return c_MN


@numba.njit(fastmath=FASTMATH)
def loop_order(a_MK, b_KN):
    """Put the loop over n innermost: rows of b and c are read and written as vectors."""
    (M, K), N = a_MK.shape, b_KN.shape[1]
    c_MN = np.zeros((M, N), a_MK.dtype)
    for m in range(M):
        for k in range(K):
            for n in range(N):
                c_MN[m, n] += a_MK[m, k] * b_KN[k, n]
    return c_MN


@numba.njit(fastmath=FASTMATH)
def blocks(a_MK, b_KN):
    """Take b in blocks that stay in the cache for all rows of a, and four rows of b at a
    time, so that an element of c is read and written once for four multiply-adds."""
    (M, K), N = a_MK.shape, b_KN.shape[1]
    c_MN = np.zeros((M, N), a_MK.dtype)
    for k0 in range(0, K, BLOCK):
        k1 = min(K, k0 + BLOCK)
        last = k1 - (k1 - k0) % 4
        for n0 in range(0, N, 4 * BLOCK):
            columns = slice(n0, n0 + 4 * BLOCK)
            for m in range(M):
                c_N, a_K = c_MN[m, columns], a_MK[m]
                for k in range(k0, last, 4):
                    b0, b1 = b_KN[k, columns], b_KN[k + 1, columns]
                    b2, b3 = b_KN[k + 2, columns], b_KN[k + 3, columns]
                    for n in range(c_N.size):
                        c_N[n] += (
                            a_K[k] * b0[n] + a_K[k + 1] * b1[n]
                            + a_K[k + 2] * b2[n] + a_K[k + 3] * b3[n]
                        )
                for k in range(last, k1):
                    for n in range(c_N.size):
                        c_N[n] += a_K[k] * b_KN[k, n0 + n]
    return c_MN


@numba.njit(fastmath=FASTMATH, parallel=True)
def threads(a_MK, b_KN):
    """Use blocks on all threads: each computes a band of rows of c with the rung before."""
    M, N = a_MK.shape[0], b_KN.shape[1]
    c_MN = np.empty((M, N), a_MK.dtype)
    for band in numba.prange((M + BLOCK - 1) // BLOCK):
        rows = slice(band * BLOCK, min(M, band * BLOCK + BLOCK))
        c_MN[rows] = blocks(a_MK[rows], b_KN)
    return c_MN


RUNGS = (three_loops, loop_order, blocks, threads)
