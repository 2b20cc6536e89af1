"""The gradient of an embedding table: every row of dy is added to the row it was looked up from.

    dweight_v = sum over n with index_n = v of dy_n

Several n may share a row of the table, so rows can not be divided among threads. Channels can:
each unit of work adds one block of channels of all rows, in the order of n.
"""

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

CHANNELS = 32


@kernel
def embedding_backward(dy_NC, indices_N, vocab_size):
    N, C = dy_NC.shape
    dweight_VC = np.zeros((vocab_size, C), dy_NC.dtype)
    for block in prange((C + CHANNELS - 1) // CHANNELS):
        c0 = block * CHANNELS
        c1 = min(c0 + CHANNELS, C)
        for n in range(N):
            dy, dweight = dy_NC[n], dweight_VC[indices_N[n]]
            for c in range(c0, c1):
                dweight[c] += dy[c]
    return dweight_VC
