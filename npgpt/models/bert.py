"""BERT: an encoder whose positions see all others; it predicts hidden tokens.

    tokens (B, T) -> embeddings (B, T, C) -> norm -> n_layer blocks -> hidden states (B, T, C)
    hidden states -> the head's transform -> logits (B, T, V)

Source: Devlin et al., BERT, 2018. Blocks are post-norm, as published: x = norm(x + branch(x)).
"""

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor, concat, cross_entropy, gelu, linear, linear_cross_entropy, transpose
from npgpt.batches import Batch
from npgpt.config import ModelConfig, setting
from npgpt.gpt import (
    INIT_STD,
    MLP,
    Embedding,
    LayerNorm,
    Linear,
    LogitsAndLoss,
    MaybeIds,
    Model,
    Module,
    init_std,
)
from npgpt.models.file_layout import Files
from npgpt.models.initial_attention import WAVES, look_at_neighbours, waves
from npgpt.models.layers import Attention
from npgpt.models.record import Architecture
from npgpt.models.writing import fill_masks
from npgpt.objectives.denoising import MaskedTokens

exact_gelu = partial(gelu, approximate="none")
norm = partial(LayerNorm, bias=True, eps=1e-12)
# A step of AdamW is about the learning rate, whatever the size of a weight: a small share of these
# large embeddings. The head's norm scales them down again, so that a model starts near a uniform
# guess.
EMBEDDING_STD = 0.35


@dataclass(frozen=True)
class BertConfig(ModelConfig):
    """The shape of a BERT. Raises ValueError for a shape that cannot be built."""

    n_inner: int = setting("F, channels inside the MLP; 0: 4 C", default=0)
    n_segment: int = setting("number of segments, such as first and second text", default=2)
    mlm_head: bool = setting("a head that predicts hidden tokens", default=True)

    @property
    def inner(self):
        return self.n_inner or 4 * self.n_embd


