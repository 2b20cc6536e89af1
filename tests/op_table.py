"""One table of all ops: an op that is missing in it fails, and the error says what to write.

`TABLE[name]` says for an op how NumPy defines it, how it may be called, and what PyTorch computes.
`tests/autograd/test_ops.py` compares values with the definition, for shapes that hypothesis draws;
`tests/gradients/test_extremes.py` compares extreme and empty arrays with PyTorch.
"""

import math
from typing import NamedTuple

import numpy as np
from hypothesis import reject
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, mutually_broadcastable_shapes

import autograd
from autograd import OPS, reference

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # the extra `peers`
    torch = F = None

inf = np.inf
GELUS = ("tanh", "none")
ROW_TARGETS = np.array([0, -1])


class Entry(NamedTuple):
    """An op, its definition, and its calls.

    numpy    its definition, a function of arrays and settings; a tuple of several outputs
    drawn    a function of hypothesis' `draw`: (shapes of the arrays, positional settings, settings)
    shapes   the shapes of its arrays for extremes, by a size n: 1 or 3; None: it only moves numbers
    theirs   a function of PyTorch's tensors; None for PyTorch's function of the op's name
    ours     the same of ours; None for the op itself, without settings
    scale    a function of the arrays: results may be off by the tolerance times this, besides the
             tolerance times themselves. None is 1 for an op that sums, and 0 for one by elements.
    most     gradients of extremes are not compared if a finite input is larger
    positive whether drawn arrays are positive
    exact    whether the forward of the reference can be computed by a complex step
    kink     whether its gradients are compared on spaced numbers: of an op with a kink, or one that
             is steep behind nearly equal numbers, as a norm is
    """

    numpy: object
    drawn: object
    shapes: object = None
    theirs: object = None
    ours: object = None
    scale: object = None
    most: float = inf
    positive: bool = False
    exact: bool = True
    kink: bool = False


def call(name, inputs, rest=(), settings=None):
    """Return the outputs of an op, always as a tuple."""
    inputs = (inputs,) if name in ("concat", "stack") else inputs
    output = OPS[name](*inputs, *rest, **(settings or {}))
    return output if isinstance(output, tuple) else (output,)


def draw_call(name, draw):
    """Return (float64 arrays, positional settings, settings) of a valid call of the op.

    Arrays may be empty, but for a call that an op refuses because nothing is left to reduce.
    """
    assert name in TABLE, f"tests/op_table.py: an Entry for {name!r} in TABLE"
    shapes, rest, settings = TABLE[name].drawn(draw)
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    arrays = [None if shape is None else rng.standard_normal(shape) for shape in shapes]
    if TABLE[name].positive:
        arrays = [np.asarray(np.abs(array) + 0.5) for array in arrays]
    try:
        call(name, arrays, rest, settings)
    except ValueError as error:
        assert any(a is not None and a.size == 0 for a in arrays), error
        reject()
    return arrays, rest, settings


# ---- definitions in NumPy


def logsumexp(x, axis=None, keepdims=False):
    return np.log(np.exp(x).sum(axis=axis, keepdims=keepdims))


def softmax(x, axis=-1):
    return np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)


def gelu(x, approximate="tanh"):
    if approximate == "tanh":
        return x / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x * np.array([(1 + math.erf(v / math.sqrt(2))) / 2 for v in x.ravel()]).reshape(x.shape)


def layer_norm(x, weight, bias, eps=1e-5):
    mean, var = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    n = (x - mean) / np.sqrt(var + eps)
    return n * (1 if weight is None else weight) + (0 if bias is None else bias)


def rms_norm(x, weight, eps=1e-6):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotary_embedding(x, positions, base=10000.0):
    """Pairs of channels as complex numbers, which are turned by a factor of length 1."""
    half = x.shape[3] // 2
    angle = np.outer(positions, base ** (-np.arange(half) * 2 / x.shape[3]))
    z = (x[..., :half] + 1j * x[..., half:]) * np.exp(1j * angle)
    return np.concatenate([z.real, z.imag], axis=-1)


