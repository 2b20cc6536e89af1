"""Many elements to one: sum, mean, max, min, logsumexp, var, std.

`axis` is an int, a tuple or list of ints, or None for all axes; `keepdims=True` keeps a reduced
axis with length 1. In backward the one gradient of a sum goes to every element that was summed.
"""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from autograd import checks
from autograd.engine import op, vjp

SHORT_SUM_TERMS = 16  # at most these are added in their own dtype


def all_axes(axis, ndim):
    """Return an axis, or several, or None for all of them, as a tuple of non-negative ints."""
    return normalize_axis_tuple(range(ndim) if axis is None else axis, ndim)


def wide(x):
    """Return the dtype in which many numbers of x are added: float64, or complex128 for complex."""
    return np.promote_types(x.dtype, np.float64)


def sum_over(x, axes):
    """Return the sum over axes, which stay with length 1.

    More than SHORT_SUM_TERMS numbers are added in float64, and the sum is rounded. NumPy adds row
    after row where the rows do not lie along the last axis: the four sums of (2^20, 4) times 0.1
    would be 1 % too large in float32.
    """
    short = math.prod(x.shape[i] for i in axes) <= SHORT_SUM_TERMS
    dtype = x.dtype if short else wide(x)  # a few roundings are the fastest addition
    return x.sum(axis=axes, keepdims=True, dtype=dtype).astype(x.dtype, copy=False)


@op
def sum(x, /, axis=None, keepdims=False):
    """z = sum_i x_i.    dx_i = dz"""
    axes = all_axes(axis, x.ndim)
    z = sum_over(x, axes)
    return _drop(z, axes, keepdims), (x.shape, z.shape)


@vjp(sum)
def sum_vjp(dz, saved):
    x_shape, z_shape = saved
    return np.broadcast_to(dz.reshape(z_shape), x_shape)


@op
def mean(x, /, axis=None, keepdims=False):
    """z = (1/n) sum_i x_i.    dx_i = dz / n"""
    axes = all_axes(axis, x.ndim)
    count = checks.count("mean", x.shape, axes)
    z = sum_over(x, axes) / count
    return _drop(z, axes, keepdims), (x.shape, z.shape, count)


@vjp(mean)
def mean_vjp(dz, saved):
    x_shape, z_shape, count = saved
    return np.broadcast_to(dz.reshape(z_shape) / count, x_shape)


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
    m = np.where(np.isfinite(m), m, 0)  # all -inf: e^(x - m) is 0, not NaN
    with np.errstate(divide="ignore", over="ignore"):  # ln 0 and, next to an inf, e^x: both meant
        z = m + np.log(sum_over(np.exp(x - m), axes))
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
    deviation = x - sum_over(x, axes) / (count + correction)
    z = sum_over(deviation * deviation, axes) / count
    return _drop(z, axes, keepdims), (deviation, count, z.shape)


@vjp(var)
def var_vjp(dz, saved):
    deviation, count, z_shape = saved
    return dz.reshape(z_shape) * deviation * (2 / count)


@op
def std(x, /, axis=None, keepdims=False, correction=0):
    """z = var(x)^(1/2).    dx_i = dz (x_i - mean) / ((n - correction) z), and 0 where z = 0"""
    wide_x = x.astype(wide(x), copy=False)  # squares of float32 would overflow from 1e19 on
    square, (deviation, count, _) = var.forward(wide_x, axis, True, correction)
    z = np.sqrt(square)
    y = _drop(z.astype(x.dtype, copy=False), all_axes(axis, x.ndim), keepdims)
    return y, (deviation, z, count)


@vjp(std)
def std_vjp(dz, saved):
    deviation, z, count = saved
    scale = dz.reshape(z.shape) / (np.where(z == 0, 1, z) * count)  # z = 0: so are the deviations
    return (deviation * scale).astype(dz.dtype, copy=False)


def _drop(z, axes, keepdims):
    return z if keepdims else np.squeeze(z, axis=axes)
