"""Rows of an embedding table: looked up, and their gradients added to the rows they came from.

    y_n = weight[index_n]        dweight_v += sum over n with index_n = v of dy_n

Backward works in place, because a table is large, few of its rows are in a batch, and a tied table
has the output layer's gradient in it already. Several n may share a row of the table, so rows
cannot be divided among threads. Channels can: each unit of work adds one block of channels, in the
order of n. No FLOPs forward and one per element backward: the time is that of memory.
"""

import numpy as np
from numba import prange

from autograd.kernels.compiler import kernel

CHANNELS = 64


def embedding(weight_VC, indices_N):
    y_NC = np.empty((len(indices_N), weight_VC.shape[1]), weight_VC.dtype)
    _embedding(weight_VC, indices_N, y_NC)
    return y_NC


@kernel
def _embedding(weight_VC, indices_N, y_NC):
    for n in prange(len(indices_N)):
        weight, y = weight_VC[indices_N[n]], y_NC[n]
        for c in range(y.size):
            y[c] = weight[c]


@kernel
def embedding_backward_(dweight_VC, dy_NC, indices_N):
    N, C = dy_NC.shape
    for block in prange(-(-C // CHANNELS)):
        start, stop = block * CHANNELS, min(block * CHANNELS + CHANNELS, C)
        for n in range(N):
            dweight, dy = dweight_VC[indices_N[n], start:stop], dy_NC[n, start:stop]
            for c in range(dy.size):
                dweight[c] += dy[c]
