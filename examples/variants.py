"""GPTs with one part replaced, for `08_ablations.py`: each is a subclass of a few lines.

The parts of a model are class attributes (`npgpt.gpt.GPT`, `npgpt.gpt.Block`). A subclass replaces
one there, or calls the same parts in a different order. These models are for training only: their
`hidden` takes no cache.
"""

import math

import numpy as np

from autograd import Tensor, relu, rotary_embedding, scaled_dot_product_attention, silu
from npgpt.families.llama import Llama, LlamaConfig
from npgpt.families.neighbours import waves
from npgpt.families.parts import GatedFeedForward, RMSNorm
from npgpt.gpt import GPT, INIT_STD, MLP, Block, CausalSelfAttention, Module, branch_std


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


class Scale(RMSNorm):
    """RMSNorm, made as a LayerNorm is."""

    def __init__(self, n_embd, *, bias, dtype):
        super().__init__(n_embd, dtype=dtype)


class ReluMLP(MLP):
    def __init__(self, rng, config, dtype):
        super().__init__(rng, config, dtype)
        self.f = relu


class SquaredReluMLP(MLP):
    """Source: So et al., Primer: Searching for Efficient Transformers, 2021."""

    def __init__(self, rng, config, dtype):
        super().__init__(rng, config, dtype)
        self.f = lambda x: relu(x) * relu(x)


class SiluMLP(MLP):
    def __init__(self, rng, config, dtype):
        super().__init__(rng, config, dtype)
        self.f = silu


class SwiGLU(GatedFeedForward):
    """Three matrices of 8/3 C channels, which are as many weights as two of 4 C."""

    def __init__(self, rng, config, dtype):
        C, std = config.n_embd, (INIT_STD, branch_std(config))
        super().__init__(rng, C, round(8 * C / 3), silu, dtype=dtype, std=std)


class NoPositions(Module):
    """Instead of position embeddings: nothing is added."""

    def __init__(self, rng, n_rows, n_embd, *, dtype):
        self.dtype = dtype

    def __call__(self, positions_T):
        return Tensor(self.dtype(0))


class Sinusoids(NoPositions):
    """Sines and cosines of the positions, as large as the learned ones begin."""

    def __init__(self, rng, n_rows, n_embd, *, dtype):
        self.waves_TC = (INIT_STD * waves(n_rows, n_embd)).astype(dtype)

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


class Undivided(CausalSelfAttention):
    """Scores q . k, not divided by sqrt(D)."""

    def attend(self, q, k, v):
        return scaled_dot_product_attention(q, k, v, causal=True, scale=1.0)


class Leaking(CausalSelfAttention):
    """Every position sees all others, the answer too."""

    def attend(self, q, k, v):
        return scaled_dot_product_attention(q, k, v, causal=False)


class OtherSize(GPT):
    """Initial matrices are multiplied by `factor(name)`."""

    def __init__(self, config, seed=0, dtype=np.float32):
        super().__init__(config, seed, dtype)
        for name, weight in self.parameters().items():
            if weight.ndim == 2:
                weight.data *= self.factor(name)


class TenTimes(OtherSize):
    """A deviation of 0.2."""

    def factor(self, name):
        return 10


class ByWidth(OtherSize):
    """A deviation of 1/sqrt(C)."""

    def factor(self, name):
        return 1 / (INIT_STD * math.sqrt(self.config.n_embd))


class LargeBranches(OtherSize):
    """The last matrix of a branch begins as large as the others: not 1/sqrt(2 n_layer) of it."""

    def factor(self, name):
        return math.sqrt(2 * self.config.n_layer) if "c_proj" in name else 1


class LlamaOfEqualSize(Llama):
    """npgpt's Llama with GPT's settings, and as many weights in its MLP."""

    def __init__(self, config, seed=0, dtype=np.float32):
        sizes = {
            name: getattr(config, name)
            for name in ("vocab_size", "block_size", "n_layer", "n_head", "n_embd", "tie_weights")
        }
        inner = round(8 * config.n_embd / 3)
        super().__init__(LlamaConfig(**sizes, n_inner=inner), seed, dtype)


def gpt(block=Block, **parts):
    """Return a kind of GPT with other blocks, and other parts beside them."""
    return type("Variant", (GPT,), {"Block": block, **parts})


def block(**parts):
    return type("Variant", (Block,), parts)


VARIANTS = {
    "GPT": GPT,
    "post-norm": gpt(PostNorm, Norm=Nothing),  # the last block ends with a norm
    "no norm": gpt(block(Norm=Nothing), Norm=Nothing),
    "no residuals": gpt(NoResiduals),
    "RMSNorm": gpt(block(Norm=Scale), Norm=Scale),
    "ReLU": gpt(block(FeedForward=ReluMLP)),
    "squared ReLU": gpt(block(FeedForward=SquaredReluMLP)),
    "SiLU": gpt(block(FeedForward=SiluMLP)),
    "SwiGLU": gpt(block(FeedForward=SwiGLU)),
    "no positions": gpt(Positions=NoPositions),
    "sinusoids": gpt(Positions=Sinusoids),
    "rotary": gpt(block(Attention=Rotary), Positions=NoPositions),
    "QK-norm": gpt(block(Attention=NormedQueries)),
    "undivided": gpt(block(Attention=Undivided)),
    "leaking": gpt(block(Attention=Leaking)),
    "weights of 0.2": TenTimes,
    "weights of 1/sqrt(C)": ByWidth,
    "large branches": LargeBranches,
    "Llama": LlamaOfEqualSize,
}
