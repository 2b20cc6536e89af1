"""Llama: a decoder-only transformer with today's parts.

    tokens (B, T) -> embeddings (B, T, C) -> n_layer blocks -> norm -> logits (B, T, V)

What is another than in a GPT: positions are turns of queries and keys (`rotary_embedding`), not
vectors that are added; norms only scale; the MLP is gated by a SiLU; several heads of queries may
share one of keys and values, which makes the cache of generation smaller; nothing has a bias.
Source: Touvron et al., LLaMA, 2023, section 2.2; Llama 2, 2023, for the shared heads.
"""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor, rotary_embedding, silu
from npgpt.config import LlamaConfig
from npgpt.generation.cache import KVCache
from npgpt.interop import llama
from npgpt.model.attention import Attention
from npgpt.model.embeddings import Embedding
from npgpt.model.mlp import GatedFeedForward
from npgpt.model.module import INIT_STD, Linear, Module, RMSNorm, branch_std
from npgpt.model.transformer import CausalTransformer


class Llama(CausalTransformer):
    """A decoder-only transformer; what it shares with other models is in `transformer`."""

    Config, layout = LlamaConfig, llama

    def __init__(self, config: LlamaConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V = config.n_embd, config.vocab_size
        self.wte = Embedding(rng, V, C, dtype=dtype)
        self.h = [LlamaBlock(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype)

    def hidden(self, idx_BT: ArrayLike, cache: KVCache | None = None) -> Tensor:
        """What the last norm gives for each position, (B, T, C).

        cache   a `npgpt.generation.cache.KVCache` of the tokens before these; without gradients
        """
        before = cache.length if cache else 0
        idx_BT = self._checked(idx_BT, self.config.block_size - before)
        drop = self._dropout()
        positions_T = np.arange(before, before + idx_BT.shape[1])
        x_BTC = drop(self.wte(idx_BT))
        for block in self.h:
            x_BTC = block(x_BTC, positions_T, drop, cache)
        return self.ln_f(x_BTC)


class LlamaBlock(Module):
    """(B, T, C) -> (B, T, C), pre-norm as `npgpt.model.block.Block`."""

    def __init__(self, rng, config, dtype):
        C, H, std = config.n_embd, config.n_head, branch_std(config)
        self.rope_base = config.rope_base
        self.ln_1 = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        self.attn = Attention(rng, C, H, C // H, config.kv_heads, bias=False, dtype=dtype,
                              std=(INIT_STD,) * 3 + (std,))  # fmt: skip
        self.ln_2 = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        self.mlp = GatedFeedForward(rng, C, config.inner, silu, dtype=dtype, std=(INIT_STD, std))

    def __call__(self, x_BTC, positions_T, drop, cache=None):
        def turn(x_BHTD):
            return rotary_embedding(x_BHTD, positions_T, self.rope_base)

        x_BTC = x_BTC + drop(self.attn(self.ln_1(x_BTC), turn=turn, cache=cache, causal=True))
        return x_BTC + drop(self.mlp(self.ln_2(x_BTC)))
