"""The feed-forward network of a block: each position on its own, four times wider in between."""

from autograd import gelu
from npgpt.model.module import Linear, Module, branch_std


class MLP(Module):
    """y = gelu(x W + b) W' + b'.    (B, T, C) -> (B, T, 4C) -> (B, T, C)"""

    def __init__(self, rng, config, dtype):
        C = config.n_embd
        self.c_fc = Linear(rng, C, 4 * C, bias=config.bias, dtype=dtype)
        self.c_proj = Linear(rng, 4 * C, C, bias=config.bias, dtype=dtype, std=branch_std(config))

    def __call__(self, x_BTC):
        return self.c_proj(gelu(self.c_fc(x_BTC)))
