"""Ops of a test's own, and arguments of any shape for every op.

A test with an argument `name` runs once for each op; `drawn_call(name, draw)` gives it something to
be called with. An op that is missing from ARGUMENTS fails there.
"""

import numpy as np
import pytest
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, basic_indices, mutually_broadcastable_shapes

from autograd import OPS, op, vjp


@pytest.fixture
def register():
    """`op` and `vjp` for ops that exist during one test."""
    before = dict(OPS)
    yield op, vjp
    OPS.clear()
    OPS.update(before)


def pytest_generate_tests(metafunc):
    if "name" in metafunc.fixturenames:
        metafunc.parametrize("name", sorted(OPS))


@pytest.fixture(autouse=True, scope="module")
def small_arrays(one_thread):
    """Every test of this folder runs on one thread."""


@pytest.fixture(scope="session")
def call_op():
    return call


def call(name, inputs, rest=(), settings=None):
    """The outputs of an op, always as a tuple."""
    inputs = (inputs,) if name in ("concat", "stack") else inputs
    output = OPS[name](*inputs, *rest, **(settings or {}))
    return output if isinstance(output, tuple) else (output,)


@pytest.fixture(scope="session")
def drawn_call():
    return draw_call


def draw_call(name, draw):
    """(float64 arrays, positional settings, settings) of a valid call of the op."""
    assert name in ARGUMENTS, f"tests/autograd/conftest.py: say in ARGUMENTS how to call {name}"
    shapes, rest, settings = ARGUMENTS[name](draw)
    rng = np.random.default_rng(draw(st.integers(0, 100)))
    arrays = [None if shape is None else rng.standard_normal(shape) for shape in shapes]
    if name in NEED_POSITIVE:
        arrays = [np.asarray(np.abs(array) + 0.5) for array in arrays]
    return arrays, rest, settings


NEED_POSITIVE = {"log", "sqrt", "pow"}


# ---- draw -> (shapes of the arrays, positional settings, settings)


def shape(draw, least=0, most=3):
    return draw(array_shapes(min_dims=least, max_dims=most, max_side=4))


def broadcast(count, dims=3):
    def arguments(draw):
        drawn = mutually_broadcastable_shapes(num_shapes=count, max_dims=dims, max_side=4)
        return draw(drawn).input_shapes, (), {}

    return arguments


def one_array(draw):
    return [shape(draw)], (), {}


def an_axis(draw, ndim):
    return draw(st.integers(-ndim, ndim - 1))


def reduction(draw):
    x = shape(draw)
    some = st.lists(st.integers(0, max(len(x) - 1, 0)), unique=True, max_size=len(x)).map(tuple)
    one = st.integers(-len(x), len(x) - 1) if x else st.none()
    return [x], (), {"axis": draw(st.none() | some | one), "keepdims": draw(st.booleans())}


def along_one_axis(draw):
    x = shape(draw, least=1)
    return [x], (), {"axis": an_axis(draw, len(x))}


def of_reshape(draw):
    x = shape(draw)
    new = draw(st.permutations(x)) + [1]
    if draw(st.booleans()):
        new[draw(st.integers(0, len(new) - 1))] = -1
    return [x], tuple(new), {}


def of_transpose(draw):
    x = shape(draw)
    return [x], tuple(draw(st.permutations(range(len(x))))), {}


def of_swapaxes(draw):
    x = shape(draw, least=1)
    return [x], (an_axis(draw, len(x)), an_axis(draw, len(x))), {}


def of_broadcast_to(draw):
    drawn = draw(mutually_broadcastable_shapes(num_shapes=1, base_shape=(2, 3, 4), max_dims=3))
    return drawn.input_shapes, (drawn.result_shape,), {}


def of_getitem(draw):
    x = shape(draw, least=1)
    rows = st.lists(st.integers(-x[0], x[0] - 1), max_size=5)
    masks = st.lists(st.booleans(), min_size=x[0], max_size=x[0])
    index = basic_indices(x, allow_newaxis=True) | rows | rows.map(np.array) | masks.map(np.array)
    drawn = draw(index)
    return [x], (drawn if np.size(drawn) or not isinstance(drawn, np.ndarray) else 0,), {}


def of_concat(draw):
    x = list(shape(draw, least=1))
    axis = an_axis(draw, len(x))
    lengths = draw(st.lists(st.integers(0, 3), min_size=1, max_size=3))
    return [(*x[: axis % len(x)], n, *x[axis % len(x) + 1 :]) for n in lengths], (), {"axis": axis}


def of_stack(draw):
    x = shape(draw)
    return [x] * draw(st.integers(1, 3)), (), {"axis": an_axis(draw, len(x) + 1)}


