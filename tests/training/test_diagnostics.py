"""A number that is not finite is traced to its op, its layer and its step."""

import numpy as np
import pytest

from autograd import OPS
from npgpt import GPT, GPTConfig
from npgpt.batches import NEXT_TOKEN
from npgpt.config import TrainConfig
from npgpt.run.diagnostics import diagnosis, sees_ahead
from npgpt.train import micro_batches

CONFIG = GPTConfig(vocab_size=7, block_size=8, n_layer=4, n_head=2, n_embd=8)
TRAINING = TrainConfig(batch_size=4)
IDS = np.tile(np.arange(7), 40)


def test_a_nan_planted_in_a_backward_is_found_and_nothing_is_changed(monkeypatch):
    right, calls = OPS["gelu"].vjp, []

    def wrong(dy, saved):
        calls.append(right(dy, saved))
        calls[-1].flat[5] = np.nan if len(calls) == 2 else 0  # from the last layer on
        return calls[-1]

    model = GPT(CONFIG, seed=1)
    assert "finite" in diagnosis(model, micro_batches(model, IDS, TRAINING, 3))
    monkeypatch.setattr(OPS["gelu"], "vjp", wrong)
    said = diagnosis(model, micro_batches(model, IDS, TRAINING, 0))
    assert said.startswith("backward of gelu in h.2.mlp: ") and "1 nan" in said
    for name, weight in model.parameters().items():
        assert (weight.data == GPT(CONFIG, seed=1).parameters()[name].data).all()
        assert weight.grad is None


@pytest.mark.parametrize("position", [0, 6])
def test_the_first_position_that_sees_ahead_is_named(monkeypatch, position):
    model = GPT(CONFIG, seed=1)
    hidden = model.hidden
    batch = NEXT_TOKEN.sample(IDS, 8, 4, seed=1, step=0)

    def leaking(idx_BT, cache=None):
        x_BTC = hidden(idx_BT, cache)
        x_BTC.data[:, position, 0] += 1e-6 * idx_BT[:, -1]
        return x_BTC

    assert sees_ahead(model, batch) is None
    monkeypatch.setattr(model, "hidden", leaking)
    assert sees_ahead(model, batch) == position
