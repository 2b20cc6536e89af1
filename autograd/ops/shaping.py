"""Moving elements without changing them: reshape, transpose, index, join, cut, pad.

Backward moves the gradients the opposite way. Where one element was copied to several positions
(broadcast_to, an index used twice), the gradients of these positions add up.
"""

import operator

import numpy as np

from autograd import checks
from autograd.engine import Tensor, op, vjp
from autograd.ops.arithmetic import unbroadcast


@op(keeps_dtype=True, flops=0)
def reshape(x, /, *shape):
    """Return the same elements in row-major order in a different shape; a length may be -1."""
    return x.reshape(*shape), x.shape


@vjp(reshape)
def reshape_vjp(dz, shape):
    return dz.reshape(shape)


@op(keeps_dtype=True, flops=0)
def transpose(x, /, *axes):
    """Return x with axis axes[i] as its axis i; without axes, their order is reversed.

    As in NumPy, x.transpose(0, 1) of two axes is x; swapaxes exchanges two.
    """
    axes = tuple(axes[0]) if len(axes) == 1 and np.ndim(axes[0]) else axes or range(x.ndim)[::-1]
    return x.transpose(axes), axes


@vjp(transpose)
def transpose_vjp(dz, axes):
    return dz.transpose(np.argsort([axis % dz.ndim for axis in axes]))


@op(keeps_dtype=True, flops=0)
def swapaxes(x, /, first, second):
    """Return x with two axes exchanged; the op is its own inverse."""
    return x.swapaxes(first, second), (first, second)


@vjp(swapaxes)
def swapaxes_vjp(dz, saved):
    return dz.swapaxes(*saved)


@op(keeps_dtype=True, flops=0)
def broadcast_to(x, /, shape):
    """Return copies of x along new or length-1 axes, as NumPy broadcasts."""
    return np.broadcast_to(x, shape).copy(), x.shape


@vjp(broadcast_to)
def broadcast_to_vjp(dz, shape):
    return unbroadcast(dz, shape)


@op(keeps_dtype=True, flops=0)
def getitem(x, /, index):
    """Return x[index], with ints, slices, None, `...`, integer arrays and masks, as in NumPy.

    A list, a range, or a tuple inside the index is an array to NumPy. An element that is named
    twice gets the sum of both gradients: only where NumPy returns a view is none.
    """
    index = tuple(map(_own_index, index if isinstance(index, tuple) else (index,)))
    z = x[index]
    return z, (x.shape, index, np.may_share_memory(x, z))


@vjp(getitem)
def getitem_vjp(dz, saved):
    shape, index, is_view = saved
    dx = np.zeros(shape, dz.dtype)
    if is_view:
        dx[index] = dz
    else:
        np.add.at(dx, index, dz)
    return dx


@op(keeps_dtype=True, flops=0)
def concat(*arrays, axis=0):
    """Join arrays along an existing axis: concat([a, b], axis=0)."""
    return np.concatenate(arrays, axis), ([a.shape[axis] for a in arrays], axis)


@vjp(concat)
def concat_vjp(dz, saved):
    sizes, axis = saved
    return tuple(np.split(dz, np.cumsum(sizes)[:-1], axis))


@op(keeps_dtype=True, flops=0)
def split(x, /, size, axis=0):
    """Cut x along an axis into a tuple of parts; the inverse of concat.

    size   an int, the length of each part (the last may be shorter), or a list of lengths that
           add up to the axis, as in PyTorch (`numpy.split` takes the number of parts)
    """
    sizes = checks.sizes("split", size, x.shape[axis])
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis)), axis


@vjp(split)
def split_vjp(dz, axis):
    parts = dz if isinstance(dz, tuple) else (dz,)
    whole = _uncut(parts, axis)  # attention lays the gradients of q, k and v side by side
    return np.concatenate(parts, axis) if whole is None else whole


@op(keeps_dtype=True, flops=0)
def stack(*arrays, axis=0):
    """Join arrays of one shape along a new axis: stack([a, b], axis=0)."""
    return np.stack(arrays, axis), axis


@vjp(stack)
def stack_vjp(dz, axis):
    return tuple(np.moveaxis(dz, axis, 0))


@op(keeps_dtype=True, flops=0)
def pad(x, /, widths, value=0.0):
    """Return x with `value` around it.    The padding gets no gradient.

    widths   (before, after) for each axis, for example ((0, 0), (1, 2))
    """
    pairs = np.reshape(widths, (x.ndim, 2))
    z = np.pad(x, pairs if x.ndim else 0, constant_values=value)
    return z, (x.shape, pairs)


@vjp(pad)
def pad_vjp(dz, saved):
    shape, pairs = saved
    return dz[tuple(slice(w[0], w[0] + n) for w, n in zip(pairs, shape, strict=True))]


def _uncut(parts, axis):
    """Return the parts as one array, a view, if they lie side by side in one; else None."""
    first, length = parts[0], 0
    for part in parts:
        in_one_array = part.base is not None and part.base is first.base
        expected = first.ctypes.data + length * first.strides[axis]
        if not in_one_array or part.strides != first.strides or part.ctypes.data != expected:
            return None
        length += part.shape[axis]
    shape = list(first.shape)
    shape[axis] = length
    return np.lib.stride_tricks.as_strided(first, shape, first.strides)


def _own_index(i):
    """Return a part of an index as NumPy reads it, no array of the caller's among it."""
    i = i.data if isinstance(i, Tensor) else i
    if isinstance(i, slice):
        return slice(*[n if n is None else operator.index(n) for n in (i.start, i.stop, i.step)])
    if i is None or i is ... or type(i) is int:
        return i
    array = np.array(i)
    return array if array.size or isinstance(i, np.ndarray) else array.astype(int)  # [] has floats
