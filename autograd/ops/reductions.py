"""Many elements to one: sum, mean, max, logsumexp, var.

`axis` is an int, a tuple or list of ints, or None for all axes; `keepdims=True` keeps a reduced
axis with length 1. Backward is the reverse of a sum: the one gradient goes to every element that
was summed.
"""

import math

import numpy as np

from autograd.engine import op, vjp

INTEGERS = int | np.integer  # made once: making it takes longer than the check itself
FEW = 16


def check_axis(name, axis, shape):
    """`axis` as a non-negative int; ValueError if an array of `shape` has no such axis.

    >>> check_axis("softmax", -1, (4, 3))
    1
    """
    ndim = len(shape)
    if not isinstance(axis, INTEGERS) or not -ndim <= axis < ndim:
        use = f"use an int from {-ndim} to {ndim - 1}" if ndim else "a 0-d array has no axis"
        raise ValueError(f"{name}: axis {axis!r} for shape {shape}; {use}")
    return int(axis) % ndim


def normalize_axes(name, axis, shape):
    """`axis` as a sorted tuple of distinct non-negative ints.

    >>> normalize_axes("sum", (-1, 0), (4, 3))
    (0, 1)
    """
    if axis is None:
        return tuple(range(len(shape)))
    given = axis if isinstance(axis, tuple | list) else (axis,)
    axes = tuple(sorted(check_axis(name, a, shape) for a in given))
    if len(set(axes)) < len(axes):
        raise ValueError(f"{name}: axis {axis} for shape {shape} names an axis twice; name it once")
    return axes


def kept_shape(shape, axes):
    """The shape with its reduced axes kept as 1: what broadcasts back against the input."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def element_count(shape, axes):
    return math.prod(shape[i] for i in axes)


def check_not_empty(name, shape, axes):
    if element_count(shape, axes) == 0:
        raise ValueError(
            f"{name}: nothing to reduce in shape {shape} over axes {axes}; "
            "check for an empty array first"
        )


def sum_over(x, axes, keepdims=False):
    """x summed over axes. More than FEW numbers are added up in float64, and their sum is rounded.

    NumPy adds one row after another where the rows do not lie along the last axis: the four sums
    of (2^20, 4) times 0.1 would be 1 % too large in float32.
    """
    few = element_count(x.shape, axes) <= FEW  # rounded a few times; as fast as adding can be
    dtype = x.dtype if few else np.float64
    return x.sum(axis=axes, keepdims=keepdims, dtype=dtype).astype(x.dtype, copy=False)


@op
def sum(x, /, axis=None, keepdims=False):
    """z = sum_i x_i.    dx_i = dz"""
    axes = normalize_axes("sum", axis, x.shape)
    return sum_over(x, axes, keepdims), (x.shape, axes)


@vjp(sum)
def sum_vjp(dz, saved):
    shape, axes = saved
    return np.broadcast_to(dz.reshape(kept_shape(shape, axes)), shape)


@op
def mean(x, /, axis=None, keepdims=False):
    """z = (1/n) sum_i x_i.    dx_i = dz / n"""
    axes = normalize_axes("mean", axis, x.shape)
    check_not_empty("mean", x.shape, axes)
    z = sum_over(x, axes, keepdims) / x.dtype.type(element_count(x.shape, axes))
    return z, (x.shape, axes)


@vjp(mean)
def mean_vjp(dz, saved):
    shape, axes = saved
    share = dz.reshape(kept_shape(shape, axes)) / element_count(shape, axes)
    return np.broadcast_to(share, shape)


@op
def max(x, /, axis=None, keepdims=False):
    """z = max_i x_i.    The largest element gets dz; equal ones share it equally."""
    axes = normalize_axes("max", axis, x.shape)
    check_not_empty("max", x.shape, axes)
    z = x.max(axis=axes, keepdims=True)
    return _drop(z, axes, keepdims), (x, z, axes)


@vjp(max)
def max_vjp(dz, saved):
    x, z, axes = saved
    largest = (x == z).astype(dz.dtype)
    return dz.reshape(z.shape) * largest / largest.sum(axis=axes, keepdims=True)


@op
def logsumexp(x, /, axis=None, keepdims=False):
    """z = ln sum_i e^(x_i).    dx_i = dz e^(x_i - z), that is dz softmax(x)_i

    The maximum m is taken out first, z = m + ln sum_i e^(x_i - m), so that nothing overflows.
    """
    axes = normalize_axes("logsumexp", axis, x.shape)
    check_not_empty("logsumexp", x.shape, axes)
    m = x.max(axis=axes, keepdims=True)
    m = np.where(np.isfinite(m), m, np.zeros((), x.dtype))  # all -inf: e^(x - m) is 0, not NaN
    with np.errstate(divide="ignore", over="ignore"):  # ln 0 and, next to an inf, e^x: both meant
        z = m + np.log(sum_over(np.exp(x - m), axes, keepdims=True))
    return _drop(z, axes, keepdims), (x, z, axes)


@vjp(logsumexp)
def logsumexp_vjp(dz, saved):
    x, z, axes = saved
    return dz.reshape(z.shape) * np.exp(x - z)


@op
def var(x, /, axis=None, keepdims=False, correction=0):
    """z = sum_i (x_i - mean)^2 / (n - correction).    dx_i = dz 2 (x_i - mean) / (n - correction)

    correction   0, as NumPy's ddof: the variance of these numbers themselves; 1 for the estimate
                 of the variance of what they were drawn from.

    The mean depends on x too, but the sum of the deviations is 0, so that path adds nothing.
    """
    axes = normalize_axes("var", axis, x.shape)
    check_not_empty("var", x.shape, axes)
    count = element_count(x.shape, axes) - correction
    if count <= 0:
        raise ValueError(
            f"var: correction={correction} for {count + correction} element(s) in shape {x.shape}; "
            "reduce over more elements, or use correction=0"
        )
    total = element_count(x.shape, axes)
    deviation = x - sum_over(x, axes, keepdims=True) / x.dtype.type(total)
    z = sum_over(deviation * deviation, axes, keepdims=True) / x.dtype.type(count)
    return _drop(z, axes, keepdims), (deviation, count, axes)


@vjp(var)
def var_vjp(dz, saved):
    deviation, count, axes = saved
    dz = dz.reshape(kept_shape(deviation.shape, axes))
    return dz * deviation * dz.dtype.type(2 / count)


def _drop(z, axes, keepdims):
    return z if keepdims else np.squeeze(z, axis=axes)
