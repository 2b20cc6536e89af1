"""The parts of a transformer: activations, softmax, layer norm, embedding, dropout.

In the docstrings `dy` is the gradient of the loss with respect to the output y. Every rule follows
from dx_i = sum_j dy_j (dy_j/dx_i), where `dy_j` alone is that gradient and `dy_j/dx_i` a partial
derivative. The arithmetic is in the backend: `autograd.reference` has it in a few lines of NumPy,
`autograd.kernels` compiled.
"""

import operator

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from autograd import backend, checks
from autograd.engine import op, vjp
from autograd.ops.linalg import contiguous, rows


@op
def relu(x, /):
    """y = max(x, 0).    dx = dy where x > 0, else 0"""
    return np.maximum(x, 0), x


@vjp(relu)
def relu_vjp(dy, x):
    return dy * (x > 0)


@op(flops=12)
def sigmoid(x, /):
    """y = 1 / (1 + e^-x).    dx = dy y (1 - y)

    For x < 0 it is computed as e^x / (1 + e^x): nothing overflows, and a small y keeps its digits.
    """
    e = np.exp(np.where(x < 0, x, -x))
    y = np.where(x < 0, e, 1) / (1 + e)
    return y, y


@vjp(sigmoid)
def sigmoid_vjp(dy, y):
    return dy * y * (1 - y)


@op(flops=20)
def gelu(x, /, approximate="tanh"):
    """y = x P(X <= x) for a standard normal X: a gate that x opens smoothly.

    approximate="none"   y = x Phi(x),             dx = dy (Phi(x) + x phi(x))
    approximate="tanh"   y = x sigmoid(2u),        dx = dy (s + x s (1-s) 2 du/dx),  s = sigmoid(2u)
                         u = sqrt(2/pi) (x + 0.044715 x^3)

    with Phi the normal distribution function and phi its density. GPT-2 has the tanh form, usually
    written x/2 (1 + tanh u), where (1 + tanh u)/2 is sigmoid(2u).
    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016.
    """
    if approximate not in ("tanh", "none"):
        raise ValueError(f"gelu: approximate={approximate!r}; use 'tanh' or 'none'")
    function = backend.gelu if approximate == "tanh" else backend.gelu_exact
    return _by_element(function, x), (x, approximate)


@vjp(gelu)
def gelu_vjp(dy, saved):
    x, approximate = saved
    function = backend.gelu_backward if approximate == "tanh" else backend.gelu_exact_backward
    return _by_element(function, dy, x)


@op(flops=13)
def silu(x, /):
    """y = x s,  s = sigmoid(x) = 1 / (1 + e^-x).    dx = dy (s + x s (1 - s))

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, section 2; Swish in
    Ramachandran, Zoph and Le, Searching for Activation Functions, 2017.
    """
    return _by_element(backend.silu, x), x


@vjp(silu)
def silu_vjp(dy, x):
    return _by_element(backend.silu_backward, dy, x)


@op(flops=14)
def softmax(x, /, axis=-1):
    """y_i = e^(x_i) / sum_j e^(x_j) along an axis.    dx_i = y_i (dy_i - sum_j dy_j y_j)

    dy_j/dx_i is y_j ([i = j] - y_i). The outputs sum to 1, so a constant added to all dy changes
    nothing: the subtracted sum removes it.
    """
    axis = normalize_axis_index(axis, x.ndim)
    checks.count("softmax", x.shape, (axis,))
    y = _along_rows(backend.softmax, axis, x)
    return y, (y, axis)


@vjp(softmax)
def softmax_vjp(dy, saved):
    y, axis = saved
    return _along_rows(backend.softmax_backward, axis, dy, y)


@op(flops=14)
def log_softmax(x, /, axis=-1):
    """y_i = x_i - ln sum_j e^(x_j) along an axis.    dx_i = dy_i - e^(y_i) sum_j dy_j"""
    axis = normalize_axis_index(axis, x.ndim)
    checks.count("log_softmax", x.shape, (axis,))
    y = _along_rows(backend.log_softmax, axis, x)
    return y, (y, axis)


@vjp(log_softmax)
def log_softmax_vjp(dy, saved):
    y, axis = saved
    return _along_rows(backend.log_softmax_backward, axis, dy, y)


@op(flops=8)
def layer_norm(x, weight=None, bias=None, /, eps=1e-5):
    """y = n weight + bias,  n = (x - mean) / sqrt(var + eps), over the last axis of length C.

    With g = dy weight, the gradient of n, and averages over the C channels of a row:

    dx = (g - mean(g) - n mean(g n)) / sqrt(var + eps)
    dweight = sum over rows of dy n,    dbias = sum over rows of dy

    Neither a shift nor a scaling of the row changes n. mean(g) and n mean(g n), the components of g
    along these two directions, are subtracted.

    Where the sum of the squares of x - mean overflows (float32: from about 2e19 / sqrt(C)), n is 0
    and y is the bias.

    x (..., C), weight (C,) or None for 1, bias (C,) or None for 0 -> y (..., C)
    Source: Ba, Kiros and Hinton, Layer Normalization, 2016.
    """
    checks.per_channel("layer_norm", x, weight=weight, bias=bias)
    x_NC = rows(x)
    weight_C = np.ones(x.shape[-1], x.dtype) if weight is None else contiguous(weight)
    bias_C = np.zeros(x.shape[-1], x.dtype) if bias is None else contiguous(bias)
    y_NC, mean_N, rstd_N = backend.layer_norm(x_NC, weight_C, bias_C, float(eps))
    return y_NC.reshape(x.shape), (x_NC, weight_C, mean_N, rstd_N, x.shape)


