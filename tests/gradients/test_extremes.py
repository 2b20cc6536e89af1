"""Every op at the edges of what it may be given: huge numbers, infinity, NaN, one element, none.

ENTRIES says for each op what it is called on and what PyTorch computes there. The arrays hold
numbers of order one; one array, or one entry of it, is replaced by an extreme. Then

- where the true output is finite, the op's is equal to it; where it is infinite or NaN, so is the
  op's: none is made up, and none is lost. A gradient that is truly finite is equal, too, unless an
  output is NaN. The truth is PyTorch's result in float64, rounded; where PyTorch is not installed,
  the table KNOWN serves.
- what overflows or is undefined on the way to a finite result is an error, though the result be
  right. NumPy warns of it, and whoever is warned looks for a mistake of their own. An op that comes
  to its limit by way of infinity says so with `np.errstate`, and why.
  With a result that is itself infinite or NaN the warning is welcome, as for NumPy's own log(0).
- of nothing, an op makes what PyTorch makes, or refuses with an error that names it.

`tests/autograd/test_edges.py` has edges of single ops, picked by hand.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
import pytest

import autograd
from autograd import OPS, Tensor

try:
    import torch
    import torch.nn.functional as F
except ImportError:  # the extra `peers`
    torch = F = None

inf = np.inf
EXTREMES = [1e3, -1e3, 1e30, -1e30, inf, -inf, np.nan]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
RTOL = {np.float32: 1e-5, np.float64: 1e-9}
GELUS = ("tanh", "none")
TARGETS = np.array([0, -1])


class Entry(NamedTuple):
    """How an op is called here.

    shapes   those of its arrays, by a size n: 0, 1 or 3
    theirs   a function of PyTorch's tensors; None for PyTorch's function of the op's name
    ours     the same of ours; None for the op itself, without settings
    scale    a function of the arrays: results may be off by RTOL times this, besides RTOL times
             themselves. None is 1 for an op that sums, and 0 for one that goes by elements.
    most     gradients are not compared if a finite input is larger
    """

    shapes: object
    theirs: object = None
    ours: object = None
    scale: object = None
    most: float = inf


def row(n):
    return [(n,)]


def two_rows(n):
    return [(n,), (n,)]


def matrix(n):
    return [(2, n)]


def matrices(n):
    return [(2, n), (2, n)]


def largest(arrays):
    """For what is left of terms as large as the inputs."""
    return max(np.abs(x[np.isfinite(x)]).max(initial=1).item() for x in arrays)


def half(x):
    """True, False, True, ..."""
    return np.resize([True, False], x.shape)


def both_gelus(x):
    return autograd.concat([autograd.gelu(x, approximate=a) for a in GELUS])


def attention(q, k, v):
    """By its definition: PyTorch's own gives 0 for a query of NaN."""
    return (q @ k.swapaxes(2, 3) / math.sqrt(q.shape[3])).softmax(3) @ v


def turned(x):
    """Rotary positions by their definition, for one pair of channels to a head."""
    t = torch.arange(x.shape[2], dtype=x.dtype)
    a, b = x[..., 0], x[..., 1]
    return torch.stack([a * t.cos() - b * t.sin(), b * t.cos() + a * t.sin()], -1)


def torch_loss(logits):
    return F.cross_entropy(logits, torch.from_numpy(TARGETS), ignore_index=-1)


