"""GPTs with one part replaced, for the ablations.

A seed gives a variant the weights that it gives a GPT, as far as shapes agree and no part before
them is left out. These models are for training only: their `hidden` takes no cache.
"""

from copy import deepcopy

import numpy as np

from autograd import Tensor, relu, rotary_embedding, scaled_dot_product_attention, silu
from npgpt.gpt import GPT, INIT_STD, Block, CausalSelfAttention, branch_std, init_std
from npgpt.models.initial_attention import waves
from npgpt.models.layers import GatedFeedForward, RMSNorm
from npgpt.models.llama import Llama, LlamaConfig


class PostNorm(Block):
    """The first transformer's: it normalises the sum, and so the stream."""

    def __call__(self, x_BTC, drop, cache=None):
        x_BTC = self.ln_1(x_BTC + drop(self.attn(x_BTC, cache)))
        return self.ln_2(x_BTC + drop(self.mlp(x_BTC)))


class NoResiduals(Block):
    """The output of a branch replaces the stream."""

    def __call__(self, x_BTC, drop, cache=None):
        x_BTC = drop(self.attn(self.ln_1(x_BTC), cache))
        return drop(self.mlp(self.ln_2(x_BTC)))


class SwiGLU(Block):
    """Three matrices of 8/3 C channels in the MLP, which are as many weights as two of 4 C."""

    def __init__(self, rng, config, dtype):
        super().__init__(deepcopy(rng), config, dtype)
        C = config.n_embd
        std = init_std(config, C), branch_std(config, 4 * C)
        self.attn = CausalSelfAttention(rng, config, dtype)
        self.mlp = GatedFeedForward(rng, C, round(8 * C / 3), silu, dtype=dtype, std=std)


class Attention(CausalSelfAttention):
    """Attention with the weights of a GPT's, and other settings."""

    def __init__(self, attn, **settings):
        vars(self).update(vars(attn))
        self.settings = settings

    def __call__(self, x_BTC, cache=None):
        y_BHTD = scaled_dot_product_attention(*self.heads(x_BTC), **self.settings)
        return self.c_proj(y_BHTD.swapaxes(1, 2).reshape(x_BTC.shape))


class Rotary(Attention):
    """Queries and keys are rotated by their positions."""

    def heads(self, x_BTC):
        q, k, v = super().heads(x_BTC)
        positions_T = np.arange(x_BTC.shape[1])
        return rotary_embedding(q, positions_T), rotary_embedding(k, positions_T), v


class NormedQueries(Attention):
    """Queries and keys are normalised over their D channels.

    Source: Dehghani et al., Scaling Vision Transformers to 22 Billion Parameters, 2023.
    """

    def __init__(self, attn):
        super().__init__(attn)
        weight = attn.c_proj.weight
        self.ln_q, self.ln_k = (
            RMSNorm(len(weight.data) // attn.n_head, dtype=weight.dtype) for _ in range(2))

    def heads(self, x_BTC):
        q, k, v = super().heads(x_BTC)
        return self.ln_q(q), self.ln_k(k), v


class Sinusoids:
    """Sines and cosines of the positions, as large as the learned ones begin."""

    def __init__(self, table_TC):
        self.waves_TC = (INIT_STD * waves(*table_TC.shape)).astype(table_TC.dtype)

    def __call__(self, positions_T):
        return Tensor(self.waves_TC[positions_T])


def no_positions(table_TC):
    return lambda positions_T: Tensor(table_TC.dtype.type(0))


def unchanged(x_BTC):
    return x_BTC


def variant(Block=Block, positions=None, normed=True, **parts):
    """Return a function that makes a GPT with other blocks, positions or no last norm.

    parts   of a block, by name: what to make of it
    """
    def made(config, seed=0, dtype=np.float32):
        model, rng = GPT(config, seed, dtype), np.random.default_rng(seed)
        for table in (model.wte, model.wpe)[: 1 if positions else 2]:
            rng.standard_normal(table.weight.shape)  # which are drawn before the blocks
        model.h = [Block(rng, config, dtype) for _ in model.h]
        for block in model.h:
            for name, change in parts.items():
                setattr(block, name, change(getattr(block, name)))
        if positions:
            model.wpe = positions(model.wpe.weight)
        model.ln_f = model.ln_f if normed else unchanged
        return model

    return made


def llama(config, seed=0, dtype=np.float32):
    """Return npgpt's Llama with GPT's settings, and as many weights in its MLP."""
    c, inner = config, round(8 * config.n_embd / 3)
    return Llama(LlamaConfig(c.vocab_size, c.block_size, c.n_layer, c.n_head, c.n_embd,
                             n_inner=inner, tie_weights=c.tie_weights), seed, dtype)


def activated(f):
    def change(mlp):
        mlp.f = f
        return mlp

    return variant(mlp=change)


VARIANTS = {
    "GPT": GPT,
    "post-norm": variant(PostNorm, normed=False),  # the last block ends with a norm
    "no norm": variant(normed=False, ln_1=lambda _: unchanged, ln_2=lambda _: unchanged),
    "no residuals": variant(NoResiduals),
    "ReLU": activated(relu),
    "squared ReLU": activated(lambda x: relu(x) * relu(x)),  # So et al., Primer, 2021
    "SwiGLU": variant(SwiGLU),
    "no positions": variant(positions=no_positions),
    "sinusoids": variant(positions=Sinusoids),
    "rotary": variant(positions=no_positions, attn=Rotary),
    "QK-norm": variant(attn=NormedQueries),
    # scores q . k, not divided by sqrt(D)
    "undivided": variant(attn=lambda attn: Attention(attn, scale=1.0)),
    # every position sees all others, the answer too
    "leaking": variant(attn=lambda attn: Attention(attn, causal=False)),
    "Llama": llama,
}
