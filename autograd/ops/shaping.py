"""Moving elements without changing them: reshape, transpose, index, join, cut, pad.

Backward moves the gradients the opposite way. Where one element was copied to several
positions (broadcast_to, an index used twice), the gradients of these add up.
"""

import itertools
import operator

import numpy as np

from autograd.engine import Tensor, op, vjp
from autograd.ops.arithmetic import unbroadcast
from autograd.ops.reductions import INTEGERS, check_axis


@op(keeps_dtype=True, flops=0)
def reshape(x, /, *shape):
    """The same elements in row-major order under another shape; one length may be -1."""
    shape = _one_tuple(shape)
    try:
        return x.reshape(shape), (x.shape,)
    except (ValueError, TypeError):
        raise ValueError(
            f"reshape: {x.size} elements of shape {x.shape} do not fill shape {shape}; "
            "lengths are ints, their product must agree, and one of them may be -1"
        ) from None


@vjp(reshape)
def reshape_vjp(dz, saved):
    (shape,) = saved
    return dz.reshape(shape)


@op(keeps_dtype=True, flops=0)
def transpose(x, /, *axes):
    """Axis i of the result is axis axes[i] of x; without axes, their order is reversed."""
    axes = _one_tuple(axes) or tuple(reversed(range(x.ndim)))
    axes = tuple(check_axis("transpose", a, x.shape) for a in axes)
    if sorted(axes) != list(range(x.ndim)):
        raise ValueError(
            f"transpose: axes {axes} for shape {x.shape}; name each of the {x.ndim} axes once, "
            "or use swapaxes to exchange two"
        )
    return x.transpose(axes), (axes,)


@vjp(transpose)
def transpose_vjp(dz, saved):
    (axes,) = saved
    return dz.transpose(np.argsort(axes))


@op(keeps_dtype=True, flops=0)
def swapaxes(x, /, first, second):
    """Two axes exchanged. Its own inverse."""
    axes = (check_axis("swapaxes", first, x.shape), check_axis("swapaxes", second, x.shape))
    return x.swapaxes(*axes), axes


@vjp(swapaxes)
def swapaxes_vjp(dz, saved):
    return dz.swapaxes(*saved)


@op(keeps_dtype=True, flops=0)
def broadcast_to(x, /, shape):
    """Copies of x along new or length-1 axes, as NumPy broadcasts."""
    try:
        return np.broadcast_to(x, shape).copy(), (x.shape,)
    except (ValueError, TypeError):
        raise ValueError(
            f"broadcast_to: shape {x.shape} does not broadcast to {shape}; compared from the "
            "right, an axis of x is equal or 1, and lengths are ints: reshape x first"
        ) from None


@vjp(broadcast_to)
def broadcast_to_vjp(dz, saved):
    (shape,) = saved
    return unbroadcast(dz, shape)


@op(keeps_dtype=True, flops=0)
def getitem(x, /, index):
    """x[index], with ints, slices, None, `...`, integer arrays and boolean masks, as in NumPy.

    An element that an integer array names twice gets both gradients.
    """
    index = _plain_index(index)
    try:
        z = x[index]
    except IndexError as error:
        raise IndexError(
            f"getitem: {error}, for shape {x.shape}; use ints inside the axes, slices, or arrays "
            "of integers"
        ) from None
    return z, (x.shape, index)


