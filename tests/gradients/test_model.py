"""Every parameter of a GPT and of its parts, checked with finite differences."""

from unittest import mock

import numpy as np
import pytest

from autograd import OPS, Tensor, gradcheck
from autograd.gradcheck import examine
from npgpt.config import GPTConfig
from npgpt.gpt import Block, CausalSelfAttention

IDX_BT = np.array([[1, 6, 0, 2], [3, 3, 1, 0]])
TARGETS_BT = np.array([[6, 0, 2, 5], [3, 1, -1, 4]])
PARTS = {"attention": CausalSelfAttention, "mlp": lambda *args: Block(*args).mlp,
         "block": Block}


def loss_of(model):
    def loss(**_):
        model.dropout_step = 3  # the same masks at every call
        return model(IDX_BT, TARGETS_BT)[1]

    return loss


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("tie_weights", [True, False])
@pytest.mark.parametrize("dropout", [0.0, 0.3])
def test_the_loss_of_a_gpt(gpt_of_order_one, bias, tie_weights, dropout):
    model = gpt_of_order_one(n_layer=1, bias=bias, tie_weights=tie_weights, dropout=dropout)
    report = gradcheck(loss_of(model), model.parameters())
    assert [found.name for found in report.inputs] == list(model.parameters())


def test_the_loss_of_a_deeper_gpt_with_more_heads(gpt_of_order_one):
    model = gpt_of_order_one(seed=1, n_head=4, dropout=0.1)
    gradcheck(loss_of(model), model.parameters())


def test_the_logits_of_a_gpt(gpt_of_order_one):
    model = gpt_of_order_one(n_layer=1)
    gradcheck(lambda **_: model(IDX_BT)[0], model.parameters())


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("bias", [True, False])
def test_a_part_with_respect_to_its_parameters_and_its_input(part, bias):
    config = GPTConfig(vocab_size=2, block_size=4, n_layer=1, n_head=2, n_embd=6, bias=bias)
    rng = np.random.default_rng(0)
    module = PARTS[part](rng, config, np.float64)
    weights = module.parameters()
    for weight in weights.values():
        weight.data = rng.normal(size=weight.shape)
    x_BTC = Tensor(rng.normal(size=(2, 3, 6)), requires_grad=True)
    extra = (lambda x: x * 1.5,) if part == "block" else ()
    report = gradcheck(lambda **_: module(x_BTC, *extra), {"x": x_BTC} | weights)
    assert len(report.inputs) == 1 + len(weights)


def test_a_rule_that_is_off_by_a_thousandth_shows_in_the_embedding(gpt_of_order_one):
    model, caught = gpt_of_order_one(n_layer=1, dropout=0.3), 0
    for name, op in OPS.items():
        used = []

        def wrong(*arguments, right=op.gradients, used=used):
            used.append(True)
            return tuple(g if g is None else g * 1.001 for g in right(*arguments))

        with mock.patch.object(op, "gradients", wrong):
            assert examine(loss_of(model), {"wte": model.wte.weight}).passed == (not used), name
        caught += bool(used)
    assert caught >= 12
