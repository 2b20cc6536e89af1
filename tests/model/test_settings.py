"""Every setting of a GPT is tried: sizes, causality, cache and gradients hold whatever it is."""

from dataclasses import MISSING, fields

import numpy as np
import pytest

from autograd import gradcheck
from npgpt import GPT, GPTConfig
from npgpt.families.size import parameters_by_part
from npgpt.generate import KVCache

# For each field of GPTConfig with a default, a value that is another.
OTHERS = {"dropout": 0.3, "bias": False, "tie_weights": False}
IDX_BT = np.array([[1, 6, 0, 2], [3, 3, 1, 0]])


def test_every_setting_has_a_value_to_try():
    optional = {field.name for field in fields(GPTConfig) if field.default is not MISSING}
    missing = optional - OTHERS.keys()
    assert not missing, f"tests/model/test_settings.py: another value in OTHERS for {missing}"


@pytest.fixture(params=OTHERS)
def model(request):
    """A GPT in float64 with weights of order one, one of whose settings is not the default."""
    changed = {request.param: OTHERS[request.param]}
    gpt = GPT(GPTConfig(7, 5, 2, 2, 8, **changed), seed=1, dtype=np.float64)
    rng = np.random.default_rng(0)
    for weight in gpt.parameters().values():
        weight.data[...] = rng.normal(1.0 if weight.ndim == 1 else 0.0, 0.7, weight.shape)
    return gpt


def test_its_parameters_are_counted(model):
    assert sum(parameters_by_part(model.config).values()) == model.num_parameters()


def test_no_position_sees_a_later_one(model):
    other = IDX_BT.copy()
    other[:, -1] = 5
    with model.evaluating():
        logits, changed = model(IDX_BT)[0].data, model(other)[0].data
    np.testing.assert_array_equal(logits[:, :-1], changed[:, :-1])
    assert not np.allclose(logits[:, -1], changed[:, -1])


def test_a_cache_changes_no_logit(model):
    cache = KVCache(IDX_BT.shape[1])
    for t in range(IDX_BT.shape[1]):
        logits_BV = model.next_logits(IDX_BT[:, t : t + 1], cache)
        cache.length = t + 1
        expected_BV = model.next_logits(IDX_BT[:, : t + 1])
        np.testing.assert_allclose(logits_BV, expected_BV, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
def test_its_gradients(model):
    def loss(**_):
        model.dropout_step = 3  # the same masks at every call
        return model(IDX_BT, np.roll(IDX_BT, 1))[1]

    gradcheck(loss, model.parameters())