@vjp(getitem)
def getitem_vjp(dz, saved):
    shape, index = saved
    dx = np.zeros(shape, dz.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if any(isinstance(part, np.ndarray) for part in parts):
        np.add.at(dx, index, dz)
    else:
        dx[index] = dz
    return dx


@op(keeps_dtype=True, flops=0)
def concat(*arrays, axis=0):
    """Arrays joined along an existing axis: concat([a, b], axis=0)."""
    axis = check_axis("concat", axis, arrays[0].shape)
    _check_alike("concat", arrays, axis)
    return np.concatenate(arrays, axis), ([a.shape[axis] for a in arrays], axis)


@vjp(concat)
def concat_vjp(dz, saved):
    sizes, axis = saved
    return _parts(dz, sizes, axis)


@op(keeps_dtype=True, flops=0)
def split(x, /, size, axis=0):
    """x cut along an axis into a tuple of parts; the inverse of concat.

    size   an int, the length of each part (the last may be shorter), or a list of lengths that
           add up to the axis: PyTorch's rule, not that of `numpy.split`, which counts parts.
    """
    axis = check_axis("split", axis, x.shape)
    length = x.shape[axis]
    if isinstance(size, INTEGERS):
        if size < 1:
            raise ValueError(
                f"split: size={size} for shape {x.shape}; a part has a length of 1 or more"
            )
        sizes = [min(size, length - i) for i in range(0, length, size)] or [0]
    else:
        sizes = list(size) if np.ndim(size) == 1 else []
        integers = all(isinstance(n, INTEGERS) for n in sizes)
        if not sizes or not integers or sum(sizes) != length or min(sizes) < 0:
            raise ValueError(
                f"split: size {size!r} for shape {x.shape}; give the length of each part, or a "
                f"list of lengths that add up to {length}, the length of axis {axis}"
            )
    return _parts(x, sizes, axis), (axis,)


@vjp(split)
def split_vjp(dz, saved):
    (axis,) = saved
    parts = dz if isinstance(dz, tuple) else (dz,)
    whole = _uncut(parts, axis)  # attention lays the gradients of q, k and v side by side
    return np.concatenate(parts, axis) if whole is None else whole


@op(keeps_dtype=True, flops=0)
def stack(*arrays, axis=0):
    """Arrays of one shape joined along an axis that is created: stack([a, b], axis=0)."""
    first = arrays[0].shape
    wrong = [a.shape for a in arrays if a.shape != first]
    if wrong:
        raise ValueError(
            f"stack: shapes {first} and {wrong[0]} differ; stack joins equal shapes, "
            "concat joins along an existing axis"
        )
    axis = check_axis("stack", axis, (len(arrays), *first))
    return np.stack(arrays, axis), (axis,)


@vjp(stack)
def stack_vjp(dz, saved):
    (axis,) = saved
    return tuple(np.moveaxis(dz, axis, 0))


@op(keeps_dtype=True, flops=0)
def pad(x, /, widths, value=0.0):
    """x with `value` around it.    The padding gets no gradient.

    widths   (before, after) for each axis, for example ((0, 0), (1, 2))
    """
    try:
        pairs = [(operator.index(before), operator.index(after)) for before, after in widths]
    except (ValueError, TypeError):
        pairs = None
    if pairs is None or len(pairs) != x.ndim or any(min(pair) < 0 for pair in pairs):
        raise ValueError(
            f"pad: widths {widths} for shape {x.shape}; give one (before, after) of "
            f"non-negative ints for each of its {x.ndim} axes"
        )
    z = np.pad(x, pairs or 0, constant_values=value)  # for a 0-d x NumPy takes no empty list
    return z, (x.shape, pairs)


@vjp(pad)
def pad_vjp(dz, saved):
    shape, pairs = saved
    return dz[tuple(slice(w[0], w[0] + n) for w, n in zip(pairs, shape, strict=True))]


def _parts(x, sizes, axis):
    """Consecutive parts of x along an axis, as views."""
    ends = list(itertools.accumulate(sizes))
    before = (slice(None),) * axis
    return tuple(x[(*before, slice(end - n, end))] for n, end in zip(sizes, ends, strict=True))


def _uncut(parts, axis):
    """The array that the parts are consecutive parts of, as a view; None if they are not."""
    first, length = parts[0], 0
    for part in parts:
        in_one_array = part.base is not None and part.base is first.base
        expected = first.ctypes.data + length * first.strides[axis]
        if not in_one_array or part.strides != first.strides or part.ctypes.data != expected:
            return None
        length += part.shape[axis]
    shape = (*first.shape[:axis], length, *first.shape[axis + 1 :])
    return np.lib.stride_tricks.as_strided(first, shape, first.strides)


def _one_tuple(given):
    """Both x.reshape(2, 3) and x.reshape((2, 3)) are written."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return tuple(given[0])
    return tuple(given)


def _plain_index(index):
    """An index without Tensors or lists, its arrays copied: backward must see them unchanged."""
    if isinstance(index, tuple):
        return tuple(_plain_part(part) for part in index)
    return _plain_part(index)


def _plain_part(part):
    if isinstance(part, Tensor):
        part = part.data
    if isinstance(part, list):
        part = np.array(part, dtype=None if part else int)
    elif isinstance(part, np.ndarray):
        part = part.copy()
    # A float is an error here, not a surprise in NumPy.
    if isinstance(part, float) or getattr(part, "dtype", np.dtype(int)).kind == "f":
        raise TypeError(
            "getitem: a float is not an index; use ints, slices, or arrays of integers, "
            "for example index.astype(int)"
        )
    return part


def _check_alike(name, arrays, axis):
    def others(shape):
        return [n for i, n in enumerate(shape) if i != axis]

    for a in arrays[1:]:
        if a.ndim != arrays[0].ndim or others(a.shape) != others(arrays[0].shape):
            raise ValueError(
                f"{name}: shapes {arrays[0].shape} and {a.shape} differ outside axis {axis}; "
                "only the joined axis may differ"
            )
