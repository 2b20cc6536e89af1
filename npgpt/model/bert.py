"""BERT: an encoder, in which every position sees all others, that predicts tokens it cannot see.

    tokens (B, T) -> embeddings (B, T, C) -> norm -> n_layer blocks -> hidden states (B, T, C)
    hidden states -> the head's transform -> logits (B, T, V)

Source: Devlin et al., BERT, 2018. Blocks are post-norm, as published: x = norm(x + branch(x)).
"""

from functools import partial

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor, concat, gelu, linear, linear_cross_entropy, transpose
from npgpt.config import BertConfig
from npgpt.interop import bert
from npgpt.model.attention import Attention
from npgpt.model.embeddings import Embedding
from npgpt.model.mlp import FeedForward
from npgpt.model.module import INIT_STD, LayerNorm, Linear, Module
from npgpt.model.neighbours import WAVES, look_at_neighbours, waves
from npgpt.model.transformer import LogitsAndLoss, MaybeIds, Transformer, with_loss

exact_gelu = partial(gelu, approximate="none")
norm = partial(LayerNorm, bias=True, eps=1e-12)
# A step of AdamW, about the rate whatever a weight's size, is a small share of large embeddings.
# The head's norm scales down by as much, so that a model begins near a uniform guess.
EMBEDDING_STD = 0.35


class Bert(Transformer):
    """An encoder; what it shares with other models is in `transformer`.

    Arguments of its methods:

    idx_BT        token ids, T at most block_size
    targets_BT    what stands at each position; -1 for one that does not count
    segments_BT   which text of two each token is of, from 0 on; all 0 if left out
    mask_BT       1 for a token, 0 for padding, which no position sees; all 1 if left out. If a row
                  is all padding, its positions see nothing, and attention adds 0 to them.

    Raises ValueError for a wrong rank or a text longer than block_size, IndexError for ids outside
    the vocabulary or of no segment.
    """

    Config, layout = BertConfig, bert

    def __init__(self, config: BertConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C = config.n_embd
        self.wte = Embedding(rng, config.vocab_size, C, dtype=dtype, std=EMBEDDING_STD)
        self.wpe = Embedding(rng, config.block_size, C, dtype=dtype)
        self.wpe.weight.data[...] = WAVES * EMBEDDING_STD * waves(config.block_size, C)
        self.wse = Embedding(rng, config.n_segment, C, dtype=dtype, std=EMBEDDING_STD)
        self.ln_e = norm(C, dtype=dtype)
        self.h = [BertBlock(rng, config, dtype) for _ in range(config.n_layer)]
        if config.mlm_head:
            self.mlm = MaskedTokenHead(rng, config, dtype)

    def __call__(
        self, idx_BT: ArrayLike, targets_BT: MaybeIds = None, *, segments_BT: MaybeIds = None,
        mask_BT: MaybeIds = None,
    ) -> LogitsAndLoss:  # fmt: skip
        """(logits (B, T, V), loss): the mean cross-entropy in nats per target, None without."""
        x_BTC = self._head()(self.hidden(idx_BT, segments_BT, mask_BT))
        logits_BTV = linear(x_BTC, transpose(self.wte.weight), self.mlm.bias)
        return with_loss(logits_BTV, targets_BT)

    def loss(self, idx_BT: ArrayLike, targets_BT: ArrayLike, *,
             segments_BT: MaybeIds = None, mask_BT: MaybeIds = None) -> Tensor:  # fmt: skip
        """The loss alone: the head computes positions with a target only, and no whole logits."""
        x_BTC, targets_BT = self.hidden(idx_BT, segments_BT, mask_BT), np.asarray(targets_BT)
        if targets_BT.shape == x_BTC.shape[:2] and (targets_BT != -1).any():
            kept = np.nonzero(targets_BT != -1)
            x_BTC, targets_BT = x_BTC[kept], targets_BT[kept]
        x = self._head()(x_BTC)
        ones = np.ones((*x.shape[:-1], 1), x.dtype)  # the bias is one more channel of the table
        table = concat([self.wte.weight, self.mlm.bias.reshape(-1, 1)], axis=1)
        return linear_cross_entropy(concat([x, ones], axis=-1), table, targets_BT)

    def hidden(self, idx_BT: ArrayLike, segments_BT: MaybeIds = None,
               mask_BT: MaybeIds = None) -> Tensor:  # fmt: skip
        """What the last block gives for each position, (B, T, C)."""
        idx_BT = self._checked(idx_BT, self.config.block_size)
        segments_BT = np.zeros_like(idx_BT) if segments_BT is None else np.asarray(segments_BT)
        if segments_BT.shape != idx_BT.shape:
            raise ValueError(
                f"Bert: segments of shape {segments_BT.shape} for token ids {idx_BT.shape}; give "
                "one for each token, or leave them out"
            )
        drop = self._dropout()
        positions_T = np.arange(idx_BT.shape[1])
        x_BTC = self.wte(idx_BT) + self.wpe(positions_T) + self.wse(segments_BT)
        x_BTC = drop(self.ln_e(x_BTC))
        for block in self.h:
            x_BTC = block(x_BTC, drop, mask_BT)
        return x_BTC

    def _head(self):
        if not self.config.mlm_head:
            raise ValueError(
                "Bert: this model has no head for hidden tokens; use hidden(idx), or one of a "
                "folder with the weights cls.predictions"
            )
        return self.mlm


class BertBlock(Module):
    """(B, T, C) -> (B, T, C), post-norm.    mask_BT   1 for a token, 0 for padding"""

    def __init__(self, rng, config, dtype):
        C, H = config.n_embd, config.n_head
        std = (INIT_STD, INIT_STD, C**-0.5, INIT_STD)
        self.attn = Attention(rng, C, H, C // H, H, bias=True, dtype=dtype, std=std)
        look_at_neighbours(rng, self.attn, C // H)
        self.ln_1 = norm(C, dtype=dtype)
        self.mlp = FeedForward(rng, C, config.inner, exact_gelu, bias=True, dtype=dtype)
        self.ln_2 = norm(C, dtype=dtype)

    def __call__(self, x_BTC, drop, mask_BT=None):
        x_BTC = self.ln_1(x_BTC + drop(self.attn(x_BTC, causal=False, mask=mask_BT)))
        return self.ln_2(x_BTC + drop(self.mlp(x_BTC)))


class MaskedTokenHead(Module):
    """(..., C) -> (..., C): what token embeddings are compared with; and a bias for each token."""

    def __init__(self, rng, config, dtype):
        C = config.n_embd
        self.dense = Linear(rng, C, C, bias=True, dtype=dtype)
        self.ln = norm(C, dtype=dtype)
        self.ln.weight.data *= INIT_STD / EMBEDDING_STD
        self.bias = Tensor(np.zeros(config.vocab_size, dtype), requires_grad=True)

    def __call__(self, x):
        return self.ln(exact_gelu(self.dense(x)))
