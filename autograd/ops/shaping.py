"""Moving numbers without changing them: reshape, transpose, index, join, cut, pad.

Backward moves the gradients the opposite way. Where one number was copied to several places
(broadcast_to, an index used twice), the gradients of these places add up.
"""

import numpy as np

from autograd.engine import op, vjp
from autograd.ops.arithmetic import unbroadcast
from autograd.tensor import Tensor


@op
def reshape(x, /, *shape):
    """The same numbers in row-major order under another shape; one length may be -1."""
    shape = _one_tuple(shape)
    try:
        return x.reshape(shape), (x.shape,)
    except ValueError:
        raise ValueError(
            f"reshape: {x.size} elements of shape {x.shape} do not fill shape {shape}; "
            "the product must agree, and one length may be -1"
        ) from None


@vjp(reshape)
def reshape_vjp(dz, saved):
    (shape,) = saved
    return dz.reshape(shape)


@op
def transpose(x, /, *axes):
    """Axis i of the result is axis axes[i] of x; without axes, their order is reversed."""
    axes = _one_tuple(axes) or tuple(reversed(range(x.ndim)))
    if sorted(a % x.ndim if -x.ndim <= a < x.ndim else a for a in axes) != list(range(x.ndim)):
        raise ValueError(
            f"transpose: axes {axes} for shape {x.shape}; name each of the {x.ndim} axes once, "
            "or use swapaxes to exchange two"
        )
    return x.transpose(axes), (axes,)


@vjp(transpose)
def transpose_vjp(dz, saved):
    (axes,) = saved
    return dz.transpose(np.argsort([a % dz.ndim for a in axes]))


@op
def swapaxes(x, /, first, second):
    """Two axes exchanged. Its own inverse."""
    for axis in (first, second):
        _check_axis("swapaxes", axis, x)
    return np.swapaxes(x, first, second), (first, second)


@vjp(swapaxes)
def swapaxes_vjp(dz, saved):
    return np.swapaxes(dz, *saved)


@op
def broadcast_to(x, /, shape):
    """Copies of x along new or length-1 axes, as NumPy broadcasts."""
    try:
        return np.broadcast_to(x, shape).copy(), (x.shape,)
    except ValueError:
        raise ValueError(
            f"broadcast_to: shape {x.shape} does not broadcast to {shape}; compared from the "
            "right, axes must be equal or 1: reshape x first"
        ) from None


@vjp(broadcast_to)
def broadcast_to_vjp(dz, saved):
    (shape,) = saved
    return unbroadcast(dz, shape)


@op
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


@op
def concat(*arrays, axis=0):
    """Arrays joined along an existing axis: concat([a, b], axis=0)."""
    _check_axis("concat", axis, arrays[0])
    _check_alike("concat", arrays, axis)
    return np.concatenate(arrays, axis), ([a.shape[axis] for a in arrays], axis)


@vjp(concat)
def concat_vjp(dz, saved):
    sizes, axis = saved
    return tuple(np.split(dz, np.cumsum(sizes)[:-1], axis))


@op
def split(x, /, size, axis=0):
    """x cut along an axis into a tuple of parts; the inverse of concat.

    size   an int, the length of each part (the last may be shorter), or a list of lengths that
           add up to the axis: PyTorch's rule, not that of `numpy.split`, which counts parts.
    """
    _check_axis("split", axis, x)
    length = x.shape[axis]
    if isinstance(size, int | np.integer):
        if size < 1:
            raise ValueError(f"split: size={size}; a part has a length of 1 or more")
        sizes = [min(size, length - i) for i in range(0, length, size)] or [0]
    else:
        sizes = [int(n) for n in size]
    if sum(sizes) != length or min(sizes) < 0:
        raise ValueError(
            f"split: sizes {sizes} add up to {sum(sizes)}, but axis {axis} of shape "
            f"{x.shape} has length {length}; make them equal"
        )
    return tuple(np.split(x, np.cumsum(sizes)[:-1], axis)), (axis,)


@vjp(split)
def split_vjp(dz, saved):
    (axis,) = saved
    parts = dz if isinstance(dz, tuple) else (dz,)
    return np.concatenate(parts, axis)


@op
def stack(*arrays, axis=0):
    """Arrays of one shape joined along an axis that is created: stack([a, b], axis=0)."""
    first = arrays[0].shape
    wrong = [a.shape for a in arrays if a.shape != first]
    if wrong:
        raise ValueError(
            f"stack: shapes {first} and {wrong[0]} differ; stack joins equal shapes, "
            "concat joins along an existing axis"
        )
    if not -arrays[0].ndim - 1 <= axis <= arrays[0].ndim:
        raise ValueError(
            f"stack: axis {axis} for arrays with {arrays[0].ndim} axes; "
            f"use {-arrays[0].ndim - 1} to {arrays[0].ndim}"
        )
    return np.stack(arrays, axis), (axis,)


@vjp(stack)
def stack_vjp(dz, saved):
    (axis,) = saved
    return tuple(np.moveaxis(dz, axis, 0))


@op
def pad(x, /, widths, value=0.0):
    """x with `value` around it.    The padding gets no gradient.

    widths   (before, after) for each axis, for example ((0, 0), (1, 2))
    """
    widths = tuple(tuple(w) for w in widths)
    if len(widths) != x.ndim or any(len(w) != 2 or min(w) < 0 for w in widths):
        raise ValueError(
            f"pad: widths {widths} for shape {x.shape}; give one (before, after) of "
            f"non-negative ints for each of its {x.ndim} axes"
        )
    return np.pad(x, widths, constant_values=value), (x.shape, widths)


@vjp(pad)
def pad_vjp(dz, saved):
    shape, widths = saved
    return dz[tuple(slice(w[0], w[0] + n) for w, n in zip(widths, shape, strict=True))]


def _one_tuple(given):
    """Both x.reshape(2, 3) and x.reshape((2, 3)) are written."""
    if len(given) == 1 and isinstance(given[0], tuple | list):
        return tuple(given[0])
    return tuple(given)


def _plain_index(index):
    """An index without Tensors, checked: a float is an error here, not a surprise in NumPy."""
    parts = index if isinstance(index, tuple) else (index,)
    parts = tuple(p.data if isinstance(p, Tensor) else p for p in parts)
    parts = tuple(np.asarray(p) if isinstance(p, list) else p for p in parts)
    for part in parts:
        kind = part.dtype.kind if isinstance(part, np.ndarray | np.generic) else None
        if isinstance(part, float) or kind == "f":
            raise TypeError(
                "getitem: a float is no index; use ints, slices, or arrays of integers, "
                "for example index.astype(int)"
            )
    return parts if isinstance(index, tuple) else parts[0]


def _check_axis(name, axis, x):
    if not -x.ndim <= axis < x.ndim:
        raise ValueError(
            f"{name}: axis {axis} for shape {x.shape}; use {-x.ndim} to {x.ndim - 1}"
        )


def _check_alike(name, arrays, axis):
    def others(shape):
        return [n for i, n in enumerate(shape) if i != axis % len(shape)]

    for a in arrays[1:]:
        if a.ndim != arrays[0].ndim or others(a.shape) != others(arrays[0].shape):
            raise ValueError(
                f"{name}: shapes {arrays[0].shape} and {a.shape} differ outside axis {axis}; "
                "only the joined axis may differ"
            )
