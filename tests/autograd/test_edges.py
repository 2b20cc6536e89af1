"""Ops at the edges: digits that cancel, limits, settings of other types.

Extreme and empty arrays of every op are in tests/gradients/test_extremes.py.
"""

import numpy as np
import pytest

import autograd
from autograd import OPS, Tensor

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


@DTYPES
def test_a_sigmoid_near_0_has_all_its_digits(dtype):
    x = np.linspace(-80, 80, 1601, dtype=dtype)
    y = autograd.sigmoid(Tensor(x)).data
    assert y.dtype == dtype
    exact = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(y, exact, rtol=4 * np.finfo(dtype).eps)
    ends = autograd.sigmoid(Tensor(np.array([-np.inf, np.inf, np.nan], dtype))).data
    np.testing.assert_array_equal(ends, [0, 1, np.nan])


@DTYPES
def test_layer_norm_and_variance_of_numbers_far_from_zero(dtype):
    """E[x^2] - E[x]^2 has no digit left here, and may even be negative."""
    x = (4096 + np.array([[-1.0, 1.0, -1.0, 1.0]])).astype(dtype)
    assert autograd.var(Tensor(x)).item() == 1
    y = autograd.layer_norm(Tensor(x), np.ones(4), np.zeros(4))
    np.testing.assert_allclose(y.data, [[-1, 1, -1, 1]], rtol=1e-4)
    constant = autograd.layer_norm(Tensor(np.full((2, 4), 7.0, dtype)), np.ones(4), np.arange(4))
    np.testing.assert_array_equal(constant.data, [np.arange(4)] * 2)


# ---- the same settings, written otherwise


def test_settings_may_be_lists_arrays_and_numpy_ints():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    two, one = np.int64(2), np.int32(1)
    for name, written, otherwise in [
        ("sum", {"axis": (0, 1)}, {"axis": [0, one]}),
        ("broadcast_to", {"shape": (5, 2, 3, 4)}, {"shape": [5, two, 3, 4]}),
        ("split", {"size": [1, 3], "axis": 2}, {"size": np.array([1, 3]), "axis": two}),
        ("split", {"size": 2, "axis": 2}, {"size": two, "axis": -one}),
        ("pad", {"widths": ((0, 1),) * 3}, {"widths": np.array([[0, 1]] * 3)}),
    ]:
        first, second = OPS[name](x, **written), OPS[name](x, **otherwise)
        for a, b in zip(first, second, strict=True):
            np.testing.assert_array_equal(a.data, b.data)
    assert x.reshape([4, 6]).shape == x.reshape(4, -1).shape == x.reshape(np.int64(4), 6).shape
    assert x.transpose([2, 0, 1]).shape == x.transpose(two, 0, one).shape == (4, 2, 3)
    assert autograd.embedding(np.ones((4, 3)), []).shape == (0, 3)  # NumPy's [] has floats


@pytest.mark.parametrize("index", [[2, 0], np.array([2, 0], np.uint8), Tensor([2, 0]), [-1, -3]])
def test_indices_of_every_kind(index):
    x = Tensor(np.arange(6.0).reshape(3, 2), requires_grad=True)
    for written in (index, (index,), (index, slice(None))):
        x.grad = None
        z = x[written]
        np.testing.assert_array_equal(z.data, [[4, 5], [0, 1]])
        (z * 2).sum().backward()
        np.testing.assert_array_equal(x.grad, [[2, 2], [0, 0], [2, 2]])


def test_a_bound_of_numpy_does_not_change_the_dtype():
    x = Tensor([0.0, 1.0])
    assert autograd.clip(x, np.float64(0.1), np.float64(0.5)).dtype == np.float32
    assert autograd.pad(x, [(1, 1)], np.float64(0.1)).dtype == np.float32
    assert autograd.layer_norm(x, eps=np.float64(1e-5)).dtype == np.float32


def test_names_and_positions_of_arrays_and_settings():
    x, w, b = (np.arange(4.0).reshape(2, 2) + n for n in range(3))
    expected = x @ w + b[0]
    for z in [
        autograd.linear(x, bias=b[0], weight=w),
        autograd.linear(bias=b[0], weight=w, x=x),
    ]:
        np.testing.assert_array_equal(z.data, expected)


@pytest.mark.parametrize(("exponent", "expected"), [(-1.5, -np.inf), (0.0, 0.0), (2.0, 0.0)])
def test_the_gradient_of_an_exponent_at_base_zero_is_its_limit(exponent, expected):
    b = Tensor(np.array([exponent]), requires_grad=True)
    with np.errstate(divide="ignore"):  # 0 to a negative power
        autograd.pow(np.zeros(1), b).backward()
    assert b.grad == [expected]


def test_at_a_nan_both_sides_of_a_maximum_get_the_gradient():
    a = Tensor(np.array([np.nan, 1.0, np.nan, 2.0, 3.0]), requires_grad=True)
    b = Tensor(np.array([1.0, np.nan, np.nan, 2.0, 1.0]), requires_grad=True)
    autograd.maximum(a, b).backward(np.ones(5))
    np.testing.assert_array_equal(a.grad, [1, 1, 1, 0.5, 1])
    np.testing.assert_array_equal(b.grad, [1, 1, 1, 0.5, 0])
