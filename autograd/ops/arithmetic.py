"""Element by element: + - * / and the functions of one variable.

Each op is a forward, and below it the vector-Jacobian product of that forward. `dz` is the
gradient of the loss with respect to the output z; the docstring gives the rule as an equation.
Two arrays of different shapes broadcast as in NumPy. Broadcasting forward copies an element to
several positions, so backward sums over these positions: `unbroadcast`.
"""

import numpy as np

from autograd.engine import op, vjp
from autograd.ops.reductions import sum_over


def unbroadcast(gradient, shape):
    """Sum a gradient over the axes along which an array of `shape` was broadcast.

    >>> unbroadcast(np.ones((4, 3)), (3,))
    array([4., 4., 4.])
    >>> unbroadcast(np.ones((4, 3)), (4, 1)).shape
    (4, 1)
    """
    if gradient.shape == shape:
        return gradient
    added = gradient.ndim - len(shape)
    stretched = tuple(i + added for i, n in enumerate(shape) if n == 1)
    return sum_over(gradient, tuple(range(added)) + stretched).reshape(shape)


@op
def add(a, b, /):
    """z = a + b.    da = dz,  db = dz"""
    return a + b, (a.shape, b.shape)


@vjp(add)
def add_vjp(dz, saved):
    a_shape, b_shape = saved
    return unbroadcast(dz, a_shape), unbroadcast(dz, b_shape)


@op
def sub(a, b, /):
    """z = a - b.    da = dz,  db = -dz"""
    return a - b, (a.shape, b.shape)


@vjp(sub)
def sub_vjp(dz, saved):
    a_shape, b_shape = saved
    return unbroadcast(dz, a_shape), unbroadcast(-dz, b_shape)


@op
def mul(a, b, /):
    """z = a b.    da = dz b,  db = dz a"""
    return a * b, (a, b)


@vjp(mul)
def mul_vjp(dz, saved):
    a, b = saved
    return unbroadcast(dz * b, a.shape), unbroadcast(dz * a, b.shape)


@op
def div(a, b, /):
    """z = a / b.    da = dz / b,  db = -dz a / b^2"""
    return a / b, (a, b)


@vjp(div)
def div_vjp(dz, saved):
    a, b = saved
    return unbroadcast(dz / b, a.shape), unbroadcast(-dz * (a / b) / b, b.shape)  # b^2 may overflow


@op
def neg(x, /):
    """z = -x.    dx = -dz"""
    return -x, ()


@vjp(neg)
def neg_vjp(dz, saved):
    return -dz


@op
def pow(a, b, /):
    """z = a^b.    da = dz b a^(b-1),  db = dz a^b ln a

    The exponent's gradient exists for a > 0. At a = 0 it is the limit: 0 for b >= 0, else -inf.
    """
    z = a**b
    return z, (a, b, z)


@vjp(pow)
def pow_vjp(dz, saved, needs):
    a, b, z = saved
    da = db = None
    if needs[0]:
        # At b = 0 the power is constant; a^(b-1) would be infinite at a = 0.
        dz_da = b * np.where(b == 0, 1, a) ** (b - 1)
        da = unbroadcast(dz * dz_da, a.shape)
    if needs[1]:
        with np.errstate(divide="ignore"):  # ln 0, where -inf is meant
            log_a = np.log(np.where((a == 0) & (b >= 0), 1, a))
        db = unbroadcast(dz * z * log_a, b.shape)
    return da, db


@op(flops=10)
def exp(x, /):
    """z = e^x.    dx = dz z"""
    z = np.exp(x)
    return z, z


@vjp(exp)
def exp_vjp(dz, z):
    return dz * z


@op
def log(x, /):
    """z = ln x.    dx = dz / x"""
    return np.log(x), x


@vjp(log)
def log_vjp(dz, x):
    return dz / x


@op
def sqrt(x, /):
    """z = x^(1/2).    dx = dz / (2 z)"""
    z = np.sqrt(x)
    return z, z


@vjp(sqrt)
def sqrt_vjp(dz, z):
    return dz / (2 * z)


@op(flops=10)
def tanh(x, /):
    """z = tanh x.    dx = dz (1 - z^2)"""
    z = np.tanh(x)
    return z, z


@vjp(tanh)
def tanh_vjp(dz, z):
    return dz * (1 - z * z)


@op(flops=10)
def sin(x, /):
    """z = sin x.    dx = dz cos x"""
    return np.sin(x), x


@vjp(sin)
def sin_vjp(dz, x):
    return dz * np.cos(x)


@op(flops=10)
def cos(x, /):
    """z = cos x.    dx = -dz sin x"""
    return np.cos(x), x


@vjp(cos)
def cos_vjp(dz, x):
    return -dz * np.sin(x)


@op
def abs(x, /):
    """z = |x|.    dx = dz sign(x), and 0 at x = 0"""
    return np.abs(x), x


@vjp(abs)
def abs_vjp(dz, x):
    return dz * np.sign(x)


@op
def maximum(a, b, /):
    """z = the larger of a and b.    The larger one gets all of dz; at a tie each gets half.

    Where a or b is NaN, z is NaN and both get dz, as in PyTorch.
    """
    return np.maximum(a, b), (a, b)


@vjp(maximum)
def maximum_vjp(dz, saved):
    a, b = saved
    share_a, share_b = ((~less - 0.5 * (a == b)).astype(dz.dtype) for less in (a < b, b < a))
    return unbroadcast(dz * share_a, a.shape), unbroadcast(dz * share_b, b.shape)


@op(keeps_dtype=True)
def where(condition, a, b, /):
    """z = a where condition is true, else b.    Each gets dz where z is taken from it."""
    condition = condition.astype(bool)
    return np.where(condition, a, b), (condition, a.shape, b.shape)


@vjp(where)
def where_vjp(dz, saved):
    condition, a_shape, b_shape = saved
    da = unbroadcast(np.where(condition, dz, 0), a_shape)
    db = unbroadcast(np.where(condition, 0, dz), b_shape)
    return None, da, db


@op
def clip(x, /, low=None, high=None):
    """z = x, moved into [low, high].    dx = dz where x is inside, else 0

    low, high   scalars with low <= high; None leaves that side open
    """
    low, high = (None if bound is None else x.dtype.type(bound) for bound in (low, high))
    z = x if low is None and high is None else np.clip(x, low, high)
    return z, z == x


@vjp(clip)
def clip_vjp(dz, inside):
    return dz * inside
