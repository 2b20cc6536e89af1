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
from autograd import OPS, Tensor

X = Tensor([1.0, 2.0], requires_grad=True)

# ---- construction


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, np.float32),
        ([1.5, 2.5], np.float32),
        ([[1.0], [2.0]], np.float32),
        ((), np.float32),
        (np.float32(1.5), np.float32),
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


@pytest.mark.parametrize("data", [MASKED, *map(np.ones(2).astype, ("f2", ">f8"))])
def test_data_that_were_replaced_are_refused_where_they_are_used(data):
    x, fine = Tensor(np.ones(2)), Tensor(np.ones(2))
    x.data = data
    for call in (lambda: x + fine, lambda: fine * x, lambda: autograd.softmax(x)):
        with pytest.raises(TypeError):
            call()


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
      for call in (Tensor.item, float, bool, "{:.3f}".format) for n in (0, 2)],
    *[(lambda call=call: call(X[0]), TypeError) for call in (len, iter)],
    *[(lambda call=call: call(X), TypeError)
      for call in (np.asarray, np.exp, np.sum, np.max, np.linalg.norm)],
    *[(call, TypeError) for call in (
        lambda: np.add(np.ones(2), X, out=np.ones(2)), lambda: operator.iadd(np.ones(2), X),
        lambda: np.ones(2) < X, lambda: np.where([True, False], X, 0), lambda: X > 0,
        lambda: np.concatenate([X, X]), lambda: operator.setitem(X, 0, 3.0))],
    *[(lambda change=change: change(Tensor([1.0], requires_grad=True), 3.0), TypeError)
      for change in (operator.isub, operator.iadd, operator.imul)],
    *[(lambda compare=compare, y=y: compare(X, y), TypeError)
      for compare in (operator.eq, operator.ne) for y in (1.0, X.detach(), np.ones(2), None)],
    (lambda: X.numpy, AttributeError), (lambda: setattr(X, "grd", 1), AttributeError),
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
    assert list(Tensor([])) == []


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


@pytest.mark.parametrize("operation", BINARY, ids=lambda f: f.__name__)
def test_reflected_operators_do_not_swap_gradients(operation):
    """b - x has the derivative -1, and x - b has 1."""
    a, b = MATRIX, MATRIX.T + 1
    both, left, right = (Tensor(a, requires_grad=True) for _ in range(3))
    other = Tensor(b, requires_grad=True)
    operation(both, other).backward(np.ones((2, 2)))
    operation(left, b).backward(np.ones((2, 2)))
    np.testing.assert_array_equal(left.grad, both.grad)
    reflected = Tensor(b, requires_grad=True)
    operation(a, reflected).backward(np.ones((2, 2)))
    np.testing.assert_array_equal(reflected.grad, other.grad)


def test_an_operator_in_place_makes_a_new_tensor():
    x = y = Tensor([1.0, 2.0])
    y += 1
    np.testing.assert_array_equal([x.data, y.data], [[1, 2], [2, 3]])


def test_methods_are_the_ops():
    x = Tensor(np.arange(6.0).reshape(2, 3) - 2)
    for method, arguments in [
        ("sum", (0,)), ("mean", (1,)), ("max", ()), ("reshape", (3, 2)), ("reshape", ((6,),)),
        ("transpose", ()), ("transpose", (1, 0)), ("swapaxes", (0, -1)),
        ("__neg__", ()), ("__abs__", ()), ("__getitem__", (1,)),
    ]:
        found = getattr(x, method)(*arguments)
        op = OPS[method.strip("_")]
        np.testing.assert_array_equal(found.data, op(x, *arguments).data)
        np.testing.assert_array_equal(found.data, getattr(x.data, method)(*arguments))
    assert x.sum(axis=1, keepdims=True).shape == x.mean(1, True).shape == (2, 1)


def test_help_on_a_method_names_its_op():
    assert Tensor.max.__name__ == "max" and "autograd.sub" in Tensor.__rsub__.__doc__
    assert "d(tensor)/d(leaf)" in Tensor.backward.__doc__


@pytest.mark.parametrize(("method", "arguments", "settings"), [
    ("sum", (0, True, 3), {}), ("sum", (), {"dtype": float}), ("swapaxes", (0,), {}),
    ("__pow__", (2, 5), {}),
])
def test_methods_refuse_arguments_that_the_op_has_not(method, arguments, settings):
    with pytest.raises(TypeError, match="argument"):
        getattr(Tensor(np.ones((2, 3))), method)(*arguments, **settings)


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
