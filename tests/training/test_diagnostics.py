"""A number that is not finite is traced to its op, its layer and its step."""

from itertools import islice

import numpy as np
import pytest

from autograd import OPS
from npgpt import GPT, AdamW, GPTConfig
from npgpt.config import TrainConfig
from npgpt.run.diagnostics import diagnosis, sees_ahead
from npgpt.train import micro_batches, training_steps

CONFIG = GPTConfig(vocab_size=7, block_size=8, n_layer=4, n_head=2, n_embd=8)
TRAINING = TrainConfig(max_iters=9, batch_size=4, warmup_iters=2)
IDS = np.tile(np.arange(7), 40)


@pytest.fixture
def model():
    return GPT(CONFIG, seed=1)


def test_a_nan_planted_in_a_backward_is_found(model, monkeypatch):
    right, calls = OPS["gelu"].vjp, []

    def wrong(dy, saved):
        calls.append(right(dy, saved))
        calls[-1].flat[5] = np.nan if len(calls) == 2 else 0  # from the last layer on
        return calls[-1]

    monkeypatch.setattr(OPS["gelu"], "vjp", wrong)
    said = diagnosis(model, micro_batches(model, IDS, TRAINING, 0))
    assert said.startswith("backward of gelu in h.2.mlp: ") and "1 nan" in said


def test_a_diagnosis_changes_nothing(model):
    optimizer = AdamW(model.parameters())
    list(islice(training_steps(model, optimizer, IDS, TRAINING), 3))
    before = {name: w.data.tobytes() for name, w in model.parameters().items()}
    said = diagnosis(model, micro_batches(model, IDS, TRAINING, 3))
    assert "finite" in said
    assert {name: w.data.tobytes() for name, w in model.parameters().items()} == before
    assert all(w.grad is None for w in model.parameters().values())


@pytest.mark.parametrize("position", [0, 3, 6])
def test_the_first_position_that_sees_ahead_is_named(model, monkeypatch, position):
    hidden = model.hidden

    def leaking(idx_BT, cache=None):
        x_BTC = hidden(idx_BT, cache)
        x_BTC.data[:, position, 0] += 1e-6 * idx_BT[:, -1]
        return x_BTC

    assert sees_ahead(model, IDS, TRAINING) is None
    monkeypatch.setattr(model, "hidden", leaking)
    assert sees_ahead(model, IDS, TRAINING) == position
