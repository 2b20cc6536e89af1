"""Gradients for shapes, broadcasts, axes, memory layouts and dtypes that nobody thought of."""

from functools import partial

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd as ag
from autograd import gradcheck

few = settings(max_examples=30)
dims = st.integers(1, 3)
shapes = hnp.array_shapes(max_dims=4, max_side=3)

LAYOUTS = {
    "C": lambda x: x,
    "Fortran": lambda x: np.array(x, order="F"),
    "every other element": lambda x: np.stack([x, x], axis=-1)[..., 1],
    "negative strides": lambda x: np.flip(np.flip(x).copy()),
}


@st.composite
def arrays(draw, shape, low=-2.0, high=2.0, apart=False):
    """Numbers in [low, high], in any layout; with apart=True no two closer than 0.1."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.uniform(low, high, shape)
    if apart:
        ranks = rng.permutation(x.size).reshape(shape)
        x = (ranks - x.size // 2) / 4 + 0.125 + x / 50
    return LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](x)


def axes_of(ndim):
    """An axis as an int or a tuple, counted from either end, or None."""
    ints = st.integers(-ndim, ndim - 1)
    tuples = st.lists(ints, unique_by=lambda a: a % ndim).map(tuple)
    return st.none() | ints | tuples


@pytest.fixture(scope="session")
def check(float32_gaps):
    """The gradients of f agree with finite differences, and in float32 with those in float64."""

    def check(f, *inputs):
        gradcheck(f, list(inputs))
        for gap, scale in float32_gaps(f, list(inputs)):
            assert gap <= 1e-4 * max(1, scale)

    return check


@pytest.mark.parametrize("op", [ag.add, ag.sub, ag.mul, ag.div, ag.pow, ag.maximum, ag.where])
@few
@given(data=st.data())
def test_binary_ops_broadcast(op, data, check):
    a_shape, b_shape, c_shape = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=3, max_side=3)
    ).input_shapes
    positive = {"low": 0.5, "high": 2.0}
    a = data.draw(arrays(a_shape, **(positive if op is ag.pow else {})))
    b = data.draw(arrays(b_shape, **(positive if op is ag.div else {})))
    if op is ag.maximum:
        a, b = np.round(a), np.round(b) + 0.5  # never equal
    if op is ag.where:
        op = partial(op, data.draw(hnp.arrays(bool, c_shape)))
    check(op, a, b)


@pytest.mark.parametrize("op", [ag.sum, ag.mean, ag.max, ag.logsumexp, ag.var])
@few
@given(data=st.data())
def test_reductions(op, data, check):
    x = data.draw(shapes.flatmap(partial(arrays, apart=op is ag.max)))
    axis, keepdims = data.draw(axes_of(x.ndim)), data.draw(st.booleans())
    check(lambda x: op(x, axis=axis, keepdims=keepdims), x)


@few
@given(data=st.data())
def test_axes_are_moved(data, check):
    x = data.draw(shapes.flatmap(arrays))
    axes = data.draw(st.permutations(range(x.ndim)))
    signed = [a - x.ndim * data.draw(st.booleans()) for a in axes]
    check(lambda x: ag.transpose(x, *signed), x)
    check(lambda x: ag.swapaxes(x, signed[0], signed[-1]), x)


@few
@given(data=st.data())
def test_reshape(data, check):
    x = data.draw(shapes.flatmap(arrays))
    shape = data.draw(st.permutations(x.shape))
    length = data.draw(st.sampled_from([-1, shape[0]]))
    check(lambda x: ag.reshape(x, length, *shape[1:]), x)
    check(lambda x: ag.reshape(x, (1, *shape, 1)), x)


@few
@given(data=st.data())
def test_broadcast_to(data, check):
    x_shape, shape = data.draw(
        hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3)
    ).input_shapes
    result = np.broadcast_shapes(x_shape, shape)
    check(lambda x: ag.broadcast_to(x, result), data.draw(arrays(x_shape)))


@settings(max_examples=60)
@given(data=st.data())
def test_getitem(data, check):
    x = data.draw(shapes.flatmap(arrays))
    index = data.draw(
        hnp.basic_indices(x.shape, allow_newaxis=True)
        | hnp.integer_array_indices(x.shape)
        | hnp.arrays(bool, x.shape)
        | hnp.arrays(int, dims, elements=st.integers(-len(x), len(x) - 1))
    )
    check(lambda x: ag.getitem(x, index), x)


@few
@given(data=st.data())
def test_join_and_cut(data, check):
    shape = data.draw(shapes)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    lengths = data.draw(st.lists(dims, min_size=1, max_size=3))
    whole = list(shape)
    whole[axis] = sum(lengths)
    x = data.draw(arrays(tuple(whole)))
    parts = np.split(x, np.cumsum(lengths)[:-1], axis)
    size = data.draw(st.just(lengths) | st.integers(1, 3))
    check(lambda x: ag.split(x, size, axis), x)
    check(lambda *parts: ag.concat(parts, axis=axis), *parts)
    alike = [data.draw(arrays(shape)) for _ in lengths]
    new_axis = data.draw(st.integers(-len(shape) - 1, len(shape)))
    check(lambda *alike: ag.stack(alike, axis=new_axis), *alike)


@few
@given(data=st.data())
def test_pad(data, check):
    x = data.draw(shapes.flatmap(arrays))
    width = st.integers(0, 2)
    widths = [data.draw(st.tuples(width, width)) for _ in x.shape]
    check(lambda x: ag.pad(x, widths), x)


@settings(max_examples=60)
@given(data=st.data())
def test_matmul_broadcasts_stacks_and_takes_vectors(data, check):
    a_shape, b_shape = data.draw(
        hnp.mutually_broadcastable_shapes(signature=np.matmul.signature, max_dims=2, max_side=3)
    ).input_shapes
    check(ag.matmul, data.draw(arrays(a_shape)), data.draw(arrays(b_shape)))


@few
@given(data=st.data())
def test_linear(data, check):
    x = data.draw(shapes.flatmap(arrays))
    width, with_bias = data.draw(dims), data.draw(st.booleans())
    weight = data.draw(arrays((x.shape[-1], width)))
    check(ag.linear, x, weight, *[data.draw(arrays(width))] * with_bias)


@pytest.mark.parametrize("op", [ag.softmax, ag.log_softmax])
@few
@given(data=st.data())
def test_softmax_along_any_axis(op, data, check):
    x = data.draw(shapes.flatmap(arrays))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    check(lambda x: op(x, axis=axis), x)


@few
@given(data=st.data())
def test_layer_norm(data, check):
    x = data.draw(shapes.flatmap(partial(arrays, apart=True)))
    C = x.shape[-1]
    weight = data.draw(st.none() | arrays(C))
    bias = data.draw(st.none() | arrays(C))
    given_ones = [a for a in (weight, bias) if a is not None]

    def f(x, *rest):
        rest = list(rest)
        first = rest.pop(0) if weight is not None else None
        return ag.layer_norm(x, first, rest.pop() if rest else None)

    check(f, x, *given_ones)


@settings(max_examples=60)
@given(data=st.data(), B=dims, H=dims, T=dims, S=dims, D=dims, causal=st.booleans())
def test_attention(data, B, H, T, S, D, causal, check):
    S = max(S, T) if causal else S
    q, k, v = (data.draw(arrays((B, H, length, D))) for length in (T, S, S))
    check(partial(ag.scaled_dot_product_attention, causal=causal), q, k, v)


@few
@given(data=st.data(), ignore=st.sampled_from([-1, -100, 0]))
def test_cross_entropy(data, ignore, check):
    logits = data.draw(shapes.flatmap(arrays))
    V = logits.shape[-1]
    target = st.integers(0, V - 1) | st.just(ignore)
    targets = data.draw(hnp.arrays(int, logits.shape[:-1], elements=target))
    if (targets == ignore).all():
        ignore = -2  # keep all
        targets = np.maximum(targets, 0)
    check(partial(ag.cross_entropy, targets=targets, ignore_index=ignore), logits)


@few
@given(data=st.data())
def test_embedding(data, check):
    V, C = data.draw(dims), data.draw(dims)
    indices = data.draw(hnp.arrays(int, shapes | st.just(()), elements=st.integers(0, V - 1)))
    check(partial(ag.embedding, indices=indices), data.draw(arrays((V, C))))


@few
@given(data=st.data(), p=st.floats(0, 0.9), seed=st.integers(0, 2**63 - 1))
def test_element_by_element(data, p, seed, check):
    x = data.draw(shapes.flatmap(partial(arrays, apart=True)))
    check(lambda x: ag.dropout(x, p, seed=seed), x)
    for op in (ag.neg, ag.exp, ag.tanh, ag.abs, ag.relu, ag.sigmoid, ag.gelu):
        check(op, x / 4)
    for op in (ag.log, ag.sqrt):
        check(op, 0.5 + np.abs(x))