def numpy_attention(q, k, v, bias=None, causal=True, scale=None, mask=None, first=None):
    y = np.zeros_like(q)
    (B, H, T, D), (_, G, S, _) = q.shape, k.shape
    for b, h, t in np.ndindex(B, H, T):
        seen = np.arange(S) <= (t + S - T if causal else S)
        seen &= True if mask is None else mask[b].astype(bool)
        before = seen & (np.arange(S) < (0 if first is None else first[b, t]))
        seen &= ~before
        scores = k[b, h * G // H] @ q[b, h, t] * (1 / math.sqrt(D) if scale is None else scale)
        scores += 0 if bias is None else bias[b if len(bias) > 1 else 0, h, t]
        if seen.any():
            y[b, h, t] = softmax(scores[seen]) @ v[b, h * G // H, seen]
        y[b, h, t] += 0 * v[b, h * G // H, before].sum(axis=0)  # NaN, if one is NaN
    return y


def cross_entropy(logits, targets, ignore_index=-1):
    kept = targets != ignore_index
    return -np.mean(np.log(softmax(logits))[kept][np.arange(kept.sum()), targets[kept]])


def binary_cross_entropy(logits, targets):
    p = 1 / (1 + np.exp(-logits))
    return -np.mean(targets * np.log(p) + (1 - targets) * np.log(1 - p))


def dropout(x, p, seed):
    return reference.dropout(np.ascontiguousarray(x).ravel(), p, seed % 2**63).reshape(x.shape)


def split(x, size, axis=0):
    lengths = size if isinstance(size, list) else [size] * -(-x.shape[axis] // size)
    return np.split(x, np.cumsum(lengths)[:-1], axis)


# ---- draw -> (shapes of the arrays, positional settings, settings)


def a_shape(draw, least=0, most=3):
    """Return a shape, one in four perhaps with lengths of 0."""
    shortest = draw(st.sampled_from([1, 1, 1, 0]))
    return draw(array_shapes(min_dims=least, max_dims=most, min_side=shortest, max_side=4))


def broadcast(count, dims=3):
    def arguments(draw):
        shortest = draw(st.sampled_from([1, 1, 1, 0]))
        drawn = mutually_broadcastable_shapes(
            num_shapes=count, max_dims=dims, min_side=shortest, max_side=4
        )
        return draw(drawn).input_shapes, (), {}

    return arguments


def one_array(draw):
    return [a_shape(draw)], (), {}


def an_axis(draw, ndim):
    return draw(st.integers(-ndim, ndim - 1))


def reduction(draw):
    x = a_shape(draw)
    some = st.lists(st.integers(0, max(len(x) - 1, 0)), unique=True, max_size=len(x)).map(tuple)
    one = st.integers(-len(x), len(x) - 1) if x else st.none()
    return [x], (), {"axis": draw(st.none() | some | one), "keepdims": draw(st.booleans())}


def of_var(draw):
    x, rest, settings = reduction(draw)
    return x, rest, settings | {"correction": draw(st.sampled_from([0, 0.5]))}


def along_one_axis(draw):
    x = a_shape(draw, least=1)
    return [x], (), {"axis": an_axis(draw, len(x))}


def of_reshape(draw):
    x = a_shape(draw)
    new = draw(st.permutations(x)) + [1]
    if 0 not in x and draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    return [x], tuple(new), {}


def of_transpose(draw):
    x = a_shape(draw)
    return [x], tuple(draw(st.permutations(range(len(x))))), {}


def of_swapaxes(draw):
    x = a_shape(draw, least=1)
    return [x], (an_axis(draw, len(x)), an_axis(draw, len(x))), {}


def of_broadcast_to(draw):
    base = draw(st.sampled_from([(2, 3, 4), (2, 0, 4)]))
    drawn = draw(mutually_broadcastable_shapes(
        num_shapes=1, base_shape=base, min_side=0, max_dims=3))
    return drawn.input_shapes, (drawn.result_shape,), {}


def of_getitem(draw):
    x = a_shape(draw, least=1)
    rows = st.lists(st.integers(-x[0], x[0] - 1), max_size=5) if x[0] else st.just([])
    masks = st.lists(st.booleans(), min_size=x[0], max_size=x[0])
    arrays = rows.map(lambda ids: np.array(ids, int)) | masks.map(lambda mask: np.array(mask, bool))
    return [x], (draw(basic_indices(x, allow_newaxis=True) | rows | arrays),), {}


def of_concat(draw):
    x = list(a_shape(draw, least=1))
    axis = an_axis(draw, len(x))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    return [(*x[: axis % len(x)], n, *x[axis % len(x) + 1 :]) for n in lengths], (), {"axis": axis}


def of_stack(draw):
    x = a_shape(draw)
    return [x] * draw(st.integers(1, 3)), (), {"axis": an_axis(draw, len(x) + 1)}


def of_split(draw):
    x = a_shape(draw, least=1)
    axis = an_axis(draw, len(x))
    cut = draw(st.integers(0, x[axis]))
    size = draw(st.sampled_from([[cut, x[axis] - cut], [x[axis]], x[axis] + 1, x[axis] or 3, 1, 2]))
    return [x], (), {"size": size, "axis": axis}


def of_pad(draw):
    x = a_shape(draw)
    widths = [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in x]
    return [x], (), {"widths": widths, "value": draw(st.sampled_from([0.0, -1.5]))}


def of_clip(draw):
    low, high = draw(st.sampled_from([(-0.5, 0.5), (None, 0.5), (0, None), (-1e9, 1e9)]))
    return [a_shape(draw)], (), {"low": low, "high": high}


def of_matmul(draw):
    M, K, N = (draw(st.integers(0, 5)) for _ in range(3))
    if draw(st.booleans()):
        vectors = [[(K,), (K,)], [(K,), (K, N)], [(M, K), (K,)], [(2, M, K), (K,)]]
        return draw(st.sampled_from(vectors)), (), {}
    (a, b), _, _ = broadcast(2, dims=2)(draw)
    return [(*a, M, K), (*b, K, N)], (), {}


def of_linear(draw):
    n_in, n_out = draw(st.integers(0, 5)), draw(st.integers(0, 5))
    bias = (n_out,) if draw(st.booleans()) else None
    return [(*a_shape(draw, most=2), n_in), (n_in, n_out), bias], (), {}


def of_layer_norm(draw):
    x = a_shape(draw, least=1)
    weight, bias = (draw(st.sampled_from([x[-1:], None])) for _ in range(2))
    return [x, weight, bias], (), {"eps": draw(st.sampled_from([1e-5, 0.1]))}


def of_rms_norm(draw):
    x = a_shape(draw, least=1)
    return [x, x[-1:]], (), {"eps": draw(st.sampled_from([1e-6, 0.1]))}


def of_rotary_embedding(draw):
    B, H, T, half = *(draw(st.integers(0, 4)) for _ in range(3)), draw(st.integers(1, 4))
    positions = np.random.default_rng(0).integers(100, size=T)
    return [(B, H, T, 2 * half)], (positions,), {"base": draw(st.sampled_from([10000.0, 7.0]))}


def of_embedding(draw):
    V = draw(st.integers(1, 5))
    indices = np.random.default_rng(0).integers(V, size=a_shape(draw))
    dtype = draw(st.sampled_from([np.int64, np.int32, np.uint8, np.uint64]))
    return [(V, draw(st.integers(0, 4)))], (indices.astype(dtype),), {}


def of_attention(draw):
    B, T, H, D, more = (draw(st.integers(n, 4)) for n in (0, 0, 1, 1, 1))
    S, G = T + more - 1, draw(st.sampled_from([g for g in (1, 2, 3, 4) if H % g == 0]))
    bias = draw(st.sampled_from([None, (1, H, T, S), (B, H, T, S)]))
    mask = np.random.default_rng(0).integers(0, 2, (B, S)) if draw(st.booleans()) else None
    first = np.random.default_rng(1).integers(0, S + 2, (B, T)) if draw(st.booleans()) else None
    settings = {"causal": draw(st.booleans()), "scale": draw(st.sampled_from([None, 0.7]))}
    settings |= {"mask": mask, "first": first}
    return [(B, H, T, D), (B, G, S, D), (B, G, S, D), bias], (), settings


def of_binary_cross_entropy(draw):
    x = a_shape(draw)
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    return [x], (), {"targets": rng.choice([0, 1, 0.25], size=x)}


def of_cross_entropy(draw):
    logits = (*a_shape(draw, most=2), draw(st.integers(1, 4)))
    targets = np.random.default_rng(0).integers(logits[-1], size=logits[:-1])
    ignore_index = draw(st.sampled_from([-1, -100, 0]))
    kept = np.random.default_rng(1).random(targets.shape) < 0.7
    targets = np.where(kept, targets, ignore_index)
    targets = targets if (targets != ignore_index).any() else np.full(targets.shape, 0)
    ignore_index = ignore_index if (targets != ignore_index).any() else -1
    return [logits], (targets,), {"ignore_index": ignore_index}


def of_linear_cross_entropy(draw):
    [logits], targets, settings = of_cross_entropy(draw)
    C = draw(st.integers(1, 4))
    return [(*logits[:-1], C), (logits[-1], C)], targets, settings


def of_dropout(draw):
    return [a_shape(draw)], (draw(st.sampled_from([0.0, 0.3, 0.9])),), {"seed": draw(st.integers())}


def of_gelu(draw):
    return [a_shape(draw)], (), {"approximate": draw(st.sampled_from(["tanh", "none"]))}


# ---- extremes: shapes, and what PyTorch computes


def row(n):
    return [(n,)]


def two_rows(n):
    return [(n,), (n,)]


def matrix(n):
    return [(2, n)]


def largest(arrays):
    """Return the largest finite size: an error is relative to terms as large as the inputs."""
    return max(np.abs(x[np.isfinite(x)]).max(initial=1).item() for x in arrays)


def half(x):
    """True, False, True, ..."""
    return np.resize([True, False], x.shape)


def both_gelus(x):
    return autograd.concat([autograd.gelu(x, approximate=a) for a in GELUS])


def torch_attention(q, k, v):
    """By its definition: PyTorch's own gives 0 for a query of NaN."""
    return (q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])).softmax(3) @ v


def torch_rotary(x):
    """Rotary positions by their definition, for one pair of channels to a head."""
    t = torch.arange(x.shape[2], dtype=x.dtype)
    a, b = x[..., 0], x[..., 1]
    return torch.stack([a * t.cos() - b * t.sin(), b * t.cos() + a * t.sin()], -1)


def torch_loss(logits):
    return F.cross_entropy(logits, torch.from_numpy(ROW_TARGETS), ignore_index=-1)


def of_one(numpy, **more):
    return Entry(numpy, one_array, row, **more)


def of_two(numpy, **more):
    return Entry(numpy, broadcast(2), two_rows, **more)


ag = autograd
TABLE = {
    "neg": of_one(np.negative), "exp": of_one(np.exp), "tanh": of_one(np.tanh),
    "sin": of_one(np.sin, most=1e3), "cos": of_one(np.cos, most=1e3),
    "abs": of_one(np.abs, exact=False, kink=True), "log": of_one(np.log, positive=True),
    "sqrt": of_one(np.sqrt, positive=True), "relu": of_one(lambda x: np.maximum(x, 0), kink=True),
    "sigmoid": of_one(lambda x: 1 / (1 + np.exp(-x))),
    "silu": of_one(lambda x: x / (1 + np.exp(-x)), exact=False),
    "add": of_two(np.add), "sub": of_two(np.subtract), "mul": of_two(np.multiply),
    "div": of_two(np.divide), "pow": of_two(np.power, positive=True),
    "maximum": of_two(np.maximum, kink=True),
    "where": Entry(lambda c, a, b: np.where(c != 0, a, b), broadcast(3), two_rows,
                   lambda a, b: torch.where(torch.from_numpy(half(a)), a, b),
                   lambda a, b: ag.where(half(a), a, b)),
    "clip": Entry(lambda x, low, high: x.clip(low, high), of_clip, row,
                  lambda x: x.clip(-2.0, 1e29), lambda x: ag.clip(x, -2.0, 1e29), kink=True),
    "gelu": Entry(gelu, of_gelu, row,
                  lambda x: torch.concat([F.gelu(x, approximate=a) for a in GELUS]), both_gelus,
                  exact=False),
    "dropout": Entry(dropout, of_dropout, row,
                     lambda x: torch.where(torch.arange(len(x)) < 2, 2 * x, 0.0),
                     lambda x: ag.dropout(x, 0.5, seed=3)),
    # sums
    "sum": Entry(np.sum, reduction, matrix, lambda x: x.sum(1), lambda x: ag.sum(x, 1)),
    "mean": Entry(np.mean, reduction, matrix, lambda x: x.mean(1), lambda x: ag.mean(x, 1)),
    "max": Entry(np.max, reduction, matrix, lambda x: x.amax(1), lambda x: ag.max(x, 1),
                 kink=True),
    "min": Entry(np.min, reduction, matrix, lambda x: x.amin(1), lambda x: ag.min(x, 1),
                 kink=True),
    "std": Entry(lambda x, correction=0, **along: np.std(x, ddof=correction, **along), of_var,
                 matrix, lambda x: x.std(1, correction=0), lambda x: ag.std(x, 1), scale=largest,
                 kink=True),
    "logsumexp": Entry(logsumexp, reduction, matrix,
                       lambda x: x.logsumexp(1), lambda x: ag.logsumexp(x, 1)),
    "var": Entry(lambda x, correction=0, **along: np.var(x, ddof=correction, **along), of_var,
                 matrix, lambda x: x.var(1, correction=0), lambda x: ag.var(x, 1),
                 scale=lambda arrays: largest(arrays) ** 2),
    "softmax": Entry(softmax, along_one_axis, matrix, lambda x: x.softmax(1)),
    "log_softmax": Entry(lambda x, axis=-1: np.log(softmax(x, axis)), along_one_axis, matrix,
                         lambda x: x.log_softmax(1)),
    # With eps=1 a row of equals does not multiply the rounding of its mean. In float32 the variance
    # of numbers of 1e30 is infinite, and y is the bias, as documented.
    "layer_norm": Entry(layer_norm, of_layer_norm, lambda n: [(2, n), (n,), (n,)],
                        lambda x, *affine: F.layer_norm(x, x.shape[1:], *affine, 1.0),
                        lambda x, *affine: ag.layer_norm(x, *affine, 1.0), scale=largest,
                        exact=False, kink=True),
    # as layer norm: in float32 numbers of 1e30 have a y of 0
    "rms_norm": Entry(rms_norm, of_rms_norm, lambda n: [(2, n), (n,)],
                      lambda x, weight: F.rms_norm(x, x.shape[1:], weight, 1.0),
                      lambda x, weight: ag.rms_norm(x, weight, 1.0), scale=largest, kink=True),
    "rotary_embedding": Entry(rotary_embedding, of_rotary_embedding, lambda n: [(1, 2, n, 2)],
                              torch_rotary,
                              lambda x: ag.rotary_embedding(x, np.arange(x.shape[2])),
                              scale=largest),
    "matmul": Entry(np.matmul, of_matmul, lambda n: [(2, n), (n, 3)]),
    "linear": Entry(lambda x, w, b: x @ w + (0 if b is None else b), of_linear,
                    lambda n: [(2, n), (n, 3), (3,)],
                    lambda x, weight, bias: F.linear(x, weight.T, bias)),
    # Scores beyond 1e6 are too much for the kernel's backward in float32: see there.
    "scaled_dot_product_attention": Entry(
        numpy_attention, of_attention, lambda n: [(1, 2, 2, n)] * 3, torch_attention,
        lambda *qkv: ag.scaled_dot_product_attention(*qkv, causal=False),
        scale=largest, most=1e3),
    "cross_entropy": Entry(cross_entropy, of_cross_entropy, matrix, torch_loss,
                           lambda x: ag.cross_entropy(x, ROW_TARGETS)),
    "binary_cross_entropy": Entry(
        binary_cross_entropy, of_binary_cross_entropy, row,
        lambda x: F.binary_cross_entropy_with_logits(x, torch.full_like(x, 0.25)),
        lambda x: ag.binary_cross_entropy(x, np.full(x.shape, 0.25)), exact=False),
    "linear_cross_entropy": Entry(
        lambda x, table, targets, ignore_index: cross_entropy(x @ table.T, targets, ignore_index),
        of_linear_cross_entropy, lambda n: [(2, 3), (n, 3)],
        lambda x, table: torch_loss(x @ table.T),
        lambda x, table: ag.linear_cross_entropy(x, table, ROW_TARGETS), scale=largest),
    # numbers that move: no extreme is made or lost
    "reshape": Entry(lambda x, *shape: x.reshape(shape), of_reshape),
    "transpose": Entry(lambda x, *axes: x.transpose(axes), of_transpose),
    "swapaxes": Entry(np.swapaxes, of_swapaxes),
    "broadcast_to": Entry(np.broadcast_to, of_broadcast_to),
    "getitem": Entry(lambda x, index: x[index], of_getitem),
    "concat": Entry(lambda *arrays, axis: np.concatenate(arrays, axis), of_concat),
    "stack": Entry(lambda *arrays, axis: np.stack(arrays, axis), of_stack),
    "split": Entry(split, of_split),
    "pad": Entry(lambda x, widths, value: np.pad(x, widths or 0, constant_values=value), of_pad),
    "embedding": Entry(lambda weight, indices: weight[indices], of_embedding),
}
# An op, a row, its output and the gradient of the output's sum, from mathematics alone: what
# `test_extremes.py` has where PyTorch is not installed.
LN2, LN10 = math.log(2), math.log(10)
KNOWN = [
    (ag.exp, [-1e3, -1e30, -inf], [0, 0, 0], [0, 0, 0]),
    (ag.log, [1e3, 1e30], [3 * LN10, 30 * LN10], [1e-3, 1e-30]),
    (ag.sqrt, [1e30], [1e15], [5e-16]),
    (ag.abs, [1e30, -1e30, -inf], [1e30, 1e30, inf], [1, -1, -1]),
    (ag.tanh, [1e3, 1e30, inf, -1e30], [1, 1, 1, -1], [0, 0, 0, 0]),
    (ag.sigmoid, [1e3, inf, -1e3, -1e30, -inf], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]),
    (ag.relu, [-inf, -1e30, 1e30, inf], [0, 0, 1e30, inf], [0, 0, 1, 1]),
    (ag.silu, [-1e30, -1e3, 1e3, 1e30], [0, 0, 1e3, 1e30], [0, 0, 1, 1]),
    (both_gelus, [-1e30, -1e3, 1e3, 1e30], [0, 0, 1e3, 1e30] * 2, [0, 0, 2, 2]),
    (lambda x: 1 / x, [1e3, 1e30, -1e30], [1e-3, 1e-30, -1e-30], [-1e-6, -1e-60, -1e-60]),
    (lambda x: 1e30 / x, [1e30, -1e30], [1, -1], [-1e-30, -1e-30]),
    (lambda x: x**0.5, [1e30], [1e15], [5e-16]),
    (ag.sum, [1e30, -1e30, 1e3], 1e3, [1, 1, 1]),
    (ag.mean, [1e30, 1e30], 1e30, [0.5, 0.5]),
    (ag.max, [1e30, -inf, 1e3], 1e30, [1, 0, 0]),
    (ag.var, [1e3, -1e3], 1e6, [1e3, -1e3]),
    (ag.logsumexp, [1e3, 1e3], 1e3 + LN2, [0.5, 0.5]),
    (ag.logsumexp, [-1e3, -inf], -1e3, [1, 0]),
    (ag.softmax, [1e30, 1e30, -1e30, -inf], [0.5, 0.5, 0, 0], [0, 0, 0, 0]),
    (ag.log_softmax, [-1e3, 1e3], [-2e3, 0], [1, -1]),
    (ag.log_softmax, [1e4, 0, -inf], [0, -1e4, -inf], [-2, 1, 1]),
    (ag.logsumexp, [-inf, 3], 3, [0, 1]),
    (lambda x: ag.cross_entropy(x, 1), [1e3, -1e3], 2e3, [1, -1]),
    (lambda x: ag.cross_entropy(x, 0), [1e4, 0, -inf], 0, [0, 0, 0]),
    (ag.layer_norm, [-1e3, 1e3], [-1, 1], [0, 0]),
]
