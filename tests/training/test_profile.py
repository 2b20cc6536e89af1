"""The profile of training steps: what it counts."""

import numpy as np
import pytest

import autograd
from autograd import Tensor, observing
from npgpt import GPT, GPTConfig
from npgpt.config import TrainConfig
from npgpt.metrics import measured
from npgpt.run.profile import SKIPPED, OpCosts, Profile, TimedAdamW
from npgpt.train import training_steps

CONFIG = GPTConfig(vocab_size=9, block_size=8, n_layer=2, n_head=2, n_embd=8)
IDS = np.random.default_rng(0).integers(0, 9, 200)


def profiled(count, of):
    """Return the lines of the report of `of` steps, of which `count` are profiled."""
    model, reports = GPT(CONFIG), []
    optimizer = TimedAdamW(model.parameters())
    training = TrainConfig(batch_size=3, max_iters=of)
    with Profile(count, optimizer, reports.append) as profile:
        steps = training_steps(model, optimizer, IDS, training)
        for _, seconds, _ in measured(steps, optimizer):
            profile.update(seconds)
            model.next_logits(IDS[None, :8])  # as an evaluation: not counted
    [report] = reports
    return report.splitlines()[2:]


def test_only_what_is_recorded_in_the_profiled_steps_is_counted():
    calls = {tuple(line.split()[:2]): line.split()[2] for line in profiled(2, 9)}
    layers = CONFIG.n_layer
    assert calls["gelu", "forward"] == calls["gelu", "backward"] == str(layers)
    assert calls["linear", "forward"] == str(4 * layers)


def test_the_shares_of_a_step_add_up_to_all_of_it():
    lines = profiled(3, SKIPPED + 3)
    assert sum(float(line.split()[-1].rstrip("%")) for line in lines) == pytest.approx(100, abs=1.5)
    assert {line.split()[0] for line in lines} >= {"linear", "AdamW", "the"}


def test_costs_of_single_ops():
    shapes = (5, 1, 2, 3), (7, 3, 4)
    a, b = (Tensor(np.ones(shape, np.float32), requires_grad=True) for shape in shapes)
    with observing(OpCosts()) as observer:
        autograd.matmul(a, b).sum().backward()
        a.reshape(30)
        autograd.embedding(b.reshape(21, 4), np.array([1, 1, 2]))
    costs = observer.costs
    cost = costs["matmul", "forward"]
    assert (cost["calls"], cost["moved"]) == (1, 4 * (5 * 2 * 3 + 7 * 3 * 4 + 35 * 2 * 4))
    assert 2 * cost["flops"] == costs["matmul", "backward"]["flops"]
    assert costs["reshape", "forward"]["moved"] == 0
    assert costs["embedding", "forward"]["moved"] == 2 * 4 * 3 * 4
