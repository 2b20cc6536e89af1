"""Tensor: what it holds, what it refuses, and its operators."""

import copy
import operator
from multiprocessing.reduction import ForkingPickler

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import autograd
from autograd import Tensor

X = Tensor([1.0, 2.0], requires_grad=True)

# ---- construction


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([[1.0], [2.0]], np.float32),
        (np.float64(1.5), np.float64),
        (np.ones(2, np.float64), np.float64),
        (3, np.int64),
        ([True, False], np.bool_),
        (np.zeros(2, np.uint8), np.uint8),
    ],
)
def test_dtypes(data, dtype):
    tensor = Tensor(data)
    assert tensor.dtype == dtype
    np.testing.assert_array_equal(tensor.data, np.asarray(data, dtype))
    assert tensor.grad is None and not tensor.requires_grad and tensor.node is None


MASKED = np.ma.masked_array([1.0, 2.0], [True, False])


@pytest.mark.parametrize("data", [
    None, "text", 1j, 2**80, [X, X], MASKED, *map(np.ones(2).astype, ("f2", ">f4", "c16", "U3")),
])
def test_what_is_no_number_of_a_known_dtype_is_refused(data):
    with pytest.raises(TypeError):
        Tensor(data)
    with pytest.raises(TypeError):
        Tensor([1.0, 2.0]) + data


@given(arrays(np.float64, array_shapes(min_dims=0, max_dims=4, min_side=0)))
def test_an_array_is_kept_as_it_is(array):
    tensor = Tensor(array)
    assert tensor.data is array
    assert (tensor.shape, tensor.ndim, tensor.size) == (array.shape, array.ndim, array.size)


# ---- a number, a sequence, a text


@given(st.floats(width=32), st.integers(0, 2))
def test_one_number_is_formatted_and_converted_as_python_s(number, ndim):
    x = Tensor(np.full((1,) * ndim, number, np.float32), requires_grad=True)
    assert f"{x:.3f} {x:>9.2e}" == f"{number:.3f} {number:>9.2e}"
    np.testing.assert_equal([float(x), x.item(), bool(x)], [number, number, bool(number)])
    assert f"{x}" == str(x) == repr(x)
    assert [type(y) for y in (x.item(), Tensor(2).item(), float(Tensor(2)))] == [float, int, float]


@pytest.mark.parametrize(("call", "error"), [
    *[(lambda call=call, n=n: call(X[:n]), ValueError)
      for call in (bool, "{:.3f}".format) for n in (0, 2)],
    *[(lambda call=call: call(X), TypeError) for call in (np.asarray, np.exp, np.sum)],
    (lambda: operator.iadd(np.ones(2), X), TypeError), (lambda: np.ones(2) < X, TypeError),
    *[(lambda change=change: change(Tensor([1.0], requires_grad=True), 3.0), TypeError)
      for change in (operator.isub, operator.imul)],
    *[(lambda y=y: operator.eq(X, y), TypeError) for y in (1.0, X.detach(), np.ones(2))],
    (lambda: setattr(X, "grd", 1), AttributeError),
])
def test_what_would_be_wrong_without_a_word_is_an_error(call, error):
    with pytest.raises(error):
        call()
    np.testing.assert_array_equal(X.data, [1, 2])


def test_a_tensor_is_equal_to_itself():
    assert X == X and X in [X] and {X: 1}[X] == 1


def test_len_and_iteration():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert len(x) == 2
    first, second = x
    assert first.shape == (2,)
    (first * second).sum().backward()
    np.testing.assert_array_equal(x.grad, [[3, 4], [1, 2]])


def test_repr():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1. 2.], dtype=float32, requires_grad=True)"
    assert repr(x * 2) == "Tensor([2. 4.], dtype=float32, requires_grad=True, made by mul)"
    assert repr(Tensor(3)) == "Tensor(3, dtype=int64)"


@pytest.mark.parametrize("again", [
    copy.copy, copy.deepcopy, lambda x: ForkingPickler.loads(ForkingPickler.dumps(x)),
])
def test_an_op_is_copied_and_pickled_by_its_name(again):
    for op in autograd.OPS.values():
        assert again(op) is op
    leaf = again(Tensor([1.0, 2.0], requires_grad=True))
    np.testing.assert_array_equal(leaf.data, [1, 2])
    assert leaf.requires_grad and leaf.node is None


def test_detach_stops_the_gradient_and_shares_the_data():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 3
    constant = y.detach()
    assert constant.data is y.data and constant.node is None and not constant.requires_grad
    (y * constant).sum().backward()
    np.testing.assert_array_equal(x.grad, 3 * constant.data)


