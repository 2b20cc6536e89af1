"""Many elements to one: sum, mean, max, min, logsumexp, var, std.

`axis` is an int, a tuple or list of ints, or None for all axes; `keepdims=True` keeps a reduced
axis with length 1. In backward the one gradient of a sum goes to every element that was summed.
"""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from autograd import checks
from autograd.engine import op, vjp

FEW = 16  # numbers that are added up in their own dtype


def all_axes(axis, ndim):
    """Return an axis, or several, or None for all of them, as a tuple of non-negative ints."""
    return normalize_axis_tuple(range(ndim) if axis is None else axis, ndim)


def kept_shape(shape, axes):
    """Return the shape with length 1 for reduced axes, which broadcasts against the input."""
    return tuple(1 if i in axes else n for i, n in enumerate(shape))


def wide(x):
    """Return the dtype in which many numbers of x are added: float64, or complex128 for complex."""
    return np.promote_types(x.dtype, np.float64)


def sum_over(x, axes, keepdims=False):
    """Return the sum over axes; more than FEW numbers are added in float64, and the sum rounded.

    NumPy adds row after row where the rows do not lie along the last axis: the four sums of
    (2^20, 4) times 0.1 would be 1 % too large in float32.
    """
    few = math.prod(x.shape[i] for i in axes) <= FEW  # a few roundings, and the fastest addition
    dtype = x.dtype if few else wide(x)
    return x.sum(axis=axes, keepdims=keepdims, dtype=dtype).astype(x.dtype, copy=False)


@op
def sum(x, /, axis=None, keepdims=False):
    """z = sum_i x_i.    dx_i = dz"""
    axes = all_axes(axis, x.ndim)
    return sum_over(x, axes, keepdims), (x.shape, axes)


@vjp(sum)
def sum_vjp(dz, saved):
    shape, axes = saved
    return np.broadcast_to(dz.reshape(kept_shape(shape, axes)), shape)


@op
def mean(x, /, axis=None, keepdims=False):
    """z = (1/n) sum_i x_i.    dx_i = dz / n"""
    axes = all_axes(axis, x.ndim)
    count = checks.count("mean", x.shape, axes)
    return sum_over(x, axes, keepdims) / x.dtype.type(count), (x.shape, axes, count)


@vjp(mean)
def mean_vjp(dz, saved):
    shape, axes, count = saved
    return np.broadcast_to(dz.reshape(kept_shape(shape, axes)) / count, shape)


@op
def max(x, /, axis=None, keepdims=False):
    """z = max_i x_i.    The largest element gets dz; equal elements share it equally."""
    axes = all_axes(axis, x.ndim)
    z = x.max(axis=axes, keepdims=True)
    return _drop(z, axes, keepdims), (x, z, axes)


@vjp(max)
def max_vjp(dz, saved):
    x, z, axes = saved
    largest = (x == z).astype(dz.dtype)
    return dz.reshape(z.shape) * largest / largest.sum(axis=axes, keepdims=True)


@op
def min(x, /, axis=None, keepdims=False):
    """z = min_i x_i.    The smallest element gets dz; equal elements share it equally."""
    axes = all_axes(axis, x.ndim)
    z = x.min(axis=axes, keepdims=True)
    return _drop(z, axes, keepdims), (x, z, axes)


@vjp(min)
def min_vjp(dz, saved):
    return max_vjp(dz, saved)  # which asks for elements equal to z


@op
def logsumexp(x, /, axis=None, keepdims=False):
    """z = ln sum_i e^(x_i).    dx_i = dz e^(x_i - z), that is dz softmax(x)_i

    The maximum m is subtracted first, z = m + ln sum_i e^(x_i - m), so that nothing overflows.
    """
    axes = all_axes(axis, x.ndim)
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

    correction   0 for the variance of these numbers; 1 for an unbiased estimate of the variance of
                 the distribution that they were drawn from. NumPy's ddof.

    The mean depends on x too, but the deviations sum to 0, so that path adds nothing.
    """
    axes = all_axes(axis, x.ndim)
    count = checks.count("var", x.shape, axes, correction)
    mean = sum_over(x, axes, keepdims=True) / x.dtype.type(count + correction)
    deviation = x - mean
    z = sum_over(deviation * deviation, axes, keepdims=True) / x.dtype.type(count)
    return _drop(z, axes, keepdims), (deviation, count, axes)


@vjp(var)
def var_vjp(dz, saved):
    deviation, count, axes = saved
    dz = dz.reshape(kept_shape(deviation.shape, axes))
    return dz * deviation * dz.dtype.type(2 / count)


@op
def std(x, /, axis=None, keepdims=False, correction=0):
    """z = var(x)^(1/2).    dx_i = dz (x_i - mean) / ((n - correction) z), and 0 where z = 0"""
    axes = all_axes(axis, x.ndim)
    count = checks.count("std", x.shape, axes, correction)
    wide_x = x.astype(wide(x), copy=False)  # squares of float32 would overflow from 1e19 on
    deviation = wide_x - wide_x.mean(axis=axes, keepdims=True)
    z = np.sqrt((deviation * deviation).sum(axis=axes, keepdims=True) / count)
    return _drop(z.astype(x.dtype, copy=False), axes, keepdims), (deviation, z, count, axes)


@vjp(std)
def std_vjp(dz, saved):
    deviation, z, count, axes = saved
    scale = dz.reshape(z.shape) / (np.where(z == 0, 1, z) * count)  # z = 0: so are the deviations
    return (deviation * scale).astype(dz.dtype, copy=False)


def _drop(z, axes, keepdims):
    return z if keepdims else np.squeeze(z, axis=axes)
