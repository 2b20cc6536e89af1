"""Ops at the edges: nothing at all, numbers as large as they come, settings of other types."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from op_table import call

import autograd
from autograd import OPS, Tensor

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])


# ---- empty arrays: NumPy's result, or an error that names the op. (All ops: test_extremes.py.)

INDICES = np.zeros((0, 2), int)

# op, shapes of the arrays, positional settings, settings, shape of the (first) output
EMPTY = [
    ("where", [(3,), (0, 3), ()], (), {}, (0, 3)),
    ("gelu", [(0,)], (), {"approximate": "none"}, (0,)),
    ("dropout", [(0, 3)], (0.5,), {"seed": 1}, (0, 3)),
    ("sum", [(0, 3)], (), {"axis": 0}, (3,)),
    ("mean", [(0, 3)], (), {"axis": 1}, (0,)),
    ("max", [(0, 3)], (), {"axis": 1, "keepdims": True}, (0, 1)),
    ("var", [(0, 3)], (), {"axis": 1}, (0,)),
    ("logsumexp", [(0, 3)], (), {"axis": 1}, (0,)),
    ("reshape", [(0, 3)], (3, 0, 2), {}, (3, 0, 2)),
    ("swapaxes", [(0, 3)], (0, 1), {}, (3, 0)),
    ("broadcast_to", [(1, 3)], ((0, 3),), {}, (0, 3)),
    ("getitem", [(0, 3)], (slice(1, 2),), {}, (0, 3)),
    ("getitem", [(4, 3)], ([],), {}, (0, 3)),
    ("getitem", [(4, 3)], (np.zeros(4, bool),), {}, (0, 3)),
    ("getitem", [(0, 3)], (np.zeros((0, 3), bool),), {}, (0,)),
    ("concat", [(0, 3), (0, 3)], (), {}, (0, 3)),
    ("stack", [(0, 3), (0, 3)], (), {}, (2, 0, 3)),
    ("split", [(0, 3)], (2,), {}, (0, 3)),
    ("split", [(3,)], ([0, 3],), {}, (0,)),
    ("pad", [(0, 3)], ([(1, 1), (0, 0)],), {}, (2, 3)),
    ("matmul", [(2, 0), (0, 3)], (), {}, (2, 3)),
    ("matmul", [(0, 2), (2, 3)], (), {}, (0, 3)),
    ("matmul", [(0, 2, 4), (4, 3)], (), {}, (0, 2, 3)),
    ("matmul", [(5, 1, 0, 4), (1, 4, 3)], (), {}, (5, 1, 0, 3)),
    ("matmul", [(0,), (0,)], (), {}, ()),
    ("linear", [(0, 2), (2, 3), (3,)], (), {}, (0, 3)),
    ("linear", [(2, 0), (0, 3), (3,)], (), {}, (2, 3)),
    ("layer_norm", [(0, 3), (3,), (3,)], (), {}, (0, 3)),
    ("rms_norm", [(0, 3), (3,)], (), {}, (0, 3)),
    ("rotary_embedding", [(2, 0, 3, 4)], (np.arange(3),), {}, (2, 0, 3, 4)),
    ("rotary_embedding", [(2, 1, 0, 4)], (np.arange(0),), {}, (2, 1, 0, 4)),
    ("embedding", [(4, 3)], (INDICES,), {}, (0, 2, 3)),
    ("embedding", [(4, 3)], ([],), {}, (0, 3)),
    ("embedding", [(4, 0)], ([1, 2],), {}, (2, 0)),
    ("scaled_dot_product_attention", [(0, 2, 3, 4)] * 3, (), {}, (0, 2, 3, 4)),
    ("scaled_dot_product_attention", [(1, 2, 0, 4), (1, 2, 3, 4), (1, 2, 3, 4)], (), {},
     (1, 2, 0, 4)),
]
NOTHING_TO_REDUCE = [
    *[(name, [shape], (), {}) for name in ("mean", "max", "var", "logsumexp")
      for shape in [(0,), (0, 3)]],
    ("softmax", [(3, 0)], (), {}),
    ("log_softmax", [(0, 3)], (), {"axis": 0}),
    ("layer_norm", [(3, 0), (0,), (0,)], (), {}),
    ("rms_norm", [(3, 0), (0,)], (), {}),
    ("cross_entropy", [(0, 3)], (np.zeros(0, int),), {}),
    ("cross_entropy", [(2, 0)], (np.zeros(2, int),), {}),
    ("linear_cross_entropy", [(0, 3), (4, 3)], (np.zeros(0, int),), {}),
    ("linear_cross_entropy", [(2, 3), (0, 3)], (np.zeros(2, int),), {}),
    ("scaled_dot_product_attention", [(1, 1, 0, 4)] * 3, (), {}),
    ("scaled_dot_product_attention", [(1, 1, 2, 0)] * 3, (), {}),
]


def case_id(value):
    return value if isinstance(value, str) else None


@pytest.mark.parametrize(("op", "shapes", "rest", "settings", "expected"), EMPTY, ids=case_id)
def test_empty_arrays(op, shapes, rest, settings, expected):
    inputs = [Tensor(np.ones(shape), requires_grad=op != "where") for shape in shapes]
    z = call(op, inputs, rest, settings)[0]
    assert z.shape == expected and z.dtype == np.float64
    if z.requires_grad:
        z.backward(np.ones(z.shape))
        assert [x.grad.shape for x in inputs] == shapes


@pytest.mark.parametrize(("op", "shapes", "rest", "settings"), NOTHING_TO_REDUCE, ids=case_id)
def test_reductions_of_nothing_are_refused(op, shapes, rest, settings):
    with pytest.raises((ValueError, IndexError), match=f"^{op}: "):
        call(op, [Tensor(np.ones(shape)) for shape in shapes], rest, settings)


# ---- the largest and the smallest numbers; a warning of NumPy would be an error here


@DTYPES
def test_softmax_of_extreme_logits(dtype):
    rows = Tensor(np.array([[1e4, 0, -np.inf], [-1e30, -1e30, 0], [1e30, 1e30, -1e30]], dtype))
    expected = [[1, 0, 0], [0, 0, 1], [0.5, 0.5, 0]]
    np.testing.assert_array_equal(autograd.softmax(rows).data, expected)
    logarithms = autograd.log_softmax(rows).data
    half = math.log(0.5)
    np.testing.assert_allclose(logarithms[0], [0, -1e4, -np.inf], rtol=1e-6)
    np.testing.assert_allclose(logarithms[2], [half, half, -2e30], rtol=1e-6)


@DTYPES
def test_logsumexp_of_extreme_numbers(dtype):
    def of(*numbers):
        return autograd.logsumexp(Tensor(np.array(numbers, dtype))).item()

    assert of(1000, 1000) == pytest.approx(1000 + math.log(2))
    assert of(-1000, -1000) == pytest.approx(-1000 + math.log(2))
    assert of(-np.inf, -np.inf) == -np.inf
    assert of(-np.inf, 3) == 3
    assert of(1000, np.inf) == np.inf


@DTYPES
def test_activations_saturate(dtype):
    x = Tensor(np.array([-1e9, -200.0, 0.0, 200.0, 1e9], dtype), requires_grad=True)
    for f, low, middle, high in [
        (autograd.sigmoid, 0, 0.5, [1, 1]),
        (autograd.tanh, [-1, -1], 0, [1, 1]),
        (autograd.gelu, 0, 0, [200, 1e9]),
        (lambda x: autograd.gelu(x, approximate="none"), 0, 0, [200, 1e9]),
        (autograd.relu, 0, 0, [200, 1e9]),
    ]:
        y = f(x)
        np.testing.assert_allclose(y.data[:2], low, atol=1e-30)
        np.testing.assert_allclose(y.data[2], middle)
        np.testing.assert_allclose(y.data[3:], high)
        x.grad = None
        y.sum().backward()
        assert np.isfinite(x.grad).all()


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
def test_cross_entropy_of_extreme_logits(dtype):
    logits = Tensor(np.array([[1e4, 0.0, -np.inf], [0.0, -1e4, 50.0]], dtype), requires_grad=True)
    loss = autograd.cross_entropy(logits, np.array([0, 0]))
    assert loss.item() == pytest.approx(25)
    loss.backward()
    np.testing.assert_allclose(logits.grad, [[0, 0, 0], [-0.5, 0, 0.5]], atol=1e-7)
    assert autograd.cross_entropy(logits, np.array([2, 2])).item() == np.inf


@DTYPES
def test_layer_norm_and_variance_of_numbers_far_from_zero(dtype):
    """E[x^2] - E[x]^2 has no digit left here, and may even be negative."""
    x = (4096 + np.array([[-1.0, 1.0, -1.0, 1.0]])).astype(dtype)
    assert autograd.var(Tensor(x)).item() == 1
    y = autograd.layer_norm(Tensor(x), np.ones(4), np.zeros(4))
    np.testing.assert_allclose(y.data, [[-1, 1, -1, 1]], rtol=1e-4)
    constant = autograd.layer_norm(Tensor(np.full((2, 4), 7.0, dtype)), np.ones(4), np.arange(4))
    np.testing.assert_array_equal(constant.data, [np.arange(4)] * 2)


@DTYPES
def test_attention_with_huge_scores(dtype):
    q, k = (np.array([[[[1e3], [-1e3]]]], dtype) for _ in range(2))
    y = autograd.scaled_dot_product_attention(Tensor(q), k, np.array([[[[1.0], [2.0]]]]))
    np.testing.assert_array_equal(y.data.ravel(), [1, 2])


@given(
    x=arrays(np.float64, st.integers(1, 8), elements=st.floats(-1e3, 1e3)),
    shift=st.floats(-1e3, 1e3),
)
def test_softmax_is_a_distribution_that_a_shift_does_not_change(x, shift):
    logits = Tensor(x, requires_grad=True)
    y = autograd.softmax(logits)
    assert (y.data >= 0).all() and y.data.sum() == pytest.approx(1)
    np.testing.assert_allclose(autograd.softmax(Tensor(x + shift)).data, y.data, atol=1e-9)
    y.backward(np.cos(np.arange(x.size)))
    assert logits.grad.sum() == pytest.approx(0, abs=1e-12)


# ---- the same settings, written otherwise


def test_settings_may_be_lists_arrays_and_numpy_ints():
    x = Tensor(np.arange(24.0).reshape(2, 3, 4))
    two, one = np.int64(2), np.int32(1)
    for name, written, otherwise in [
        ("sum", {"axis": (0, 1)}, {"axis": [0, one]}),
        ("max", {"axis": 1}, {"axis": one}),
        ("softmax", {"axis": 2}, {"axis": two}),
        ("broadcast_to", {"shape": (5, 2, 3, 4)}, {"shape": [5, two, 3, 4]}),
        ("split", {"size": [1, 3], "axis": 2}, {"size": np.array([1, 3]), "axis": two}),
        ("split", {"size": 2, "axis": 2}, {"size": two, "axis": -one}),
        ("pad", {"widths": ((0, 1), (2, 0), (0, 0))}, {"widths": [[0, one], [two, 0], [0, 0]]}),
        ("pad", {"widths": ((0, 1),) * 3}, {"widths": np.array([[0, 1]] * 3)}),
        ("swapaxes", {"first": 0, "second": 2}, {"first": 0, "second": two}),
        ("clip", {"low": 3.0}, {"low": np.float64(3)}),
    ]:
        first, second = OPS[name](x, **written), OPS[name](x, **otherwise)
        pairs = zip(first, second, strict=True) if isinstance(first, tuple) else [(first, second)]
        for a, b in pairs:
            np.testing.assert_array_equal(a.data, b.data)
    assert x.reshape([4, 6]).shape == x.reshape(4, -1).shape == x.reshape(np.int64(4), 6).shape
    assert x.transpose([2, 0, 1]).shape == x.transpose(two, 0, one).shape == (4, 2, 3)


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
    expected = (x @ w + b[0])[None]
    for z in [
        autograd.linear(x, w, b[0]),
        autograd.linear(x, w, bias=b[0]),
        autograd.linear(x, bias=b[0], weight=w),
        autograd.linear(bias=b[0], weight=w, x=x),
    ]:
        np.testing.assert_array_equal(z.data[None], expected)
    for joined in (autograd.concat([x, w], 1), autograd.concat((x, w), axis=1)):
        np.testing.assert_array_equal(joined.data, np.concatenate([x, w], 1))


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


def test_a_tensor_is_equal_to_itself_and_compared_with_nothing_else():
    x = Tensor([1.0, 2.0])
    assert x == x and x in [x] and {x: 1}[x] == 1
    for other in (1.0, Tensor([1.0, 2.0]), np.ones(2), None):
        with pytest.raises(TypeError, match=r"x\.data == 3"):
            x == other  # noqa: B015
        with pytest.raises(TypeError, match=r"x\.data == 3"):
            x != other  # noqa: B015