# ---- operators

BINARY = [
    operator.add, operator.sub, operator.mul, operator.truediv, operator.pow, operator.matmul,
]
MATRIX = np.array([[1.0, 2.0], [3.0, 0.5]])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
def test_operators_with_tensors_and_arrays_on_either_side(operation, dtype):
    a, b = MATRIX.astype(dtype), (MATRIX.T + 1).astype(dtype)
    expected = operation(a, b)
    for left, right in [(Tensor(a), Tensor(b)), (Tensor(a), b), (a, Tensor(b))]:
        result = operation(left, right)
        assert isinstance(result, Tensor) and result.dtype == dtype
        np.testing.assert_allclose(result.data, expected, rtol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("operation", BINARY[:-1], ids=lambda f: f.__name__)
@pytest.mark.parametrize("number", [3, 2.5, True, np.float64(2.5), np.float32(2.5), np.int64(3)])
def test_operators_with_numbers_keep_the_dtype(operation, dtype, number):
    a = MATRIX.astype(dtype)
    for result, expected in [
        (operation(Tensor(a), number), operation(a, dtype(number))),
        (operation(number, Tensor(a)), operation(dtype(number), a)),
    ]:
        assert result.dtype == dtype
        np.testing.assert_allclose(result.data, expected, rtol=1e-6)


def test_an_operator_in_place_makes_a_new_tensor():
    x = y = Tensor([1.0, 2.0])
    y += 1
    np.testing.assert_array_equal([x.data, y.data], [[1, 2], [2, 3]])


def test_methods_are_the_ops():
    x = Tensor(np.arange(6.0).reshape(2, 3) - 2)
    for method, arguments in [
        ("sum", (0,)), ("mean", (1,)), ("max", ()), ("reshape", (3, 2)), ("transpose", ()),
        ("swapaxes", (0, -1)), ("__neg__", ()), ("__abs__", ()), ("__getitem__", (1,)),
    ]:
        found = getattr(x, method)(*arguments)
        np.testing.assert_array_equal(found.data, getattr(x.data, method)(*arguments))
    assert x.sum(axis=1, keepdims=True).shape == x.mean(1, True).shape == (2, 1)


# ---- mixed inputs


def test_arrays_and_numbers_take_the_dtype_of_the_tensor():
    for dtype in (np.float32, np.float64):
        x = Tensor(np.ones(2, dtype))
        for other in (np.full(2, 0.1), np.full(2, 0.1, np.float32), [0.1, 0.1], 0.1, np.arange(2)):
            assert (x + other).dtype == dtype
    assert (Tensor(np.float64(0)) + 0.1).item() == 0.1  # and not the float32 next to it


def test_integers_are_floats_to_arithmetic_and_stay_integers_when_moved():
    large = 2**24 + 1  # no float32
    ids = Tensor(np.array([[large, 2], [3, 4]]))
    mask = Tensor(np.array([[True, False]]))
    for moved in (ids[0], ids.reshape(4), ids.transpose(), autograd.concat([ids, ids])):
        assert moved.dtype == np.int64 and moved.data.max() == large
    assert mask.transpose().dtype == np.bool_
    assert (ids * 2).dtype == (mask + mask).dtype == autograd.exp(mask).dtype == np.float32
    assert (mask + mask).data.max() == 2
    np.testing.assert_allclose(autograd.softmax(mask).data, [[0.7310586, 0.2689414]], rtol=1e-6)
    assert autograd.concat([ids, Tensor(np.ones((1, 2), np.float32))]).dtype == np.float32


# ---- .grad


@given(
    data=arrays(np.float64, array_shapes(min_dims=0, max_dims=3), elements=st.floats(-10, 10)),
    times=st.integers(1, 4),
)
def test_gradients_add_up_over_backwards_and_earlier_ones_do_not_change(data, times):
    x, constant, earlier = Tensor(data, requires_grad=True), Tensor(data), []
    for _ in range(times):
        y = x * x + constant
        y.sum().backward()
        assert y.grad is None and constant.grad is None
        assert (type(x.grad), x.grad.shape, x.grad.dtype) == (np.ndarray, data.shape, data.dtype)
        earlier.append(x.grad)
    for n, gradient in enumerate(earlier, 1):
        np.testing.assert_allclose(gradient, n * 2 * data)
    x.grad = None
    x.sum().backward()
    np.testing.assert_array_equal(x.grad, np.ones(data.shape))
