"""The value of every op, on both backends, against its definition written out in NumPy."""


import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes
from op_table import TABLE, call, draw_call

from autograd import OPS, Tensor, backend

BACKENDS = pytest.mark.parametrize("module", ["numba", "numpy"])
CLOSE = {np.float32: {"rtol": 1e-4, "atol": 1e-5}, np.float64: {"rtol": 1e-12, "atol": 1e-13}}


def tensors(arrays, dtype=np.float64, requires_grad=False):
    return [a if a is None else Tensor(a.astype(dtype, copy=False), requires_grad) for a in arrays]


def assert_expected(name, module, arrays, rest, settings, dtype):
    # Of the numbers as rounded to dtype: where a norm divides by little, rounding them shows.
    arrays = [a if a is None else a.astype(dtype).astype(np.float64) for a in arrays]
    with backend.using(module), np.errstate(all="ignore"):
        expected = TABLE[name].numpy(*arrays, *rest, **settings)
        found = call(name, tensors(arrays, dtype), rest, settings)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    for f, e in zip(found, expected, strict=True):
        assert (f.shape, f.dtype) == (np.shape(e), dtype)
        np.testing.assert_allclose(f.data, e, **within(name, arrays, dtype))


def within(name, arrays, dtype):
    """The tolerance; a norm enlarges the rounding of numbers that are close to each other."""
    allowed = dict(CLOSE[dtype])
    if name == "layer_norm":
        x = arrays[0]
        spread = np.sqrt(x.var(axis=-1) + 1e-5)
        allowed["atol"] *= np.fmax.reduce(np.abs(x).max(axis=-1) / spread, axis=None, initial=1)
    return allowed


@BACKENDS
@settings(max_examples=20)
@given(st.data())
def test_values(name, module, data):
    arguments = draw_call(name, data.draw)
    for dtype in (np.float32, np.float64):
        assert_expected(name, module, *arguments, dtype)


@BACKENDS
@settings(max_examples=5)
@given(st.data())
def test_nan_in_gives_nan_out_where_numpy_has_it(name, module, data):
    arrays, rest, settings = draw_call(name, data.draw)
    for n, array in enumerate(arrays):
        if array is not None and array.size:
            with_nan = array.copy()
            with_nan.reshape(-1)[0] = np.nan
            changed = [*arrays[:n], with_nan, *arrays[n + 1 :]]
            assert_expected(name, module, changed, rest, settings, np.float64)


# ---- how the numbers lie in memory


def reversed_view(array):
    step = tuple(slice(None, None, -1) for _ in array.shape)
    return array[step].copy()[step]


def every_second(array):
    return np.repeat(array, 2, axis=-1)[..., ::2] if array.ndim else array


def read_only(array):
    array = array.copy()
    array.flags.writeable = False
    return array


LAYOUTS = [np.asfortranarray, reversed_view, every_second, read_only]


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.__name__)
@settings(max_examples=8)
@given(st.data())
def test_order_strides_and_flags_change_nothing(name, layout, data):
    arrays, rest, settings = draw_call(name, data.draw)
    results = []
    for arrange in (np.ascontiguousarray, layout):
        same = [a if a is None else arrange(a).reshape(a.shape) for a in arrays]
        inputs = tensors(same, requires_grad=name != "where")
        z = call(name, inputs, rest, settings)[0]
        if z.requires_grad:
            cotangent = np.cos(np.arange(z.size)).reshape(z.shape)
            z.backward(arrange(cotangent).reshape(z.shape))
        results.append([z.data] + [x.grad for x in inputs if x is not None and z.requires_grad])
    for found, expected in zip(*results, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def draw_parts(draw, x, axis):
    """Consecutive parts of x, some of them perhaps empty."""
    cuts = draw(st.lists(st.integers(0, x.shape[axis]), max_size=3).map(sorted))
    return np.split(x, cuts, axis)


@given(st.data())
def test_parts_are_joined_whatever_array_they_are_of(data):
    """In order and out of order, with gaps, twice, of one array or of two."""
    shape = data.draw(array_shapes(max_dims=3, max_side=5))
    axis = data.draw(st.integers(0, len(shape) - 1))
    order = data.draw(st.permutations(range(len(shape))))
    x, y = (np.random.default_rng(n).normal(size=shape).transpose(order) for n in range(2))
    candidates = draw_parts(data.draw, x, axis) + draw_parts(data.draw, y, axis)
    parts = tuple(data.draw(st.lists(st.sampled_from(candidates), min_size=1, max_size=4)))
    joined = OPS["split"].vjp(parts, axis)
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis))
    whole = OPS["split"].vjp(tuple(draw_parts(data.draw, x, axis)), axis)
    np.testing.assert_array_equal(whole, x)


def test_parts_that_only_lie_side_by_side_are_copied():
    """Of two owners, one of which may be gone before the result; or every second number."""
    memory, x = bytearray(range(64)), np.arange(8.0)
    owners = [np.frombuffer(memory, count=4, offset=offset) for offset in (0, 32)]
    for parts in [tuple(owners), (x[:2], x[2:6:2]), (np.arange(8.0),)]:
        joined = OPS["split"].vjp(parts, 0)
        np.testing.assert_array_equal(joined, np.concatenate(parts))
        assert not any(np.may_share_memory(joined, part) for part in parts)