ENTRIES = {
    **dict.fromkeys(["neg", "exp", "log", "sqrt", "tanh", "abs", "relu", "sigmoid", "silu"],
                    Entry(row)),
    **dict.fromkeys(["add", "sub", "mul", "div", "pow", "maximum"], Entry(two_rows)),
    "where": Entry(two_rows, lambda a, b: torch.where(torch.from_numpy(half(a)), a, b),
                   lambda a, b: autograd.where(half(a), a, b)),
    "clip": Entry(row, lambda x: x.clip(-2.0, 1e29), lambda x: autograd.clip(x, -2.0, 1e29)),
    "gelu": Entry(row, lambda x: torch.concat([F.gelu(x, approximate=a) for a in GELUS]),
                  both_gelus),
    "dropout": Entry(row, lambda x: torch.where(torch.arange(len(x)) < 2, 2 * x, 0.0),
                     lambda x: autograd.dropout(x, 0.5, seed=3)),
    # sums
    "sum": Entry(matrix, lambda x: x.sum(1), lambda x: autograd.sum(x, 1)),
    "mean": Entry(matrix, lambda x: x.mean(1), lambda x: autograd.mean(x, 1)),
    "max": Entry(matrix, lambda x: x.amax(1), lambda x: autograd.max(x, 1)),
    "logsumexp": Entry(matrix, lambda x: x.logsumexp(1), lambda x: autograd.logsumexp(x, 1)),
    "var": Entry(matrix, lambda x: x.var(1, correction=0), lambda x: autograd.var(x, 1),
                 scale=lambda arrays: largest(arrays) ** 2),
    "softmax": Entry(matrix, lambda x: x.softmax(1)),
    "log_softmax": Entry(matrix, lambda x: x.log_softmax(1)),
    # With eps=1 a row of equals does not multiply the rounding of its mean. In float32 the variance
    # of numbers of 1e30 is infinite, and y is the bias, as documented.
    "layer_norm": Entry(lambda n: [(2, n), (n,), (n,)],
                        lambda x, *affine: F.layer_norm(x, x.shape[1:], *affine, 1.0),
                        lambda x, *affine: autograd.layer_norm(x, *affine, 1.0), scale=largest),
    # as layer norm: in float32 numbers of 1e30 have a y of 0
    "rms_norm": Entry(lambda n: [(2, n), (n,)],
                      lambda x, weight: F.rms_norm(x, x.shape[1:], weight, 1.0),
                      lambda x, weight: autograd.rms_norm(x, weight, 1.0), scale=largest),
    "rotary_embedding": Entry(lambda n: [(1, 2, n, 2)], turned,
                              lambda x: autograd.rotary_embedding(x, np.arange(x.shape[2])),
                              scale=largest),
    "matmul": Entry(lambda n: [(2, n), (n, 3)]),
    "linear": Entry(lambda n: [(2, n), (n, 3), (3,)],
                    lambda x, weight, bias: F.linear(x, weight.T, bias)),
    # Scores beyond 1e6 are too much for the kernel's backward in float32: see there.
    "scaled_dot_product_attention": Entry(
        lambda n: [(1, 2, 2, n)] * 3, attention,
        lambda *qkv: autograd.scaled_dot_product_attention(*qkv, causal=False),
        scale=largest, most=1e3),
    "cross_entropy": Entry(matrix, torch_loss,
                           lambda x: autograd.cross_entropy(x, TARGETS)),
    "linear_cross_entropy": Entry(
        lambda n: [(2, 3), (n, 3)], lambda x, table: torch_loss(x @ table.T),
        lambda x, table: autograd.linear_cross_entropy(x, table, TARGETS), scale=largest),
    # numbers that move
    "reshape": Entry(matrix, lambda x: x.reshape(-1, 1), lambda x: autograd.reshape(x, x.size, 1)),
    "transpose": Entry(matrix, lambda x: x.T),
    "swapaxes": Entry(matrix, lambda x: x.swapaxes(0, 1), lambda x: autograd.swapaxes(x, 0, 1)),
    "broadcast_to": Entry(row, lambda x: x.broadcast_to((2, len(x))),
                          lambda x: autograd.broadcast_to(x, (2, len(x)))),
    "getitem": Entry(matrix, lambda x: x[[1, 1, 0]], lambda x: x[[1, 1, 0]]),
    "concat": Entry(matrices, lambda *x: torch.concat(x), lambda *x: autograd.concat(x)),
    "stack": Entry(matrices, lambda *x: torch.stack(x), lambda *x: autograd.stack(x)),
    "split": Entry(matrix, lambda x: x.split(2, 1), lambda x: autograd.split(x, 2, 1)),
    "pad": Entry(row, lambda x: F.pad(x, (1, 2), value=7.0),
                 lambda x: autograd.pad(x, [(1, 2)], 7.0)),
    "embedding": Entry(matrix, lambda weight: F.embedding(torch.tensor([1, 0, 1]), weight),
                       lambda weight: autograd.embedding(weight, [1, 0, 1])),
}  # fmt: skip

