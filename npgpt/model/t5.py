"""T5: an encoder reads one text, a decoder writes another and reads from what the encoder made.

    source (B, S) -> embeddings -> encoder blocks -> norm -> encoded (B, S, C)
    inputs (B, T) -> embeddings -> decoder blocks, which see encoded -> norm -> logits (B, T, V)

Positions are known by a bias of the scores, one number for each head and bucket of distances,
that all blocks of a stack share. Scores are not divided by sqrt(D): initial queries and keys are
smaller by that. Norms only scale; nothing has a bias.
Source: Raffel et al., Exploring the Limits of Transfer Learning (T5), 2020; the gated MLP and the
head of its own are those of T5 1.1.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor, gelu, relu
from npgpt.config import T5Config
from npgpt.interop import t5
from npgpt.model.attention import Attention
from npgpt.model.embeddings import Embedding
from npgpt.model.mlp import FeedForward, GatedFeedForward
from npgpt.model.module import INIT_STD, Linear, Module, RMSNorm
from npgpt.model.neighbours import BIAS, neighbours
from npgpt.model.transformer import LogitsAndLoss, MaybeIds, Transformer, with_loss


class T5(Transformer):
    """An encoder and a decoder; what it shares with other models is in `transformer`.

    Arguments of its methods:

    source_BS    token ids of the text that is read, of any length from 1 on
    inputs_BT    token ids of the text that is written, shifted right: its first is a start token
    targets_BT   the token that follows each; -1 for a position that does not count
    mask_BS      1 for a token of the source, 0 for padding, which nothing sees; all 1 if left out.
                 Of a source that is all padding, the decoder reads 0.

    Raises ValueError for a wrong rank or an empty text, IndexError for ids outside the vocabulary.
    """

    Config, layout = T5Config, t5

    def __init__(self, config: T5Config, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V = config.n_embd, config.vocab_size
        # 1 as published; as an output layer, too, that would start far from a uniform guess
        self.wte = Embedding(rng, V, C, dtype=dtype, std=0.35 if config.tie_weights else 1.0)
        self.encoder = Stack(rng, config, config.n_layer, False, dtype)
        self.decoder = Stack(rng, config, config.decoder_layers, True, dtype)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype)

    def __call__(self, source_BS: ArrayLike, inputs_BT: ArrayLike, targets_BT: MaybeIds = None, *,
                 mask_BS: MaybeIds = None) -> LogitsAndLoss:  # fmt: skip
        """(logits (B, T, V), loss): the mean cross-entropy in nats per target, None without."""
        return with_loss(self.head(self.hidden(source_BS, inputs_BT, mask_BS)), targets_BT)

    def loss(self, source_BS: ArrayLike, inputs_BT: ArrayLike, targets_BT: ArrayLike, *,
             mask_BS: MaybeIds = None) -> Tensor:  # fmt: skip
        """The loss alone, which for training is enough: the logits are never whole in memory."""
        return self.head_loss(self.hidden(source_BS, inputs_BT, mask_BS), targets_BT)

    def hidden(self, source_BS: ArrayLike, inputs_BT: ArrayLike,
               mask_BS: MaybeIds = None) -> Tensor:  # fmt: skip
        """What the head reads, (B, T, C)."""
        drop = self._dropout()
        return self.decode(inputs_BT, self.encode(source_BS, mask_BS, drop), mask_BS, drop)

    def encode(self, source_BS: ArrayLike, mask_BS: MaybeIds = None, drop: Any = None) -> Tensor:
        """What the encoder makes of the source, (B, S, C)."""
        x_BSC = self.wte(self._checked(source_BS))
        return self.encoder(x_BSC, drop or self._dropout(), mask=mask_BS)

    def decode(self, inputs_BT: ArrayLike, encoded_BSC: Tensor, mask_BS: MaybeIds = None,
               drop: Any = None) -> Tensor:  # fmt: skip
        """What the decoder makes of its inputs and what `encode` gave, (B, T, C)."""
        x_BTC = self.wte(self._checked(inputs_BT))
        x_BTC = self.decoder(x_BTC, drop or self._dropout(), encoded_BSC, mask_BS)
        return x_BTC * self.config.n_embd**-0.5 if self.config.tie_weights else x_BTC


class Stack(Module):
    """The blocks of the encoder or, with causal=True, of the decoder, and the bias they share."""

    def __init__(self, rng, config, n_layer, causal, dtype):
        C = config.n_embd
        self.causal, self.max_distance = causal, config.max_distance
        self.buckets = Embedding(rng, config.n_bucket, config.n_head, dtype=dtype, std=C**-0.5)
        # half of the heads: the others are free to look anywhere
        for head, ahead in enumerate(neighbours((config.n_head + 1) // 2, causal)):
            seen_TT = relative_buckets(abs(ahead) + 1, config.n_bucket, self.max_distance, causal)
            self.buckets.weight.data[seen_TT[(0, -1) if ahead > 0 else (-1, 0)], head] = BIAS
        self.h = [T5Block(rng, config, causal, dtype) for _ in range(n_layer)]
        self.ln_f = RMSNorm(C, dtype=dtype)

    def __call__(self, x_BTC, drop, encoded_BSC=None, mask=None):
        """mask   over the encoder's positions, whether they are read by it or by the decoder"""
        T, n_bucket = x_BTC.shape[1], self.buckets.weight.shape[0]
        buckets_TT = relative_buckets(T, n_bucket, self.max_distance, self.causal)
        bias_HTT = self.buckets(buckets_TT).transpose(2, 0, 1)
        x_BTC = drop(x_BTC)
        for block in self.h:
            x_BTC = block(x_BTC, bias_HTT.reshape(1, -1, T, T), drop, encoded_BSC, mask)
        return drop(self.ln_f(x_BTC))


