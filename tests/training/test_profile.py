"""The profile of training steps: what it counts."""

import numpy as np
import pytest

import autograd
from autograd import Tensor
from npgpt import GPT, GPTConfig
from npgpt.config import TrainConfig
from npgpt.optim import AdamW
from npgpt.run.profile import SKIPPED, Profile
from npgpt.support.metrics import StepTimer
from npgpt.train import training_steps

CONFIG = GPTConfig(vocab_size=9, block_size=8, n_layer=2, n_head=2, n_embd=8)
IDS = np.arange(200) % 9


@pytest.mark.parametrize(("count", "of"), [(2, 9), (9, SKIPPED + 3)])
def test_what_is_recorded_in_the_profiled_steps_is_counted_and_adds_up_to_a_step(count, of):
    model, reports = GPT(CONFIG), []
    optimizer = AdamW(model.parameters())
    with Profile(count, optimizer, reports.append) as profile:
        timer = StepTimer(optimizer)
        for _ in training_steps(model, optimizer, IDS, TrainConfig(max_iters=of)):
            profile.update(timer.stop()[0])
            model.next_logits(IDS[None, :8])  # as an evaluation: not counted
            timer.start()
    [report] = reports
    rows = [line.split() for line in report.splitlines()[2:]]
    counted = [" ".join(row[:3]) for row in rows]
    assert {"gelu forward 2", "gelu backward 2", "linear forward 8"} <= {*counted}
    assert [row[1] for row in rows if row[0] == "AdamW"] == ["1"]
    assert profile.costs["AdamW", ""]["seconds"] > 0
    assert sum(float(row[-1].rstrip("%")) for row in rows) == pytest.approx(100, abs=1.5)


def test_costs_of_single_ops():
    a, b = (Tensor(np.ones(shape, np.float32), requires_grad=True)
            for shape in ((5, 1, 2, 3), (7, 3, 4)))
    with Profile(1, AdamW({})) as profile:
        autograd.matmul(a, b).sum().backward()
    forward, backward = (profile.costs["matmul", way]["flops"] for way in ("forward", "backward"))
    assert forward == 2 * 35 * 2 * 3 * 4 and backward == 2 * forward