# An op, a row, its output and the gradient of the output's sum, from mathematics alone.
LN2, LN10 = math.log(2), math.log(10)
KNOWN = [
    (autograd.exp, [-1e3, -1e30, -inf], [0, 0, 0], [0, 0, 0]),
    (autograd.log, [1e3, 1e30], [3 * LN10, 30 * LN10], [1e-3, 1e-30]),
    (autograd.sqrt, [1e30], [1e15], [5e-16]),
    (autograd.abs, [1e30, -1e30, -inf], [1e30, 1e30, inf], [1, -1, -1]),
    (autograd.tanh, [1e3, 1e30, inf, -1e30], [1, 1, 1, -1], [0, 0, 0, 0]),
    (autograd.sigmoid, [1e3, inf, -1e3, -1e30, -inf], [1, 1, 0, 0, 0], [0, 0, 0, 0, 0]),
    (autograd.relu, [-inf, -1e30, 1e30, inf], [0, 0, 1e30, inf], [0, 0, 1, 1]),
    (autograd.silu, [-1e30, -1e3, 1e3, 1e30], [0, 0, 1e3, 1e30], [0, 0, 1, 1]),
    (both_gelus, [-1e30, -1e3, 1e3, 1e30], [0, 0, 1e3, 1e30] * 2, [0, 0, 2, 2]),
    (lambda x: 1 / x, [1e3, 1e30, -1e30], [1e-3, 1e-30, -1e-30], [-1e-6, -1e-60, -1e-60]),
    (lambda x: 1e30 / x, [1e30, -1e30], [1, -1], [-1e-30, -1e-30]),
    (lambda x: x**0.5, [1e30], [1e15], [5e-16]),
    (autograd.sum, [1e30, -1e30, 1e3], 1e3, [1, 1, 1]),
    (autograd.mean, [1e30, 1e30], 1e30, [0.5, 0.5]),
    (autograd.max, [1e30, -inf, 1e3], 1e30, [1, 0, 0]),
    (autograd.var, [1e3, -1e3], 1e6, [1e3, -1e3]),
    (autograd.logsumexp, [1e3, 1e3], 1e3 + LN2, [0.5, 0.5]),
    (autograd.logsumexp, [-1e3, -inf], -1e3, [1, 0]),
    (autograd.softmax, [1e30, 1e30, -1e30, -inf], [0.5, 0.5, 0, 0], [0, 0, 0, 0]),
    (autograd.log_softmax, [-1e3, 1e3], [-2e3, 0], [1, -1]),
    (lambda x: autograd.cross_entropy(x, 1), [1e3, -1e3], 2e3, [1, -1]),
    (autograd.layer_norm, [-1e3, 1e3], [-1, 1], [0, 0]),
]  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_op_has_an_entry(name):
    assert name in ENTRIES, (
        f"{name}: add {name!r} to ENTRIES in tests/gradients/test_extremes.py, with the shapes of "
        "its arrays, what PyTorch computes, and the call of the op if it has settings"
    )


@DTYPES
@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_extremes(name, dtype, backend):
    entry = ENTRIES[name]
    for arrays in extreme_arrays(entry.shapes, dtype):
        found = ours(name, arrays)
        assert_no_warning(name, arrays, *found)
        if torch:
            assert_true(name, arrays, *found[:2])


@DTYPES
@pytest.mark.parametrize(("f", "x", "y", "dx"), KNOWN)
def test_known_results(f, x, y, dx, dtype, backend):
    x = Tensor(np.array(x, dtype), requires_grad=True)
    found = f(x)
    found.backward(np.ones(found.shape))
    with np.errstate(under="ignore"):
        true = np.array(y).astype(dtype), np.array(dx).astype(dtype)
    np.testing.assert_allclose(found.data, true[0], RTOL[dtype])
    np.testing.assert_allclose(x.grad, true[1], 10 * RTOL[dtype])


@pytest.mark.parametrize("name", sorted(ENTRIES))
def test_nothing(name, backend):
    arrays = [np.ones(shape) for shape in ENTRIES[name].shapes(0)]
    try:
        outputs, gradients, _ = ours(name, arrays)
    except (ValueError, IndexError) as error:
        assert str(error).startswith(f"{name}: ")
        return
    assert [g.shape for g in gradients] == [x.shape for x in arrays]
    if torch:
        true, _ = theirs(name, arrays)
        for y, t in zip(outputs, true, strict=True):
            np.testing.assert_array_equal(y, t)


