"""Where attention finds its arrays: views (B, H, T, D) by address and strides."""

import numpy as np

from autograd.kernels.addresses import array_at
from autograd.kernels.compiler import helper

Q, K, V, Y, DY, DQ, DK, DV = range(8)  # the rows of a table of heads


def table_of(*arrays):
    """Of each array (B, H, T, D) the address, and the bytes from one b, h and t to the next."""
    rows = [(x.__array_interface__["data"][0], *x.strides[:3]) for x in arrays]
    return np.array(rows, np.int64)


@helper
def head(table, i, z, H, T, D, like):
    """Array i of problem z, flat, and the step in it from one of its T rows to the next."""
    step = table[i, 3] // like.itemsize
    address = table[i, 0] + z // H * table[i, 1] + z % H * table[i, 2]
    return array_at(address, 0, (T - 1) * step + D, like), step
