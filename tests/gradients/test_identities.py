"""Identities of gradients that hold to rounding: checks without finite differences."""

import math

import numpy as np
import pytest

import autograd as ag
from autograd.gradcheck import Function

TOLERANCE = 200 * np.finfo(np.float64).eps


def normal(*shape):
    return np.random.default_rng(math.prod(shape)).normal(size=shape)


def gradients(f, inputs):
    """The gradients with respect to all inputs, for one random cotangent."""
    function = Function(f, inputs)
    with function.restored():
        return list(function.gradients(function.cotangents(np.random.default_rng(1))).values())


def assert_small(x, scale):
    assert np.abs(x).max() <= TOLERANCE * np.abs(scale).max()


def model_gradients(model):
    idx_BT = np.array([[1, 4, 0, 2], [3, 3, 1, 0]])
    targets_BT = np.array([[4, 0, 2, 2], [3, 1, -1, 0]])
    model(idx_BT, targets_BT)[1].backward()
    return {name: weight.grad for name, weight in model.parameters().items()}


def test_the_key_bias_of_a_model_has_no_gradient(gpt_of_order_one):
    found = model_gradients(gpt_of_order_one())
    for name in ("h.0.attn.c_attn.bias", "h.1.attn.c_attn.bias"):
        dq, dk, dv = np.split(found[name], 3)
        assert_small(dk, found[name])
        assert np.abs(dk).max() < 1e-6 * np.abs(dq).max()
        assert np.abs(dk).max() < 1e-6 * np.abs(dv).max()


def test_the_gradient_of_a_tied_weight_is_the_sum_of_those_of_its_two_uses(gpt_of_order_one):
    tied, untied = gpt_of_order_one(), gpt_of_order_one(tie_weights=False)
    for name, weight in tied.parameters().items():
        untied.parameters()[name].data = weight.data
    untied.lm_head.weight.data = tied.wte.weight.data.T
    found, parts = model_gradients(tied), model_gradients(untied)
    parts["wte.weight"] = parts["wte.weight"] + parts.pop("lm_head.weight").T
    assert list(found) == list(parts)
    for name in found:
        assert_small(found[name] - parts[name], parts[name])


# An op and what it is composed of have the same value and the same gradients. For other ops the
# transpose test and the definitions in tests/op_table.py are as sharp.


def composed_gelu(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + ag.tanh(u))


def composed_layer_norm(x, weight, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / ag.sqrt(ag.var(x, axis=-1, keepdims=True) + 1e-5) * weight + bias


SAME = {
    "gelu": (ag.gelu, composed_gelu, [normal(20)]),
    "layer_norm": (ag.layer_norm, composed_layer_norm, [normal(4, 6), normal(6), normal(6) + 1]),
    "abs": (ag.abs, lambda x: ag.maximum(x, -x), [normal(20)]),
    "silu": (ag.silu, lambda x: x * ag.sigmoid(x), [normal(20)]),
}


@pytest.mark.parametrize("name", SAME)
def test_an_op_has_the_value_and_gradients_of_what_it_is_composed_of(name):
    op, composition, inputs = SAME[name]
    tensors = [ag.Tensor(x) for x in inputs]
    value = composition(*tensors).data
    assert_small(op(*tensors).data - value, value)
    for found, expected in zip(gradients(op, inputs), gradients(composition, inputs), strict=True):
        assert_small(found - expected, expected)
