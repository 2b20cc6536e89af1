"""The gradient of an embedding table: every row of dy is added to the row it was looked up from.

    dweight_v += sum over n with index_n = v of dy_n

In place, because a table is large, few of its rows are in a batch, and a tied table has the output
layer's gradient in it already. Several n may share a row of the table, so rows can not be divided
among threads. Channels can: each unit of work adds one block of channels, in the order of n.
"""

from numba import prange

from autograd.kernels.compiler import kernel

CHANNELS = 32


@kernel
def embedding_backward_(dweight_VC, dy_NC, indices_N):
    N, C = dy_NC.shape
    for block in prange((C + CHANNELS - 1) // CHANNELS):
        c0 = block * CHANNELS
        c1 = min(c0 + CHANNELS, C)
        for n in range(N):
            dy, dweight = dy_NC[n], dweight_VC[indices_N[n]]
            for c in range(c0, c1):
                dweight[c] += dy[c]
