"""A transformer block: attention, then the MLP, each added to the stream it read from.

Pre-norm: each branch normalises its own input, and the sum x + branch(x) is left alone, so that
a gradient reaches every block through additions only.
"""

from npgpt.model.attention import CausalSelfAttention
from npgpt.model.mlp import MLP
from npgpt.model.module import LayerNorm, Module


class Block(Module):
    """(B, T, C) -> (B, T, C)

    drop   what is done to each branch before it is added: dropout, or nothing
    """

    Norm, Attention, FeedForward = LayerNorm, CausalSelfAttention, MLP  # a subclass may have others

    def __init__(self, rng, config, dtype):
        self.ln_1 = self.Norm(config.n_embd, bias=config.bias, dtype=dtype)
        self.attn = self.Attention(rng, config, dtype)
        self.ln_2 = self.Norm(config.n_embd, bias=config.bias, dtype=dtype)
        self.mlp = self.FeedForward(rng, config, dtype)

    def __call__(self, x_BTC, drop, cache=None):
        x_BTC = x_BTC + drop(self.attn(self.ln_1(x_BTC), cache))
        return x_BTC + drop(self.mlp(self.ln_2(x_BTC)))
