"""The feed-forward network of a block: each position on its own, four times wider in between."""

import math

from autograd import gelu
from npgpt.model.module import INIT_STD, Linear, Module


class MLP(Module):
    """y = gelu(x W + b) W' + b'.    (B, T, C) -> (B, T, 4C) -> (B, T, C)"""

    def __init__(self, rng, config, dtype):
        C = config.n_embd
        self.c_fc = Linear(rng, C, 4 * C, bias=config.bias, dtype=dtype)
        std = INIT_STD / math.sqrt(2 * config.n_layer)
        self.c_proj = Linear(rng, 4 * C, C, bias=config.bias, dtype=dtype, std=std)

    def __call__(self, x_BTC):
        return self.c_proj(gelu(self.c_fc(x_BTC)))