class T5Block(Module):
    """(B, T, C) -> (B, T, C), pre-norm: attention; in a decoder, to the encoder, too; an MLP."""

    def __init__(self, rng, config, causal, dtype):
        C, H, D, F = config.n_embd, config.n_head, config.head_channels, config.inner
        self.causal = causal
        for name in ("self", "cross") if causal else ("self",):
            setattr(self, f"ln_{name}", RMSNorm(C, dtype=dtype))
            # AdamW's steps suit queries and keys of one size; published queries are smaller. In
            # self-attention both are so small that at first the biases decide.
            qk = INIT_STD if name == "self" else C**-0.5 * D**-0.25
            std = (qk, qk, C**-0.5, INIT_STD)
            attention = Attention(rng, C, H, D, H, bias=False, dtype=dtype, std=std)
            setattr(self, f"attn_{name}", attention)
            if name == "cross":  # a token of the decoder begins by looking at the same one
                attention.k.weight.data[...] = 2 * attention.q.weight.data
        self.ln_mlp = RMSNorm(C, dtype=dtype)
        if config.gated:
            self.mlp = GatedFeedForward(rng, C, F, gelu, dtype=dtype)
        else:
            self.mlp = FeedForward(rng, C, F, relu, bias=False, dtype=dtype)

    def __call__(self, x_BTC, bias_1HTT, drop, encoded_BSC=None, mask=None):
        own_mask = None if self.causal else mask
        x_BTC = x_BTC + drop(self.attn_self(self.ln_self(x_BTC), bias=bias_1HTT, scale=1.0,
                                            causal=self.causal, mask=own_mask))  # fmt: skip
        if self.causal:
            x_BTC = x_BTC + drop(self.attn_cross(self.ln_cross(x_BTC), encoded_BSC, scale=1.0,
                                                 causal=False, mask=mask))  # fmt: skip
        return x_BTC + drop(self.mlp(self.ln_mlp(x_BTC)))


def relative_buckets(T, n_bucket, max_distance, causal):
    """The bucket of the distance from query t to key s, (T, T): integers from 0 to n_bucket - 1.

    Keys before and after a query have half of the buckets each; if causal, all are for those
    before. Of these, half are for one distance each; the rest grow, as the logarithm does, up to
    max_distance, beyond which all distances are in the last.
    """
    distance_TT = np.arange(T)[:, None] - np.arange(T)  # t - s
    n, first = (n_bucket, 0) if causal else (n_bucket // 2, n_bucket // 2 * (distance_TT < 0))
    distance_TT = np.maximum(distance_TT, 0) if causal else np.abs(distance_TT)
    exact = n // 2
    # in float32, whose rounding at the ends of buckets is part of the published models
    far = np.log(np.maximum(distance_TT, exact).astype(np.float32) / np.float32(exact))
    far = exact + (far / np.float32(math.log(max_distance / exact)) * (n - exact)).astype(np.int64)
    return first + np.where(distance_TT < exact, distance_TT, np.minimum(far, n - 1))
