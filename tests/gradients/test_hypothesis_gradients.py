"""Gradients of every op for shapes and settings that hypothesis draws."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from op_table import TABLE, call, draw_call

from autograd import OPS, Tensor, gradcheck


def spaced(x, i):
    """Return ranks of x, 0.1 from one another, from multiples of 1/2 and from array i + 1."""
    ranks = np.argsort(np.argsort(x, axis=None)).reshape(x.shape) - x.size // 2
    return ranks / 2 + 0.125 * (1 + i) + 0.02 * np.tanh(x)


@pytest.mark.parametrize("name", sorted(OPS))
@settings(max_examples=40)
@given(data=st.data())
def test_gradients_of_drawn_calls_agree_with_finite_differences(name, data):
    arrays, rest, keywords = draw_call(name, data.draw)
    if TABLE[name].kink:
        arrays = [x if x is None else spaced(x, i) for i, x in enumerate(arrays)]
    if name == "div":
        arrays[1] = np.abs(arrays[1]) + 0.5
    fixed = {i: x for i, x in enumerate(arrays) if x is None}
    if name == "where":
        fixed[0] = arrays[0] > 0
    inputs = {str(i): x for i, x in enumerate(arrays) if i not in fixed}
    assume(all(x.size for x in inputs.values()))

    def f(**tensors):
        given = [fixed[i] if i in fixed else tensors[str(i)] for i in range(len(arrays))]
        return call(name, given, rest, keywords)

    assume(all(y.size for y in f(**{k: Tensor(x) for k, x in inputs.items()})))
    gradcheck(f, inputs)
