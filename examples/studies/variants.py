"""GPTs with one part replaced, for the ablations.

`Parts` and `PartsBlock` are GPT and its block, with their parts as class attributes: with those of
GPT a seed gives the same weights. A subclass replaces one of them, or calls the same parts in a
different order. These models are for training only: their `hidden` takes no cache.
"""

import numpy as np

from autograd import Tensor, gelu, relu, rotary_embedding, scaled_dot_product_attention, silu
from npgpt.families.layers import GatedFeedForward, RMSNorm
from npgpt.families.llama import Llama, LlamaConfig
from npgpt.families.neighbours import waves
from npgpt.gpt import (
    GPT,
    MLP,
    Block,
    CausalLM,
    CausalSelfAttention,
    Embedding,
    LayerNorm,
    Module,
    branch_std,
    init_std,
)


class PartsBlock(Block):
    Norm, Attention, FeedForward, f = LayerNorm, CausalSelfAttention, MLP, staticmethod(gelu)

    def __init__(self, rng, config, dtype):
        C, bias = config.n_embd, config.bias
        self.ln_1 = self.Norm(C, bias=bias, dtype=dtype)
        self.attn = self.Attention(rng, config, dtype)
        self.ln_2 = self.Norm(C, bias=bias, dtype=dtype)
        std = (init_std(config, C), branch_std(config, 4 * C))
        self.mlp = self.FeedForward(rng, C, 4 * C, self.f, bias=bias, dtype=dtype, std=std)


class Parts(GPT):
    Block, Norm, Positions = PartsBlock, LayerNorm, Embedding

    def __init__(self, config, seed=0, dtype=np.float32):
        CausalLM.__init__(self, config, seed)
        rng, C, std = np.random.default_rng(seed), config.n_embd, init_std(config, config.n_embd)
        self.wte = Embedding(rng, config.vocab_size, C, dtype=dtype, std=std)
        self.wpe = self.Positions(rng, config.block_size, C, dtype=dtype, std=std)
        self.h = [self.Block(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = self.Norm(C, bias=config.bias, dtype=dtype)


class Nothing(Module):
    """Instead of a norm: x unchanged."""

    def __init__(self, n_embd, *, bias, dtype):
        pass

    def __call__(self, x_BTC):
        return x_BTC


class PostNorm(PartsBlock):
    """The first transformer's: it normalises the sum, and so the stream."""

    def __call__(self, x_BTC, drop, cache=None):
        x_BTC = self.ln_1(x_BTC + drop(self.attn(x_BTC, cache)))
        return self.ln_2(x_BTC + drop(self.mlp(x_BTC)))


class NoResiduals(PartsBlock):
    """The output of a branch replaces the stream."""

    def __call__(self, x_BTC, drop, cache=None):
        x_BTC = drop(self.attn(self.ln_1(x_BTC), cache))
        return drop(self.mlp(self.ln_2(x_BTC)))


class SwiGLU(GatedFeedForward):
    """Three matrices of 8/3 C channels, which are as many weights as two of 4 C."""

    def __init__(self, rng, n_embd, n_inner, f, *, bias, dtype, std):
        super().__init__(rng, n_embd, round(2 * n_inner / 3), silu, dtype=dtype, std=std)


class NoPositions(Module):
    """Instead of position embeddings: nothing is added."""

    def __init__(self, rng, n_rows, n_embd, *, dtype, std):
        self.dtype = dtype

    def __call__(self, positions_T):
        return Tensor(self.dtype(0))


class Sinusoids(NoPositions):
    """Sines and cosines of the positions, as large as the learned ones begin."""

    def __init__(self, rng, n_rows, n_embd, *, dtype, std):
        self.waves_TC = (std * waves(n_rows, n_embd)).astype(dtype)

    def __call__(self, positions_T):
        return Tensor(self.waves_TC[positions_T])


class Rotary(CausalSelfAttention):
    """Queries and keys are rotated by their positions."""

    def heads(self, x_BTC):
        q, k, v = super().heads(x_BTC)
        positions_T = np.arange(x_BTC.shape[1])
        return rotary_embedding(q, positions_T), rotary_embedding(k, positions_T), v


class NormedQueries(CausalSelfAttention):
    """Queries and keys are normalised over their D channels.

    Source: Dehghani et al., Scaling Vision Transformers to 22 Billion Parameters, 2023.
    """

    def __init__(self, rng, config, dtype):
        super().__init__(rng, config, dtype)
        D = config.n_embd // config.n_head
        self.ln_q, self.ln_k = RMSNorm(D, dtype=dtype), RMSNorm(D, dtype=dtype)

    def heads(self, x_BTC):
        q, k, v = super().heads(x_BTC)
        return self.ln_q(q), self.ln_k(k), v


def llama(config, seed=0, dtype=np.float32):
    """Return npgpt's Llama with GPT's settings, and as many weights in its MLP."""
    c, inner = config, round(8 * config.n_embd / 3)
    return Llama(LlamaConfig(c.vocab_size, c.block_size, c.n_layer, c.n_head, c.n_embd,
                             n_inner=inner, tie_weights=c.tie_weights), seed, dtype)


def changed(part, **attributes):
    """Return a subclass of a model or of a part of one, with these attributes."""
    return type(part.__name__, (part,), attributes)


def with_block(**parts):
    """Return a GPT whose block has these parts."""
    return changed(Parts, Block=changed(PartsBlock, **parts))


class Attention(CausalSelfAttention):
    """Attention with `options`."""

    def __call__(self, x_BTC, cache=None):
        y_BHTD = scaled_dot_product_attention(*self.heads(x_BTC), **self.options)
        return self.c_proj(y_BHTD.swapaxes(1, 2).reshape(x_BTC.shape))


def attending(**options):
    return with_block(Attention=changed(Attention, options=options))


VARIANTS = {
    "GPT": GPT,
    # the last block ends with a norm
    "post-norm": changed(Parts, Block=PostNorm, Norm=Nothing),
    "no norm": changed(Parts, Block=changed(PartsBlock, Norm=Nothing), Norm=Nothing),
    "no residuals": changed(Parts, Block=NoResiduals),
    "ReLU": with_block(f=staticmethod(relu)),
    # So et al., Primer, 2021
    "squared ReLU": with_block(f=staticmethod(lambda x: relu(x) * relu(x))),
    "SwiGLU": with_block(FeedForward=SwiGLU),
    "no positions": changed(Parts, Positions=NoPositions),
    "sinusoids": changed(Parts, Positions=Sinusoids),
    "rotary": changed(Parts, Block=changed(PartsBlock, Attention=Rotary), Positions=NoPositions),
    "QK-norm": with_block(Attention=NormedQueries),
    "undivided": attending(causal=True, scale=1.0),  # scores q . k, not divided by sqrt(D)
    "leaking": attending(causal=False),  # every position sees all others, the answer too
    "Llama": llama,
}
