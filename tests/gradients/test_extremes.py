"""Every op at the edges of what it may be given: huge numbers, infinity, NaN, one element.

TABLE says for each op what it is called on and what PyTorch computes there. The arrays hold
numbers of order one; one array, or one entry of it, is replaced by an extreme. Then

- where the true output is finite, the op's is equal to it; where it is infinite or NaN, so is the
  op's: none is made up, and none is lost. A gradient that is truly finite is equal, too, unless an
  output is NaN. The truth is PyTorch's result in float64, rounded; where PyTorch is not installed,
  the table KNOWN serves.
- what overflows or is undefined on the way to a finite result is an error, though the result be
  right. NumPy warns of it, and whoever is warned looks for a mistake of their own. An op that comes
  to its limit by way of infinity says so with `np.errstate`, and why.
  With a result that is itself infinite or NaN the warning is welcome, as for NumPy's own log(0).

`tests/autograd/test_edges.py` has edges of single ops, picked by hand; `test_ops.py` beside it
draws empty arrays.
"""

import itertools
import math

import numpy as np
import pytest
from op_table import KNOWN, TABLE, inf, largest, row, torch, two_rows

import autograd
from autograd import OPS, Tensor

EXTREMES = [1e3, -1e3, 1e30, -1e30, inf, -inf, np.nan]
DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
RTOL = {np.float32: 1e-5, np.float64: 1e-9}


@DTYPES
@pytest.mark.parametrize("name", sorted(name for name, entry in TABLE.items() if entry.shapes))
def test_extremes(name, dtype, backend):
    entry = TABLE[name]
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
    f = TABLE[name].ours or OPS[name]
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
    f = TABLE[name].theirs or getattr(torch, name, getattr(torch.nn.functional, name, None))
    assert f, f"tests/op_table.py: `theirs` in the Entry for {name!r}, what PyTorch computes"
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
    entry = TABLE[name]
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
    assert found.shape == true.shape, (
        f"{what} is {found.shape}, PyTorch's {true.shape}: correct `theirs` or `ours` in the Entry "
        "of tests/op_table.py"
    )
    assert (same | (np.abs(found - true) <= allowed)).all(), (
        f"{what}: {found}, by PyTorch {true}; if it is right to rounding, give its Entry in "
        "tests/op_table.py a `scale`, or where PyTorch's is wrong, `most`"
    )


PEAKED = np.zeros((1, 50_000), np.float32)  # with e^-17 for each of 49,999 beside 1
PEAKED[0, 7] = 17
P = np.exp(PEAKED.astype(float) - 17) / (1 + 49_999 * np.exp(-17.0))


@pytest.mark.parametrize(("f", "dx"), [
    (lambda x: autograd.cross_entropy(x, [1]), P - np.eye(1, 50_000, 1)),
    (lambda x: -autograd.log_softmax(x)[0, 1], P - np.eye(1, 50_000, 1)),
    (lambda x: autograd.sum(autograd.log_softmax(x) * P.astype(np.float32)), 0 * P),
])
def test_thousands_of_small_probabilities_count_beside_a_large_one(f, dx, backend):
    x = Tensor(PEAKED, requires_grad=True)
    f(x).backward()
    np.testing.assert_allclose(x.grad, dx, atol=3e-6)
    assert abs(x.grad.sum(dtype=np.float64)) < 3e-6
