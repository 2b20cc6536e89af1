"""GPT: from token ids to the logits of the next token, and the loss if targets are given.

    tokens (B, T) -> embeddings (B, T, C) -> n_layer blocks -> norm -> logits (B, T, V)

Source: Radford et al., Language Models are Unsupervised Multitask Learners (GPT-2), 2019.
"""

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor
from npgpt.config import GPTConfig
from npgpt.generation.cache import KVCache
from npgpt.interop import gpt2
from npgpt.model.block import Block
from npgpt.model.embeddings import Embedding
from npgpt.model.module import LayerNorm, Linear
from npgpt.model.transformer import CausalTransformer


class GPT(CausalTransformer):
    """A decoder-only transformer; what it shares with other models is in `transformer`."""

    Config, layout, decodes = GPTConfig, gpt2, True
    Block, Norm, Positions = Block, LayerNorm, Embedding  # a subclass may have others

    def __init__(self, config: GPTConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V = config.n_embd, config.vocab_size
        self.wte = Embedding(rng, V, C, dtype=dtype)
        self.wpe = self.Positions(rng, config.block_size, C, dtype=dtype)
        self.h = [self.Block(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = self.Norm(C, bias=config.bias, dtype=dtype)
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
        x_BTC = drop(self.wte(idx_BT) + self.wpe(positions_T))
        for block in self.h:
            x_BTC = block(x_BTC, drop, cache)
        return self.ln_f(x_BTC)