@vjp(layer_norm, flops=2)
def layer_norm_vjp(dy, saved):
    x_NC, weight_C, mean_N, rstd_N, shape = saved
    dx_NC, dweight_C, dbias_C = backend.layer_norm_backward(
        rows(dy), x_NC, weight_C, mean_N, rstd_N
    )
    return dx_NC.reshape(shape), dweight_C, dbias_C


@op(flops=4)
def rms_norm(x, weight, /, eps=1e-6):
    """y = n weight,  n = x / sqrt(mean(x^2) + eps), over the last axis of length C.

    With g = dy weight, the gradient of n, and averages over the C channels of a row:

    dx = (g - n mean(g n)) / sqrt(mean(x^2) + eps),    dweight = sum over rows of dy n

    It is `layer_norm` without the shift: a scaling of the row does not change n, and only that
    direction is subtracted. Where the sum of squares overflows, n and y are 0.

    x (..., C), weight (C,) -> y (..., C)
    Source: Zhang and Sennrich, Root Mean Square Layer Normalization, 2019.
    """
    checks.per_channel("rms_norm", x, weight=weight)
    x_NC, weight_C = rows(x), contiguous(weight)
    y_NC, rstd_N = backend.rms_norm(x_NC, weight_C, float(eps))
    return y_NC.reshape(x.shape), (x_NC, weight_C, rstd_N, x.shape)


@vjp(rms_norm, flops=2.5)
def rms_norm_vjp(dy, saved):
    x_NC, weight_C, rstd_N, shape = saved
    dx_NC, dweight_C = backend.rms_norm_backward(rows(dy), x_NC, weight_C, rstd_N)
    return dx_NC.reshape(shape), dweight_C


@op(flops=3)
def rotary_embedding(x, /, positions, base=10000.0):
    """Channels e and e + D/2 of a head, as a point in the plane, rotated by the angle t w_e:

    y_e = x_e cos(t w_e) - x_(e+D/2) sin(t w_e),    w_e = base^(-2e/D),  e < D/2
    y_(e+D/2) = x_(e+D/2) cos(t w_e) + x_e sin(t w_e)

    at position t. The product of a query rotated by t and a key rotated by s depends only on t - s.
    The transpose of a rotation is its inverse, so dx is dy rotated by -t w_e.

    x (B, H, T, D), D even, positions (T,) integers -> y (B, H, T, D)
    Source: Su et al., RoFormer, 2021, section 3.2.2; the Llama models pair channels in this way.
    """
    positions_T = checks.positions("rotary_embedding", x, positions)
    E = x.shape[3] // 2
    angle_TE = positions_T[:, None] * float(base) ** (-np.arange(E) / E)
    cos_TE, sin_TE = np.cos(angle_TE).astype(x.dtype), np.sin(angle_TE).astype(x.dtype)
    return _rotated(x, cos_TE, sin_TE), (cos_TE, sin_TE)


@vjp(rotary_embedding)
def rotary_embedding_vjp(dy, saved):
    cos_TE, sin_TE = saved
    return _rotated(dy, cos_TE, -sin_TE)


@op(flops=0)
def embedding(weight, /, indices):
    """y = weight[indices], a row per index.    dweight_v = sum of dy over the positions of index v

    weight (V, C), indices (...) integers in [0, V) -> y (..., C)
    """
    if weight.ndim != 2:
        raise ValueError(f"embedding: weight {weight.shape}; use (vocabulary, channels)")
    indices = checks.indices("embedding", indices, len(weight))
    y_NC = backend.embedding(contiguous(weight), indices.reshape(-1))
    return y_NC.reshape(*indices.shape, weight.shape[1]), (indices, weight.shape[0])


@vjp(embedding)
def embedding_vjp(dy, saved, sums):
    indices, vocab_size = saved
    (dweight,) = sums
    if dweight is None:  # else in place: a second array of GPT-2's would take 154 MB and 38 ms
        dweight = np.zeros((vocab_size, dy.shape[-1]), dy.dtype)
    backend.embedding_backward_(dweight, rows(dy), indices.reshape(-1))
    return dweight


@op(flops=10)
def dropout(x, /, p, *, seed):
    """y_i = x_i / (1 - p) with probability 1 - p, else 0.    dx_i = dy_i / (1 - p) or 0, alike

    A hash of (seed, i) decides whether element i is dropped: the mask is never stored, and the same
    call always drops the same elements. Division by 1 - p leaves the mean unchanged, so a model
    needs no rescaling when dropout is switched off.

    p in [0, 1), seed an int of any size and sign.
    Source: Srivastava et al., Dropout, 2014. The hash is described in `autograd.reference`.
    """
    checks.probability("dropout", p)
    return _dropped(x, p, seed), (p, seed)


@vjp(dropout)
def dropout_vjp(dy, saved):
    return _dropped(dy, *saved)


def _by_element(function, x, *others):
    """Apply a backend function of contiguous flat arrays to arrays of any shape and layout."""
    return function(*[contiguous(a).reshape(-1) for a in (x, *others)]).reshape(x.shape)


def _along_rows(function, axis, *arrays):
    """Apply a backend function of contiguous rows (N, C) along any axis."""
    swapped = [a.swapaxes(axis, -1) for a in arrays]
    y = function(*map(rows, swapped)).reshape(swapped[0].shape)
    return y.swapaxes(axis, -1)


def _rotated(x_BHTD, cos_TE, sin_TE):
    """Rotate (B, H, T, D); the kernel reads (B, T, H, D), the layout in which a projection lies."""
    return backend.rotary(contiguous(x_BHTD.swapaxes(1, 2)), cos_TE, sin_TE).swapaxes(1, 2)


def _dropped(x, p, seed):
    seed = operator.index(seed) % 2**63  # an int64: kernels are compiled for no other type of int
    return backend.dropout(contiguous(x).reshape(-1), float(p), seed).reshape(x.shape)