class Bert(Model):
    """An encoder. Arguments of its methods:

    idx_BT        token ids, T at most block_size
    targets_BT    the token at each position; -1 excludes a position from the loss
    segments_BT   the segment of each token, from 0 on; default: all 0
    mask_BT       1 for a token, 0 for padding, which no position sees; default: all 1. In a row of
                  padding only, attention adds 0.

    Raises ValueError for a wrong rank or a text longer than block_size, IndexError for ids outside
    the vocabulary or the segments.
    """

    Config = BertConfig

    def __init__(self, config: BertConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C = config.n_embd
        self.wte = Embedding(rng, config.vocab_size, C, dtype=dtype, std=EMBEDDING_STD)
        self.wpe = Embedding(rng, config.block_size, C, dtype=dtype, std=EMBEDDING_STD)
        self.wpe.weight.data[...] = WAVES * EMBEDDING_STD * waves(config.block_size, C)
        self.wse = Embedding(rng, config.n_segment, C, dtype=dtype, std=EMBEDDING_STD)
        self.ln_e = norm(C, dtype=dtype)
        self.h = [BertBlock(rng, config, dtype) for _ in range(config.n_layer)]
        if config.mlm_head:
            self.mlm = MaskedTokenHead(rng, config, dtype)

    def __call__(
        self, idx_BT: ArrayLike, targets_BT: MaybeIds = None, *, segments_BT: MaybeIds = None,
        mask_BT: MaybeIds = None,
    ) -> LogitsAndLoss:
        """Return (logits (B, T, V), mean cross-entropy in nats per target or None)."""
        x_BTC = self.mlm(self.hidden(idx_BT, segments_BT, mask_BT))
        logits_BTV = linear(x_BTC, transpose(self.wte.weight), self.mlm.bias)
        return logits_BTV, None if targets_BT is None else cross_entropy(logits_BTV, targets_BT)

    def loss(self, idx_BT: ArrayLike, targets_BT: ArrayLike, *,
             segments_BT: MaybeIds = None, mask_BT: MaybeIds = None) -> Tensor:
        """Return the loss alone; the head is computed at positions with a target only."""
        x_BTC, targets_BT = self.hidden(idx_BT, segments_BT, mask_BT), np.asarray(targets_BT)
        if targets_BT.shape == x_BTC.shape[:2] and (targets_BT != -1).any():
            kept = np.nonzero(targets_BT != -1)
            x_BTC, targets_BT = x_BTC[kept], targets_BT[kept]
        x = self.mlm(x_BTC)
        ones = np.ones((*x.shape[:-1], 1), x.dtype)  # the bias is one more channel of the table
        table = concat([self.wte.weight, self.mlm.bias.reshape(-1, 1)], axis=1)
        return linear_cross_entropy(concat([x, ones], axis=-1), table, targets_BT)

    def hidden(self, idx_BT: ArrayLike, segments_BT: MaybeIds = None,
               mask_BT: MaybeIds = None) -> Tensor:
        """Return the output of the last block at each position, (B, T, C)."""
        idx_BT = self._checked(idx_BT, self.config.block_size)
        segments_BT = np.zeros_like(idx_BT) if segments_BT is None else segments_BT
        drop = self._dropout()
        positions_T = np.arange(idx_BT.shape[1])
        x_BTC = self.wte(idx_BT) + self.wpe(positions_T) + self.wse(segments_BT)
        x_BTC = drop(self.ln_e(x_BTC))
        for block in self.h:
            x_BTC = block(x_BTC, drop, mask_BT)
        return x_BTC


class BertBlock(Module):
    """(B, T, C) -> (B, T, C), post-norm.    mask_BT   1 for a token, 0 for padding"""

    def __init__(self, rng, config, dtype):
        C, H, std = config.n_embd, config.n_head, init_std(config, config.n_embd)
        self.attn = Attention(rng, C, H, C // H, H, bias=True, dtype=dtype,
                              std=(std, std, C**-0.5, std))
        look_at_neighbours(rng, self.attn, C // H, std)
        self.ln_1 = norm(C, dtype=dtype)
        self.mlp = MLP(rng, C, config.inner, exact_gelu, bias=True, dtype=dtype,
                       std=(std, init_std(config, config.inner)))
        self.ln_2 = norm(C, dtype=dtype)

    def __call__(self, x_BTC, drop, mask_BT=None):
        x_BTC = self.ln_1(x_BTC + drop(self.attn(x_BTC, causal=False, mask=mask_BT)))
        return self.ln_2(x_BTC + drop(self.mlp(x_BTC)))


class MaskedTokenHead(Module):
    """The output layer before the token embeddings, and a bias per token.    (..., C) -> (..., C)
    """

    def __init__(self, rng, config, dtype):
        C = config.n_embd
        self.dense = Linear(rng, C, C, bias=True, dtype=dtype, std=init_std(config, C))
        self.ln = norm(C, dtype=dtype)
        self.ln.weight.data *= INIT_STD / EMBEDDING_STD
        self.bias = Tensor(np.zeros(config.vocab_size, dtype), requires_grad=True)

    def __call__(self, x):
        return self.ln(exact_gelu(self.dense(x)))


# ---- Its files in the transformers library, with the head for masked tokens or without a head

NAMES = {
    "wte": "embeddings.word_embeddings",
    "wpe": "embeddings.position_embeddings",
    "wse": "embeddings.token_type_embeddings",
    "ln_e": "embeddings.LayerNorm",
    "h.{}.attn.q": "encoder.layer.{}.attention.self.query",
    "h.{}.attn.k": "encoder.layer.{}.attention.self.key",
    "h.{}.attn.v": "encoder.layer.{}.attention.self.value",
    "h.{}.attn.o": "encoder.layer.{}.attention.output.dense",
    "h.{}.ln_1": "encoder.layer.{}.attention.output.LayerNorm",
    "h.{}.mlp.c_fc": "encoder.layer.{}.intermediate.dense",
    "h.{}.mlp.c_proj": "encoder.layer.{}.output.dense",
    "h.{}.ln_2": "encoder.layer.{}.output.LayerNorm",
    "mlm": "cls.predictions",
    "mlm.dense": "cls.predictions.transform.dense",
    "mlm.ln": "cls.predictions.transform.LayerNorm",
}


def write(settings, weights):
    config = {
        "intermediate_size": weights["h.0.mlp.c_fc.weight"].shape[1],
        "attention_probs_dropout_prob": 0.0,
    }
    return config if settings["mlm_head"] else config | {"architectures": ["BertModel"]}


FILES = Files(
    model_type="bert",
    class_name="BertForMaskedLM",
    settings={
        "vocab_size": "vocab_size", "block_size": "max_position_embeddings",
        "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embd": "hidden_size",
        "n_inner": "intermediate_size", "n_segment": "type_vocab_size",
        "dropout": "hidden_dropout_prob",
    },
    defaults={"type_vocab_size": 2, "hidden_dropout_prob": 0.0},
    derived=("mlm_head",),
    copies={
        "cls.predictions.decoder.weight": "embeddings.word_embeddings.weight",
        "cls.predictions.decoder.bias": "cls.predictions.bias",
    },
    unused=r"^(pooler|cls\.seq_relationship)\.|^embeddings\.position_ids$",
    names=NAMES, tables=("wte", "wpe", "wse"), prefix="bert.", write=write,
    only=lambda config: {
        "hidden_act": ("gelu",),
        "layer_norm_eps": (1e-12,),
        "position_embedding_type": ("absolute",),
        "is_decoder": (False,),
        "tie_word_embeddings": (True,),
    },
    read=lambda config, arrays: {"mlm_head": any("cls.predictions." in name for name in arrays)},
)


def activations(config, tokens):
    C, L = config.n_embd, config.n_layer
    # Saved are, in a block, inputs and outputs of the norms, q, k, v, the result of attention, the
    # MLP's hidden layer before and after GELU; outside, the norm of the embeddings, the head's
    # layers and norm.
    return L * config.block_size * C, tokens * (L * (8 * C + 2 * config.inner) + 8 * C)


# A story has at most 69 tokens if frequent words are tokens. Only hidden tokens, a seventh of the
# text, have a loss: so this model is half as deep as a GPT and trains for many steps.
PRESETS = {
    "tales-bert": {
        "arch": "bert", "vocab_size": 399, "block_size": 96, "n_layer": 2, "n_head": 8,
        "n_embd": 128, "n_inner": 256, "init": "fan_in",
        "corpus": ("tales",), "tokenizer": "words", "max_iters": 12000, "batch_size": 16,
        "lr": 2e-3, "min_lr": 5e-5, "warmup_iters": 200, "eval_interval": 1000,
    },
}

ARCHITECTURE = Architecture(
    arch="bert",
    does="fills in hidden tokens",
    Config=BertConfig, Model=Bert, Objective=MaskedTokens, write=fill_masks,
    files=FILES, activations=activations, presets=PRESETS,
    batch=lambda idx_BT, targets_BT, mask_BT: Batch((idx_BT,), targets_BT, {"mask_BT": mask_BT}),
)
