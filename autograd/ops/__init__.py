"""All ops by name, and the operators of Tensor. Reading order: arithmetic, reductions, shaping,
linalg, nn, loss. Each file holds forwards and, right below each, its vector-Jacobian product."""

from autograd.ops.arithmetic import (
    abs,
    add,
    clip,
    div,
    exp,
    log,
    maximum,
    mul,
    neg,
    pow,
    sqrt,
    sub,
    tanh,
    where,
)
from autograd.ops.linalg import linear, matmul
from autograd.ops.loss import cross_entropy, linear_cross_entropy
from autograd.ops.nn import (
    dropout,
    embedding,
    gelu,
    layer_norm,
    log_softmax,
    relu,
    scaled_dot_product_attention,
    sigmoid,
    softmax,
)
from autograd.ops.reductions import logsumexp, max, mean, sum, var
from autograd.ops.shaping import (
    broadcast_to,
    concat,
    getitem,
    pad,
    reshape,
    split,
    stack,
    swapaxes,
    transpose,
)
from autograd.tensor import Tensor

# fmt: off
Tensor.__add__     = lambda a, b: add(a, b)
Tensor.__radd__    = lambda a, b: add(b, a)
Tensor.__sub__     = lambda a, b: sub(a, b)
Tensor.__rsub__    = lambda a, b: sub(b, a)
Tensor.__mul__     = lambda a, b: mul(a, b)
Tensor.__rmul__    = lambda a, b: mul(b, a)
Tensor.__truediv__ = lambda a, b: div(a, b)
Tensor.__rtruediv__= lambda a, b: div(b, a)
Tensor.__pow__     = lambda a, b: pow(a, b)
Tensor.__rpow__    = lambda a, b: pow(b, a)
Tensor.__matmul__  = lambda a, b: matmul(a, b)
Tensor.__rmatmul__ = lambda a, b: matmul(b, a)
Tensor.__neg__     = lambda a: neg(a)
Tensor.__abs__     = lambda a: abs(a)
Tensor.__getitem__ = lambda a, index: getitem(a, index)
Tensor.sum         = lambda a, axis=None, keepdims=False: sum(a, axis, keepdims)
Tensor.mean        = lambda a, axis=None, keepdims=False: mean(a, axis, keepdims)
Tensor.max         = lambda a, axis=None, keepdims=False: max(a, axis, keepdims)
Tensor.reshape     = lambda a, *shape: reshape(a, *shape)
Tensor.transpose   = lambda a, *axes: transpose(a, *axes)
Tensor.swapaxes    = lambda a, first, second: swapaxes(a, first, second)
# fmt: on
