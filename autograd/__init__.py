"""Reverse-mode automatic differentiation on NumPy arrays.

Reading order:

    tensor.py        an array, its gradient, the op that made it
    recording.py     what an op is, and how its calls are recorded
    engine.py        how gradients travel back along the record
    ops/             each op: a forward and its vector-Jacobian product, side by side
    gradcheck.py     is a gradient right? finite differences against it: finite_differences.py
                     has both sides, gradcheck_cases.py what each op is checked on
    anomaly.py       which op was the first to give a NaN?
    reference.py     the arithmetic of the larger ops in a few lines of NumPy each
    kernels/         the same, compiled by Numba and fast
    backend.py       chooses between the last two

>>> from autograd import Tensor
>>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
array([2., 4., 6.], dtype=float32)
"""

from autograd.engine import OPS, backward, no_grad, op, vjp
from autograd.gradcheck import GradcheckError, gradcheck
from autograd.ops import (
    abs,
    add,
    broadcast_to,
    clip,
    concat,
    cross_entropy,
    div,
    dropout,
    embedding,
    exp,
    gelu,
    getitem,
    layer_norm,
    linear,
    linear_cross_entropy,
    log,
    log_softmax,
    logsumexp,
    matmul,
    max,
    maximum,
    mean,
    mul,
    neg,
    pad,
    pow,
    relu,
    reshape,
    scaled_dot_product_attention,
    sigmoid,
    softmax,
    split,
    sqrt,
    stack,
    sub,
    sum,
    swapaxes,
    tanh,
    transpose,
    var,
    where,
)
from autograd.tensor import Tensor
