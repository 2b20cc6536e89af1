"""The feed-forward network of a block: each position on its own, wider in between."""

from autograd import gelu
from npgpt.model.module import INIT_STD, Linear, Module, branch_std


class FeedForward(Module):
    """y = f(x W + b) W' + b', f an activation.    (B, T, C) -> (B, T, F) -> (B, T, C)

    std   of the initial W and W'
    """

    def __init__(self, rng, n_embd, n_inner, f, *, bias, dtype, std=(INIT_STD, INIT_STD)):
        self.f = f
        self.c_fc = Linear(rng, n_embd, n_inner, bias=bias, dtype=dtype, std=std[0])
        self.c_proj = Linear(rng, n_inner, n_embd, bias=bias, dtype=dtype, std=std[1])

    def __call__(self, x_BTC):
        return self.c_proj(self.f(self.c_fc(x_BTC)))


class MLP(FeedForward):
    """GPT's: four times wider in between, by GELU."""

    def __init__(self, rng, config, dtype):
        C, std = config.n_embd, (INIT_STD, branch_std(config))
        super().__init__(rng, C, 4 * C, gelu, bias=config.bias, dtype=dtype, std=std)


class GatedFeedForward(Module):
    """y = (f(x W) * x U) W': the activation f decides how much of x U goes on.

    Source: Shazeer, GLU Variants Improve Transformer, 2020.
    """

    def __init__(self, rng, n_embd, n_inner, f, *, dtype, std=(INIT_STD, INIT_STD)):
        self.f = f
        self.gate = Linear(rng, n_embd, n_inner, bias=False, dtype=dtype, std=std[0])
        self.up = Linear(rng, n_embd, n_inner, bias=False, dtype=dtype, std=std[0])
        self.c_proj = Linear(rng, n_inner, n_embd, bias=False, dtype=dtype, std=std[1])

    def __call__(self, x_BTC):
        return self.c_proj(self.f(self.gate(x_BTC)) * self.up(x_BTC))
