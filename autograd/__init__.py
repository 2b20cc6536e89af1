"""Reverse-mode automatic differentiation on NumPy arrays.

The tree in README.md has its files in reading order, from `engine` and `ops` on.

>>> from autograd import Tensor
>>> x = Tensor([1.0, 2.0, 3.0], requires_grad=True)
>>> (x * x).sum().backward()
>>> x.grad
array([2., 4., 6.], dtype=float32)
"""

# isort: off
from autograd.engine import OPS, Observer, Tensor, backward, no_grad, observing, op, vjp
from autograd.gradcheck import GradcheckError, gradcheck
from autograd.ops.arithmetic import (
    abs, add, clip, cos, div, exp, log, maximum, mul, neg, pow, sin, sqrt, sub, tanh, where,
)
from autograd.ops.attention import scaled_dot_product_attention
from autograd.ops.linalg import linear, matmul
from autograd.ops.loss import binary_cross_entropy, cross_entropy, linear_cross_entropy
from autograd.ops.nn import (
    dropout, embedding, gelu, layer_norm, log_softmax, relu, rms_norm, rotary_embedding, sigmoid,
    silu, softmax,
)
from autograd.ops.reductions import logsumexp, max, mean, min, std, sum, var
from autograd.ops.shaping import (
    broadcast_to, concat, getitem, pad, reshape, split, stack, swapaxes, transpose,
)
from autograd.precision import matmul_precision, set_matmul_precision, using_matmul_precision
# isort: on

__all__ = [
    "backward", "GradcheckError", "gradcheck", "abs", "add", "clip", "cos", "div", "exp",
    "log", "maximum", "mul", "neg", "pow", "sin", "sqrt", "sub", "tanh", "where", "linear",
    "matmul", "binary_cross_entropy", "cross_entropy", "linear_cross_entropy", "dropout",
    "embedding", "gelu", "layer_norm", "log_softmax", "relu", "rms_norm", "rotary_embedding",
    "scaled_dot_product_attention", "sigmoid", "silu", "softmax", "logsumexp", "max", "mean", "min",
    "std", "sum", "var", "broadcast_to", "concat", "getitem", "pad", "reshape", "split", "stack",
    "swapaxes", "transpose",
    "matmul_precision", "set_matmul_precision", "using_matmul_precision", "Observer", "no_grad",
    "observing", "op", "vjp", "OPS", "Tensor",
]
