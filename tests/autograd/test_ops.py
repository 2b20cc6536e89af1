"""The value of every op, on both backends, against its definition written out in NumPy."""

import contextlib
import inspect
import itertools
import math

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes

from autograd import OPS, Tensor, backend, kernels, reference

BACKENDS = pytest.mark.parametrize("module", [kernels, reference], ids=["numba", "numpy"])
CLOSE = {np.float32: {"rtol": 1e-4, "atol": 1e-5}, np.float64: {"rtol": 1e-9, "atol": 1e-11}}


# ---- what each op computes


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


def attention(q, k, v, bias=None, causal=True, scale=None, mask=None):
    y = np.zeros_like(q)
    (B, H, T, D), (_, G, S, _) = q.shape, k.shape
    for b, h, t in np.ndindex(B, H, T):
        seen = np.arange(S) <= (t + S - T if causal else S)
        seen &= True if mask is None else mask[b].astype(bool)
        scores = k[b, h * G // H] @ q[b, h, t] * (1 / math.sqrt(D) if scale is None else scale)
        scores += 0 if bias is None else bias[b if len(bias) > 1 else 0, h, t]
        if seen.any():
            y[b, h, t] = softmax(scores[seen]) @ v[b, h * G // H, seen]
    return y


def cross_entropy(logits, targets, ignore_index=-1):
    kept = targets != ignore_index
    return -np.mean(np.log(softmax(logits))[kept][np.arange(kept.sum()), targets[kept]])


def dropout(x, p, seed):
    return reference.dropout(np.ascontiguousarray(x).ravel(), p, seed % 2**63).reshape(x.shape)


def split(x, size, axis=0):
    lengths = size if isinstance(size, list) else [size] * -(-x.shape[axis] // size)
    return np.split(x, np.cumsum(lengths)[:-1], axis)


EXPECTED = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "pow": np.power,
    "maximum": np.maximum, "neg": np.negative, "exp": np.exp, "log": np.log, "sqrt": np.sqrt,
    "tanh": np.tanh, "abs": np.abs, "where": lambda c, a, b: np.where(c != 0, a, b),
    "clip": lambda x, low, high: x.clip(low, high),
    "sum": np.sum, "mean": np.mean, "max": np.max, "logsumexp": logsumexp,
    "var": lambda x, correction=0, **along: np.var(x, ddof=correction, **along),
    "reshape": lambda x, *shape: x.reshape(shape), "transpose": lambda x, *axes: x.transpose(axes),
    "swapaxes": np.swapaxes, "broadcast_to": np.broadcast_to, "getitem": lambda x, index: x[index],
    "concat": lambda *arrays, axis: np.concatenate(arrays, axis), "split": split,
    "stack": lambda *arrays, axis: np.stack(arrays, axis),
    "pad": lambda x, widths, value: np.pad(x, widths or 0, constant_values=value),
    "matmul": np.matmul, "linear": lambda x, w, b: x @ w + (0 if b is None else b),
    "relu": lambda x: np.maximum(x, 0), "sigmoid": lambda x: 1 / (1 + np.exp(-x)), "gelu": gelu,
    "softmax": softmax, "log_softmax": lambda x, axis=-1: np.log(softmax(x, axis)),
    "layer_norm": layer_norm, "embedding": lambda weight, indices: weight[indices],
    "silu": lambda x: x / (1 + np.exp(-x)), "rms_norm": rms_norm,
    "rotary_embedding": rotary_embedding,
    "dropout": dropout, "scaled_dot_product_attention": attention, "cross_entropy": cross_entropy,
    "linear_cross_entropy": lambda x, table, targets, ignore_index: cross_entropy(
        x @ table.T, targets, ignore_index),
}  # fmt: skip


@contextlib.contextmanager
def computed_by(module):
    with pytest.MonkeyPatch.context() as patch:
        for name, _ in inspect.getmembers(reference, inspect.isfunction):
            if not name.startswith("_"):
                patch.setattr(backend, name, getattr(module, name))
        yield


def tensors(arrays, dtype=np.float64, requires_grad=False):
    return [a if a is None else Tensor(a.astype(dtype, copy=False), requires_grad) for a in arrays]


def assert_expected(call_op, name, module, arrays, rest, settings, dtype):
    # Of the numbers as rounded to dtype: where a norm divides by little, rounding them shows.
    arrays = [a if a is None else a.astype(dtype).astype(np.float64) for a in arrays]
    with computed_by(module), np.errstate(all="ignore"):
        expected = EXPECTED[name](*arrays, *rest, **settings)
        found = call_op(name, tensors(arrays, dtype), rest, settings)
    expected = expected if isinstance(expected, list) else [expected]
    for f, e in zip(found, expected, strict=True):
        assert (f.shape, f.dtype) == (np.shape(e), dtype)
        np.testing.assert_allclose(f.data, e, **within(name, arrays, dtype))


def within(name, arrays, dtype):
    """The tolerance; a norm enlarges the rounding of numbers that are close to each other."""
    allowed = dict(CLOSE[dtype])
    if name == "layer_norm":
        x = arrays[0]
        spread = np.sqrt(x.var(axis=-1) + 1e-5)
        allowed["atol"] *= max(1, np.max(np.abs(x).max(axis=-1) / spread))
    return allowed


def test_every_op_has_a_definition_here():
    missing = set(OPS) - set(EXPECTED)
    assert not missing, f"tests/autograd/test_ops.py: say in EXPECTED, in NumPy, what is {missing}"


@BACKENDS
@settings(max_examples=20)
@given(st.data())
def test_values(call_op, drawn_call, name, module, data):
    arguments = drawn_call(name, data.draw)
    for dtype in (np.float32, np.float64):
        assert_expected(call_op, name, module, *arguments, dtype)


@BACKENDS
@settings(max_examples=5)
@given(st.data())
def test_nan_in_gives_nan_out_where_numpy_has_it(call_op, drawn_call, name, module, data):
    arrays, rest, settings = drawn_call(name, data.draw)
    for n, array in enumerate(arrays):
        if array is not None and array.size:
            with_nan = array.copy()
            with_nan.reshape(-1)[0] = np.nan
            changed = [*arrays[:n], with_nan, *arrays[n + 1 :]]
            assert_expected(call_op, name, module, changed, rest, settings, np.float64)


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
def test_order_strides_and_flags_change_nothing(call_op, drawn_call, name, layout, data):
    arrays, rest, settings = drawn_call(name, data.draw)
    results = []
    for arrange in (np.ascontiguousarray, layout):
        same = [a if a is None else arrange(a).reshape(a.shape) for a in arrays]
        inputs = tensors(same, requires_grad=name != "where")
        z = call_op(name, inputs, rest, settings)[0]
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
    joined = OPS["split"].vjp(parts, (axis,))
    np.testing.assert_array_equal(joined, np.concatenate(parts, axis))
    whole = OPS["split"].vjp(tuple(draw_parts(data.draw, x, axis)), (axis,))
    np.testing.assert_array_equal(whole, x)


def test_parts_of_one_array_are_joined_without_a_copy():
    x = np.arange(24.0).reshape(2, 4, 3).swapaxes(0, 1)
    for axis in range(3):
        parts = tuple(np.split(x, x.shape[axis], axis))
        assert np.may_share_memory(OPS["split"].vjp(parts, (axis,)), x)


def test_parts_that_only_lie_side_by_side_are_copied():
    """Of two owners, one of which may be gone before the result; or every second number."""
    memory, x = bytearray(range(64)), np.arange(8.0)
    owners = [np.frombuffer(memory, count=4, offset=offset) for offset in (0, 32)]
    for parts in [tuple(owners), (x[:2], x[2:6:2]), (np.arange(8.0),)]:
        joined = OPS["split"].vjp(parts, (0,))
        np.testing.assert_array_equal(joined, np.concatenate(parts))
        assert not any(np.may_share_memory(joined, part) for part in parts)


def test_kernels_are_compiled_for_contiguous_and_writable_arrays_only():
    """Another order, or a read-only flag, is another compilation: seconds, on a first run."""
    x = read_only(np.ones((2, 3, 4, 4)))
    for arrange in (np.asarray, np.asfortranarray):
        a = Tensor(arrange(x), requires_grad=True)
        y = OPS["scaled_dot_product_attention"](a, a, a) @ a @ a[0, 0]
        y = OPS["layer_norm"](OPS["linear"](OPS["gelu"](y), a[0, 0], a[0, 0, 0]), a[0, 0, 0])
        y = OPS["dropout"](OPS["softmax"](y), 0.1, seed=1)
        OPS["cross_entropy"](y, np.ones(x.shape[:-1], int)).backward()
    compiled = [f for f in vars(kernels).values() if hasattr(f, "signatures")]
    assert compiled
    for function in compiled:
        for argument in itertools.chain.from_iterable(function.signatures):
            if isinstance(argument, numba.types.Array):
                assert argument.layout == "C" and argument.mutable, function.py_func.__name__