def of_split(draw):
    x = shape(draw, least=1)
    axis = an_axis(draw, len(x))
    cut = draw(st.integers(0, x[axis]))
    size = draw(st.sampled_from([[cut, x[axis] - cut], [x[axis]], x[axis] + 1, x[axis], 1, 2]))
    return [x], (), {"size": size, "axis": axis}


def of_pad(draw):
    x = shape(draw)
    widths = [draw(st.tuples(st.integers(0, 2), st.integers(0, 2))) for _ in x]
    return [x], (), {"widths": widths, "value": draw(st.sampled_from([0.0, -1.5]))}


def of_clip(draw):
    low, high = draw(st.sampled_from([(-0.5, 0.5), (None, 0.5), (0, None), (-1e9, 1e9)]))
    return [shape(draw)], (), {"low": low, "high": high}


def of_matmul(draw):
    M, K, N = (draw(st.integers(1, 5)) for _ in range(3))
    if draw(st.booleans()):
        vectors = [[(K,), (K,)], [(K,), (K, N)], [(M, K), (K,)], [(2, M, K), (K,)]]
        return draw(st.sampled_from(vectors)), (), {}
    (a, b), _, _ = broadcast(2, dims=2)(draw)
    return [(*a, M, K), (*b, K, N)], (), {}


def of_linear(draw):
    n_in, n_out = draw(st.integers(1, 5)), draw(st.integers(1, 5))
    bias = (n_out,) if draw(st.booleans()) else None
    return [(*shape(draw, most=2), n_in), (n_in, n_out), bias], (), {}


def of_layer_norm(draw):
    x = shape(draw, least=1)
    return [x, draw(st.sampled_from([x[-1:], None])), draw(st.sampled_from([x[-1:], None]))], (), {}


def of_rms_norm(draw):
    x = shape(draw, least=1)
    return [x, x[-1:]], (), {}


def of_rotary_embedding(draw):
    B, H, T, half = (draw(st.integers(1, 4)) for _ in range(4))
    positions = np.random.default_rng(0).integers(100, size=T)
    return [(B, H, T, 2 * half)], (positions,), {"base": draw(st.sampled_from([10000.0, 7.0]))}


def of_embedding(draw):
    V = draw(st.integers(1, 5))
    indices = np.random.default_rng(0).integers(V, size=shape(draw))
    dtype = draw(st.sampled_from([np.int64, np.int32, np.uint8, np.uint64]))
    return [(V, draw(st.integers(1, 4)))], (indices.astype(dtype),), {}


def of_attention(draw):
    B, H, T, D, more = (draw(st.integers(1, 4)) for _ in range(5))
    S, G = T + more - 1, draw(st.sampled_from([g for g in (1, 2, 3, 4) if H % g == 0]))
    bias = draw(st.sampled_from([None, (1, H, T, S), (B, H, T, S)]))
    mask = np.random.default_rng(0).integers(0, 2, (B, S)) if draw(st.booleans()) else None
    settings = {"causal": draw(st.booleans()), "scale": draw(st.sampled_from([None, 0.7]))}
    return [(B, H, T, D), (B, G, S, D), (B, G, S, D), bias], (), settings | {"mask": mask}


def of_cross_entropy(draw):
    logits = shape(draw, least=1)
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
    return [shape(draw)], (draw(st.sampled_from([0.0, 0.3, 0.9])),), {"seed": draw(st.integers())}


def of_gelu(draw):
    return [shape(draw)], (), {"approximate": draw(st.sampled_from(["tanh", "none"]))}


ARGUMENTS = {
    **dict.fromkeys(["neg", "exp", "log", "sqrt", "tanh", "abs", "relu", "sigmoid", "silu"],
                    one_array),
    **dict.fromkeys(["add", "sub", "mul", "div", "pow", "maximum"], broadcast(2)),
    "where": broadcast(3), "clip": of_clip, "gelu": of_gelu, "dropout": of_dropout,
    **dict.fromkeys(["sum", "mean", "max", "logsumexp", "var"], reduction),
    **dict.fromkeys(["softmax", "log_softmax"], along_one_axis),
    "reshape": of_reshape, "transpose": of_transpose, "swapaxes": of_swapaxes,
    "broadcast_to": of_broadcast_to, "getitem": of_getitem, "concat": of_concat,
    "split": of_split, "stack": of_stack, "pad": of_pad,
    "matmul": of_matmul, "linear": of_linear, "layer_norm": of_layer_norm,
    "rms_norm": of_rms_norm, "rotary_embedding": of_rotary_embedding,
    "embedding": of_embedding, "scaled_dot_product_attention": of_attention,
    "cross_entropy": of_cross_entropy, "linear_cross_entropy": of_linear_cross_entropy,
}  # fmt: skip