def extreme_arrays(shapes, dtype):
    """Lists of arrays of an op, with every extreme in every array."""
    rng = np.random.default_rng(0)
    for n in (1, 3):
        ordinary = [rng.uniform(0.5, 1.5, shape).astype(dtype) for shape in shapes(n)]
        for i, x in enumerate(ordinary):
            filled = [np.full_like(x, value) for value in EXTREMES]
            one_entry = [np.where(np.arange(x.size).reshape(x.shape) == 0, f, x) for f in filled]
            mixed = np.resize(np.array([1e30, -1e30, 1e3], dtype), x.shape)
            for array in [*filled, *one_entry, mixed]:
                yield [*ordinary[:i], array, *ordinary[i + 1 :]]
    if shapes is two_rows:
        for pair in itertools.product([*EXTREMES, 0.0], repeat=2):
            yield [np.array([value], dtype) for value in pair]


def ours(name, arrays):
    """Outputs, gradients, and what NumPy would have warned of: forward, and in all."""
    f = ENTRIES[name].ours or OPS[name]
    inputs = [Tensor(x.copy(), requires_grad=True) for x in arrays]
    kinds = set()
    with np.errstate(all="call", under="ignore", call=lambda kind, _: kinds.add(kind)):
        outputs = as_tuple(f(*inputs))
        forward = set(kinds)
        for i, y in enumerate(outputs):  # a graph serves one backward
            as_tuple(f(*inputs))[i].backward(cotangent(y.shape).astype(y.dtype))
    return [y.data for y in outputs], [x.grad for x in inputs], (forward, kinds)


@np.errstate(over="ignore", under="ignore")  # float64 is rounded to float32
def theirs(name, arrays):
    f = ENTRIES[name].theirs or getattr(torch, name, None) or getattr(torch.nn.functional, name)
    inputs = [torch.tensor(x.astype(np.float64), requires_grad=True) for x in arrays]
    outputs = as_tuple(f(*inputs))
    torch.autograd.backward(outputs, [torch.from_numpy(cotangent(y.shape)) for y in outputs])
    results = [y.detach() for y in outputs], [x.grad for x in inputs]
    return [[x.numpy().astype(arrays[0].dtype) for x in part] for part in results]


def as_tuple(result):
    return result if isinstance(result, tuple | list) else (result,)


def cotangent(shape):
    """Another number for each entry, so that no gradient is 0 by symmetry."""
    return np.linspace(0.5, 1.5, math.prod(shape)).reshape(shape)


def assert_no_warning(name, arrays, outputs, gradients, kinds):
    for results, warned in zip(([outputs], [outputs, gradients]), kinds, strict=True):
        finite = all(np.isfinite(x).all() for part in results for x in part)
        assert not (warned and finite), (
            f"{name}: {', '.join(warned)} on the way to a finite result, {outputs}, gradients "
            f"{gradients}, for {arrays}; compute it without, or say with np.errstate why it is so"
        )


def assert_true(name, arrays, outputs, gradients):
    entry = ENTRIES[name]
    by_element = entry.shapes in (row, two_rows)
    scale = entry.scale(arrays) if entry.scale else float(not by_element)
    true_outputs, true_gradients = theirs(name, arrays)
    for found, true in zip(outputs, true_outputs, strict=True):
        assert_near(found, true, scale, f"{name} of {arrays}")
    if largest(arrays) > entry.most or any(np.isnan(true).any() for true in true_outputs):
        return
    for found, true in zip(gradients, true_gradients, strict=True):
        true = np.where(np.isfinite(true), true, found)
        assert_near(found, true, scale, f"backward through {name} of {arrays}")


@np.errstate(invalid="ignore", over="ignore")  # of inf - inf, and of a scale beyond float32
def assert_near(found, true, scale, what):
    allowed = RTOL[found.dtype.type] * (np.abs(true) + found.dtype.type(scale))
    same = (found == true) | (np.isnan(found) & np.isnan(true))
    assert found.shape == true.shape, what
    assert (same | (np.abs(found - true) <= allowed)).all(), f"{what}: {found}, truly {true}"
