"""GPTs with one part replaced, for the ablations.

The parts of a model are class attributes (`npgpt.gpt.GPT`, `npgpt.gpt.Block`). A subclass replaces
one there, or calls the same parts in a different order. These models are for training only: their
`hidden` takes no cache.
"""

import numpy as np

from autograd import Tensor, relu, rotary_embedding, scaled_dot_product_attention, silu
from npgpt.families.layers import GatedFeedForward, RMSNorm
from npgpt.families.llama import Llama, LlamaConfig
from npgpt.families.neighbours import waves
from npgpt.gpt import GPT, Block, CausalSelfAttention, Module


class Nothing(Module):
    """Instead of a norm: x unchanged."""

    def __init__(self, n_embd, *, bias, dtype):
        pass

    def __call__(self, x_BTC):
        return x_BTC


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


def activated(f):
    """Return a GPT with a different activation."""
    return changed(GPT, Block=changed(Block, f=staticmethod(f)))


def attending(**options):
    """Return a GPT whose attention has these options."""
    def attend(self, q, k, v):
        return scaled_dot_product_attention(q, k, v, **options)

    attention = changed(CausalSelfAttention, attend=attend)
    return changed(GPT, Block=changed(Block, Attention=attention))


VARIANTS = {
    "GPT": GPT,
    "post-norm": changed(GPT, Block=PostNorm, Norm=Nothing),  # the last block ends with a norm
    "no norm": changed(GPT, Block=changed(Block, Norm=Nothing), Norm=Nothing),
    "no residuals": changed(GPT, Block=NoResiduals),
    "ReLU": activated(relu),
    "squared ReLU": activated(lambda x: relu(x) * relu(x)),  # So et al., Primer, 2021
    "SwiGLU": changed(GPT, Block=changed(Block, FeedForward=SwiGLU)),
    "no positions": changed(GPT, Positions=NoPositions),
    "sinusoids": changed(GPT, Positions=Sinusoids),
    "rotary": changed(GPT, Block=changed(Block, Attention=Rotary), Positions=NoPositions),
    "QK-norm": changed(GPT, Block=changed(Block, Attention=NormedQueries)),
    "undivided": attending(causal=True, scale=1.0),  # scores q . k, not divided by sqrt(D)
    "leaking": attending(causal=False),  # every position sees all others, the answer too
    "Llama": llama,
}
