"""Matrix products: matmul for any two stacks of matrices, linear for a layer's weights.

For Z = A B, entry Z_ij = sum_k A_ik B_kj, the chain rule gives

    dA = dZ B^T        dB = A^T dZ

so backward is two more products of the same size, and a training step costs three times the FLOPs
of the forward. The backend has one function for each layout: `matmul` (A B), `matmul_nt` (A B^T)
and `matmul_tn` (A^T B), all on stacks (Z, rows, columns). `multiply` chooses the one that reads a
transposed view in place, so no .T below is a copy. Backward multiplies in the precision in which
its forward did.
"""

import math

import numpy as np

from autograd import checks
from autograd.engine import op, vjp
from autograd.ops.arithmetic import unbroadcast
from autograd.precision import products_for


def _product_flops(inputs, outputs, settings):
    """Return the FLOPs: a multiplication and an addition for each of the K terms of an output."""
    return 2 * inputs[0].shape[-1] * outputs[0].size


@op(flops=_product_flops)
def matmul(a, b, /):
    """z = a @ b over the last two axes; leading axes broadcast, 1-d arrays act as in NumPy.

    da = dz b^T,  db = a^T dz, summed over the axes along which an operand was broadcast

    a (..., M, K), b (..., K, N) -> z (..., M, N)
    """
    checks.product("matmul", a, b)
    products = products_for(a)
    z = multiply(*_matrices(a, b), products)
    shape = z.shape[:-2] + a.shape[-2:-1] + (b.shape[-1:] if b.ndim > 1 else ())
    return z.reshape(shape), (a, b, products)


@vjp(matmul, flops=2)
def matmul_vjp(dz, saved, needs):
    a, b, products = saved
    a2, b2 = _matrices(a, b)
    batch = np.broadcast_shapes(a2.shape[:-2], b2.shape[:-2])
    dz = dz.reshape(*batch, a2.shape[-2], b2.shape[-1])
    da = db = None
    if needs[0]:
        da = unbroadcast(multiply(dz, b2.swapaxes(-1, -2), products), a2.shape).reshape(a.shape)
    if needs[1]:
        if b2.ndim == 2 < a2.ndim:  # one matrix for the whole stack: the sum is one product
            a2, dz = rows(a2), rows(dz)
        db = unbroadcast(multiply(a2.swapaxes(-1, -2), dz, products), b2.shape).reshape(b.shape)
    return da, db


def _matrices(a, b):
    """Return a and b, one of a single axis as a row on the left or a column on the right."""
    return a[None] if a.ndim == 1 else a, b[:, None] if b.ndim == 1 else b


@op(flops=_product_flops)
def linear(x, weight, bias=None, /):
    """y = x weight + bias.    dx = dy weight^T,  dweight = x^T dy,  dbias = sum over rows of dy

    x (..., I), weight (I, O), bias (O,) or None -> y (..., O)
    """
    checks.linear("linear", x, weight, bias)
    x_NI, products = rows(x), products_for(x)
    if bias is None:
        y_NO = multiply(x_NI, weight, products)
    else:
        y_NO = products.linear(x_NI, contiguous(weight), contiguous(bias))
    return y_NO.reshape(*x.shape[:-1], weight.shape[1]), (x_NI, weight, x.shape, products)


@vjp(linear, flops=2)
def linear_vjp(dy, saved, needs):
    x_NI, weight, x_shape, products = saved
    dy_NO = rows(dy)
    dx = dweight = dbias = None
    if needs[0]:
        dx = multiply(dy_NO, weight.T, products).reshape(x_shape)
    if needs[1] and not weight.flags.c_contiguous:  # a transposed view
        dweight = multiply(dy_NO.T, x_NI, products).T  # the same layout
    elif needs[1] and needs[2]:
        dweight, dbias = products.linear_backward(dy_NO, x_NI)
    elif needs[1]:
        dweight = multiply(x_NI.T, dy_NO, products)
    if needs[2] and dbias is None:
        # With an x of no columns: the same additions, hence the same bits, as beside a dweight.
        _, dbias = products.linear_backward(dy_NO, np.empty((len(dy_NO), 0), dy.dtype))
    return dx, dweight, dbias


def multiply(a, b, products):
    """Return a (..., M, K) times b (..., K, N); leading axes broadcast, any memory layout will do.

    products   the backend's functions, in one precision
    """
    if b.ndim == 2 and a.ndim > 2:  # one matrix for the whole stack: all rows in one product
        return multiply(rows(a), b, products).reshape(*a.shape[:-1], b.shape[-1])
    batch = a.shape[:-2]
    if b.shape[:-2] != batch:
        batch = np.broadcast_shapes(batch, b.shape[:-2])
    (a_Z, a_transposed), (b_Z, b_transposed) = _stack(a, batch), _stack(b, batch)
    if a_transposed and b_transposed:
        a_Z, a_transposed = contiguous(a_Z.swapaxes(1, 2)), False
    if a_transposed:
        z = products.matmul_tn(a_Z, b_Z)
    else:
        z = (products.matmul_nt if b_transposed else products.matmul)(a_Z, b_Z)
    return z.reshape(batch + z.shape[1:])


def rows(x):
    """Return (..., C) as a contiguous (N, C), all axes but the last flattened, for a kernel."""
    return contiguous(x).reshape(math.prod(x.shape[:-1]), x.shape[-1])


def contiguous(x):
    """Return x contiguous and writable: for any other layout a kernel would be compiled anew."""
    x = np.asarray(x, order="C")
    return x if x.flags.writeable else x.copy()


def _stack(x, batch):
    """Return matrices (..., M, K) as a contiguous stack (Z, M, K), or (Z, K, M) if transposed.

    The second result says whether it is transposed. Z is the product of `batch`, or 1 if all
    leading axes of x are broadcast.
    """
    Z = math.prod(x.shape[:-2])
    if Z != 1 and x.shape[:-2] != batch:
        x, Z = np.broadcast_to(x, batch + x.shape[-2:]), math.prod(batch)
    transposed = x.swapaxes(-1, -2).flags.c_contiguous and not x.flags.c_contiguous
    x = contiguous(x.swapaxes(-1, -2) if transposed else x)
    return x.reshape(Z, *x.shape[-2:]), transposed
