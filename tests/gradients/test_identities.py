"""What gradients satisfy by algebra, to rounding: checks that need no finite differences."""

import math
from functools import partial

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


# Where a change of the input does not change the output, the gradient has no part


@pytest.mark.parametrize("op", [ag.softmax, ag.log_softmax])
def test_softmax_rows_have_gradients_that_sum_to_0(op):
    (dx_NC,) = gradients(op, [normal(4, 5)])
    assert_small(dx_NC.sum(axis=1), dx_NC)


def test_layer_norm_has_gradients_orthogonal_to_a_shift_and_to_a_scaling():
    x_NC = normal(4, 6)
    dx_NC, *_ = gradients(partial(ag.layer_norm, eps=0.0), [x_NC, normal(6), normal(6)])
    n_NC = (x_NC - x_NC.mean(axis=1, keepdims=True)) / x_NC.std(axis=1, keepdims=True)
    assert_small(dx_NC.sum(axis=1), dx_NC)
    assert_small((dx_NC * n_NC).sum(axis=1), dx_NC)


def test_cross_entropy_rows_have_gradients_that_sum_to_0_and_ignored_ones_none():
    targets_N = np.array([2, -1, 0, 4])
    (dlogits_NV,) = gradients(partial(ag.cross_entropy, targets=targets_N), [normal(4, 5)])
    assert_small(dlogits_NV.sum(axis=1), dlogits_NV)
    assert (dlogits_NV[1] == 0).all()
    assert (dlogits_NV[[0, 2, 3]] != 0).all()


@pytest.mark.parametrize("causal", [True, False])
def test_attention_does_not_see_what_is_added_to_all_keys(causal):
    q, k, v = normal(2, 2, 4, 3), normal(2, 2, 5, 3), normal(2, 2, 5, 3) + 1
    attention = partial(ag.scaled_dot_product_attention, causal=causal)
    _, dk_BHSD, _ = gradients(attention, [q, k, v])
    assert_small(dk_BHSD.sum(axis=2), dk_BHSD)


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


def test_one_array_used_twice():
    w = normal(3, 3)
    (dw,) = gradients(lambda w: ag.tanh(w) @ w.transpose(), [w])
    d_left, d_right = gradients(lambda a, b: ag.tanh(a) @ b.transpose(), [w, w.copy()])
    assert_small(dw - (d_left + d_right), dw)


# An op and what it is composed of have the same value and the same gradients. For other ops the
# transpose test and the definitions in tests/op_table.py are as sharp.


def composed_attention(q, k, v, causal):
    T, S, D = q.shape[2], k.shape[2], q.shape[3]
    score_BHTS = q @ k.swapaxes(2, 3) / math.sqrt(D)
    if causal:
        score_BHTS = ag.where(np.tri(T, S, S - T, dtype=bool), score_BHTS, -np.inf)
    return ag.softmax(score_BHTS) @ v


def composed_gelu(x):
    u = math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)
    return 0.5 * x * (1 + ag.tanh(u))


def composed_layer_norm(x, weight, bias):
    centred = x - x.mean(axis=-1, keepdims=True)
    return centred / ag.sqrt(ag.var(x, axis=-1, keepdims=True) + 1e-5) * weight + bias


QKV = [normal(2, 2, 3, 2), normal(2, 2, 4, 2), normal(2, 2, 4, 2) + 1]
SAME = {
    "attention": (ag.scaled_dot_product_attention, partial(composed_attention, causal=True), QKV),
    "attention, not causal": (
        partial(ag.scaled_dot_product_attention, causal=False),
        partial(composed_attention, causal=False), QKV,
    ),
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


def test_the_exact_gelu_is_near_the_approximate_one():
    x = np.linspace(-4, 4, 81)
    (exact,), (near,) = (
        gradients(partial(ag.gelu, approximate=form), [x]) for form in ("none", "tanh")
    )
    assert 1e-5 < np.abs(exact - near).max() < 2e-3
