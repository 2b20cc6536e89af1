"""Arrays by their addresses: how one launch works on any number of arrays of any sizes.

Numba compiles a function anew for every number of arguments, and unpacks each array of each call. A
table of addresses is one argument. Its maker keeps the arrays alive, contiguous and of the dtype
that the kernel expects.
"""

import ctypes

import numba
import numpy as np
from numba import types
from numba.extending import intrinsic

from autograd.kernels.compiler import helper

CHUNK = 4096  # elements that are worked on at a time, never of two arrays


class Table:
    """Lists of arrays in the form that kernels take.

    All have one dtype; lists[k][p] has the same size for every k.
    """

    def __init__(self, *lists):
        self.addresses = np.array([list(map(_address, arrays)) for arrays in lists], np.int64)
        self.sizes = np.array([a.size for a in lists[0]], np.int64)
        # array p is worked on by the chunks from first[p] on, and owner[chunk] is p
        counts = -(-self.sizes // CHUNK)
        self.first = np.cumsum(counts) - counts
        self.owner = np.repeat(np.arange(len(counts)), counts)


def _address(array):
    """Return a contiguous array's address by its buffer: a third of the time of ctypes.data."""
    try:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    except (TypeError, ValueError):  # read-only, or empty
        return array.ctypes.data


@helper
def find_chunk(owner, first, sizes, chunk):
    """Return (p, start, size): the chunk with this index is part of array p."""
    p = owner[chunk]
    start = (chunk - first[p]) * CHUNK
    return p, start, min(CHUNK, sizes[p] - start)


@helper
def array_at(address, start, size, like):
    """Return the elements from `start` on of the array at an address, with the dtype of `like`."""
    return numba.carray(_pointer(address + start * like.itemsize, like), size)


@intrinsic
def _pointer(typing, address, like):
    """Return an integer as a pointer to elements of the dtype of `like`."""

    def generate(context, builder, signature, values):
        return builder.inttoptr(values[0], context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(types.int64, like), generate
