"""Matrix products: matmul for any two stacks of matrices, linear for a layer's weights.

For Z = A B, entry Z_ij = sum_k A_ik B_kj, the chain rule gives

    dA = dZ B^T        dB = A^T dZ

so backward is two more products of the same size, and a training step costs three times the FLOPs
of the forward. The backend has one function for each layout: `matmul` (A B), `matmul_nt` (A B^T)
and `matmul_tn` (A^T B), all on stacks (Z, rows, columns). `product` chooses the one that reads a
transposed view in place, so no .T below is a copy. Backward rounds the operands of its products to
bfloat16 if forward did.
"""

import math

import numpy as np

from autograd import backend, checks
from autograd.engine import op, vjp
from autograd.ops.arithmetic import unbroadcast
from autograd.precision import in_bf16


def _product_flops(inputs, outputs, settings):
    """Return the FLOPs: 2 M K N, a multiplication and an addition per term, for each matrix."""
    a, b = inputs[:2]
    inner, columns = a.shape[-1], b.shape[-1] if b.ndim > 1 else 1
    a_rows = a.shape[-2] if a.ndim > 1 else 1
    stack = math.prod(np.broadcast_shapes(a.shape[:-2], b.shape[:-2]))
    return 2 * stack * a_rows * inner * columns


@op(flops=_product_flops)
def matmul(a, b, /):
    """z = a @ b over the last two axes; leading axes broadcast, 1-d arrays act as in NumPy.

    da = dz b^T,  db = a^T dz, summed over the axes along which an operand was broadcast

    a (..., M, K), b (..., K, N) -> z (..., M, N)
    """
    checks.product("matmul", a, b)
    a2 = a[None, :] if a.ndim == 1 else a
    b2 = b[:, None] if b.ndim == 1 else b
    bf16 = in_bf16(a)
    z = product(a2, b2, bf16)
    shape = z.shape[:-2] + a.shape[-2:-1] + (b.shape[-1:] if b.ndim > 1 else ())
    return z.reshape(shape), (a, b, bf16)


@vjp(matmul, flops=2)
def matmul_vjp(dz, saved, needs):
    a, b, bf16 = saved
    a2 = a[None, :] if a.ndim == 1 else a
    b2 = b[:, None] if b.ndim == 1 else b
    batch = np.broadcast_shapes(a2.shape[:-2], b2.shape[:-2])
    dz = dz.reshape(*batch, a2.shape[-2], b2.shape[-1])
    da = db = None
    if needs[0]:
        da = unbroadcast(product(dz, b2.swapaxes(-1, -2), bf16), a2.shape).reshape(a.shape)
    if needs[1]:
        if b2.ndim == 2 < a2.ndim:  # one matrix for the whole stack: the sum is one product
            a2, dz = rows(a2), rows(dz)
        db = unbroadcast(product(a2.swapaxes(-1, -2), dz, bf16), b2.shape).reshape(b.shape)
    return da, db


@op(flops=_product_flops)
def linear(x, weight, bias=None, /):
    """y = x weight + bias.    dx = dy weight^T,  dweight = x^T dy,  dbias = sum over rows of dy

    x (..., I), weight (I, O), bias (O,) or None -> y (..., O)
    """
    checks.linear("linear", x, weight, bias)
    x_NI, bf16 = rows(x), in_bf16(x)
    if bias is None:
        y_NO = product(x_NI, weight, bf16)
    else:
        y_NO = backend.linear(x_NI, contiguous(weight), contiguous(bias), bf16)
    return y_NO.reshape(*x.shape[:-1], weight.shape[1]), (x_NI, weight, x.shape, bf16)


@vjp(linear, flops=2)
def linear_vjp(dy, saved, needs):
    x_NI, weight, x_shape, bf16 = saved
    dy_NO = rows(dy)
    dx = dweight = dbias = None
    if needs[0]:
        dx = product(dy_NO, weight.T, bf16).reshape(x_shape)
    if needs[1] and not weight.flags.c_contiguous:  # a transposed view
        dweight = product(dy_NO.T, x_NI, bf16).T  # the same layout
    elif needs[1] and needs[2]:
        dweight, dbias = backend.linear_backward(dy_NO, x_NI, bf16)
    elif needs[1]:
        dweight = product(x_NI.T, dy_NO, bf16)
    if needs[2] and dbias is None:
        # With an x of no columns: the same additions, hence the same bits, as beside a dweight.
        _, dbias = backend.linear_backward(dy_NO, np.empty((len(dy_NO), 0), dy.dtype), bf16)
    return dx, dweight, dbias


def product(a, b, bf16):
    """Return a (..., M, K) times b (..., K, N); leading axes broadcast, any memory layout will do.

    bf16   whether both are rounded to bfloat16 first
    """
    if b.ndim == 2 and a.ndim > 2:  # one matrix for the whole stack: all rows in one product
        return product(rows(a), b, bf16).reshape(*a.shape[:-1], b.shape[-1])
    batch = a.shape[:-2]
    if b.shape[:-2] != batch:
        batch = np.broadcast_shapes(batch, b.shape[:-2])
    (a_Z, a_transposed), (b_Z, b_transposed) = _stack(a, batch), _stack(b, batch)
    if a_transposed and b_transposed:
        a_Z, a_transposed = contiguous(a_Z.swapaxes(1, 2)), False
    if a_transposed:
        z = backend.matmul_tn(a_Z, b_Z, bf16)
    else:
        z = (backend.matmul_nt if b_transposed else backend.matmul)(a_Z, b_Z, bf16)
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
