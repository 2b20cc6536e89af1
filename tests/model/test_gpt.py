"""The GPT: initial weights, parameters, dropout, generation, the loss."""

import math
from dataclasses import replace

import numpy as np
import pytest

from npgpt import GPT, GPTConfig, Llama, LlamaConfig
from npgpt.generate import generate
from npgpt.sampling import Sampling

SMALL = GPTConfig(11, 8, 2, 2, 12)


def token_ids(config, B=2, T=None, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(0, config.vocab_size, (B, T or config.block_size))


def order_one(model):
    """Return the model with weights large enough for its logits to differ."""
    rng = np.random.default_rng(0)
    for weight in model.parameters().values():
        weight.data[...] = rng.normal(0, 0.5, weight.shape)
    return model


@pytest.mark.parametrize("tie_weights", [True, False])
def test_the_first_loss_is_that_of_a_uniform_guess(tie_weights):
    config = GPTConfig(
        vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128, tie_weights=tie_weights
    )
    losses = []
    for seed in range(6):  # a mean, since the few tokens' random logits move a single loss
        idx_BT, targets_BT = token_ids(config, 16, seed=seed), token_ids(config, 16, seed=seed + 9)
        losses.append(GPT(config, seed=seed)(idx_BT, targets_BT)[1].item())
    # Logits with variance 0.02^2 C about 0 cost half of that above the uniform guess.
    assert np.mean(losses) == pytest.approx(math.log(65) + 0.02**2 * 128 / 2, rel=0.005)


def test_dropout_acts_in_training_only_and_its_masks_follow_from_seed_and_step():
    config = replace(SMALL, dropout=0.5)
    idx_BT = token_ids(config)

    def logits(seed, step, training=True):
        model = order_one(GPT(config, seed=seed))
        model.training, model.dropout_step = training, step
        return model(idx_BT)[0].data

    np.testing.assert_array_equal(logits(1, 7), logits(1, 7))
    assert not np.array_equal(logits(1, 7), logits(1, 8))
    assert not np.array_equal(logits(1, 7), logits(2, 7))
    np.testing.assert_array_equal(logits(1, 7, training=False), logits(2, 8, training=False))
    model = GPT(config).eval().train()
    model(idx_BT)
    assert model.dropout_step == 1


@pytest.mark.parametrize("model", [GPT(SMALL), Llama(LlamaConfig(11, 8, 2, 4, 16))])
@pytest.mark.parametrize(
    "settings", [{}, {"temperature": 0}, {"temperature": 2.0, "top_k": 5, "top_p": 0.9}]
)
def test_generation_with_kept_keys_and_values_is_that_without(model, settings):
    order_one(model)
    idx_BT = token_ids(SMALL, B=3, T=2)
    without = generate(
        lambda contexts: model.next_logits(np.stack(contexts)), idx_BT, 20, Sampling(**settings),
        block_size=8, seed=4,
    )
    kept = model.generate(idx_BT, 20, seed=4, **settings)  # past block_size: the window slides
    np.testing.assert_array_equal(kept, without)
    streamed = list(model.stream(idx_BT[0], 20, seed=4, **settings))
    np.testing.assert_array_equal(kept[0, 2:], streamed)


def test_generation_leaves_training_mode_as_it_was():
    model = GPT(replace(SMALL, dropout=0.5))
    first = model.generate(np.array([1]), 5, temperature=0)
    assert model.training and model.dropout_step == 0
    np.testing.assert_array_equal(first, model.generate(np.array([1]), 5, temperature=0))


def test_a_forward_that_nobody_would_call_is_refused():
    with pytest.raises(TypeError, match="Mine.forward.*__call__"):
        type("Mine", (GPT,), {"forward": GPT.__call__})
