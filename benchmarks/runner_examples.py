"""A training step of the examples that need no engine of ours: whole_gpt, scalar_engine."""

import sys
from pathlib import Path

import numpy as np

from benchmarks import shapes
from npgpt.config import GPTConfig

sys.path.insert(0, str(Path(__file__).parents[1] / "examples"))

import scalar_engine
import whole_gpt


def training_step(batch, config, scalars=False):
    config = GPTConfig(**config)
    weights = whole_gpt.initial_weights(
        np.random.default_rng(0), config.vocab_size, config.block_size, config.n_embd,
        config.n_layer,
    )
    m, v = ([{name: 0 * w for name, w in of.items()} for of in weights] for _ in "mv")
    x_BT, y_BT = shapes.tokens(batch, config)
    function = (scalar_engine if scalars else whole_gpt).loss_and_gradients
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        loss, gradients, *_ = function(weights, x_BT, y_BT, config.n_head)
        whole_gpt.adamw(weights, gradients, m, v, steps, rate=shapes.LR)
        return float(loss)

    return step
