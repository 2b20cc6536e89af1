"""T5: an encoder reads one text, a decoder writes another and reads the encoder's output.

    source (B, S) -> embeddings -> encoder blocks -> norm -> encoded (B, S, C)
    inputs (B, T) -> embeddings -> decoder blocks, which see encoded -> norm -> logits (B, T, V)

Positions enter as a bias of the scores: a number for each head and bucket of distances, shared by
all blocks of a stack. Scores are not divided by sqrt(D); initial queries and keys are smaller
instead. Norms only scale, and no layer has a bias.
Source: Raffel et al., Exploring the Limits of Transfer Learning (T5), 2020; the gated MLP and the
separate output layer are T5 1.1's.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autograd import Tensor, cross_entropy, gelu, relu
from npgpt.batches import Batch
from npgpt.config import ModelConfig, setting
from npgpt.gpt import MLP, Embedding, Linear, LogitsAndLoss, MaybeIds, Model, Module, init_std
from npgpt.models.file_layout import HEAD, Files
from npgpt.models.initial_attention import BIAS, neighbours
from npgpt.models.layers import Attention, GatedFeedForward, RMSNorm
from npgpt.models.record import Architecture
from npgpt.models.writing import write_spans
from npgpt.objectives.denoising import SpanCorruption


@dataclass(frozen=True)
class T5Config(ModelConfig):
    """The shape of a T5. Raises ValueError for a shape that cannot be built.

    n_layer counts the encoder's blocks; block_size is for training: positions have no longest.
    """

    n_decoder_layer: int = setting("number of blocks of the decoder; 0: n_layer", default=0)
    n_inner: int = setting("F, channels inside the MLP; 0: 4 C", default=0)
    head_size: int = setting("D, channels of a head; 0: C / H", default=0)
    n_bucket: int = setting("buckets that distances fall into", default=32)
    max_distance: int = setting("distances beyond this share the last bucket", default=128)
    gated: bool = setting("the MLP is gated by GELU, as in T5 1.1, in place of ReLU", default=False)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)

    @property
    def decoder_layers(self):
        return self.n_decoder_layer or self.n_layer

    @property
    def inner(self):
        return self.n_inner or 4 * self.n_embd

    @property
    def head_channels(self):
        return self.head_size or self.n_embd // self.n_head

    def __post_init__(self):
        super().__post_init__()
        if self.n_bucket < 4 or self.max_distance <= self.n_bucket // 2:
            raise ValueError(f"T5Config: n_bucket={self.n_bucket}, max_distance="
                             f"{self.max_distance}; use 4 buckets or more, and a max_distance "
                             "above half of them")


class T5(Model):
    """An encoder and a decoder. Arguments of its methods:

    source_BS    token ids of the text that the encoder reads, of any length
    inputs_BT    token ids of the text that the decoder writes, shifted right by a start token
    targets_BT   the token that follows each; -1 excludes a position from the loss
    mask_BS      1 for a token of the source, 0 for padding, which no position sees; default: all 1.
                 From a source of padding only, the decoder reads 0.

    Raises ValueError for a wrong rank or an empty text, IndexError for ids outside the vocabulary.
    """

    Config = T5Config

    def __init__(self, config: T5Config, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V = config.n_embd, config.vocab_size
        # 1 as published; as an output layer, too, that would start far from a uniform guess
        self.wte = Embedding(rng, V, C, dtype=dtype, std=0.35 if config.tie_weights else 1.0)
        self.encoder = Stack(rng, config, config.n_layer, False, dtype)
        self.decoder = Stack(rng, config, config.decoder_layers, True, dtype)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype, std=init_std(config, C))

    def __call__(self, source_BS: ArrayLike, inputs_BT: ArrayLike, targets_BT: MaybeIds = None, *,
                 mask_BS: MaybeIds = None) -> LogitsAndLoss:
        """Return (logits (B, T, V), mean cross-entropy in nats per target or None)."""
        logits_BTV = self.head(self.hidden(source_BS, inputs_BT, mask_BS))
        return logits_BTV, None if targets_BT is None else cross_entropy(logits_BTV, targets_BT)

    def loss(self, source_BS: ArrayLike, inputs_BT: ArrayLike, targets_BT: ArrayLike, *,
             mask_BS: MaybeIds = None) -> Tensor:
        """Return the loss alone, without holding all logits in memory."""
        return self.head_loss(self.hidden(source_BS, inputs_BT, mask_BS), targets_BT)

    def hidden(self, source_BS: ArrayLike, inputs_BT: ArrayLike,
               mask_BS: MaybeIds = None) -> Tensor:
        """Return the input of the head, (B, T, C)."""
        drop = self._dropout()
        return self.decode(inputs_BT, self.encode(source_BS, mask_BS, drop), mask_BS, drop)

    def encode(self, source_BS: ArrayLike, mask_BS: MaybeIds = None, drop: Any = None) -> Tensor:
        """Return the encoder's output, (B, S, C)."""
        x_BSC = self.wte(self._checked(source_BS))
        return self.encoder(x_BSC, drop or self._dropout(), mask=mask_BS)

    def decode(self, inputs_BT: ArrayLike, encoded_BSC: Tensor, mask_BS: MaybeIds = None,
               drop: Any = None) -> Tensor:
        """Return the decoder's output for its inputs and the encoder's output, (B, T, C)."""
        x_BTC = self.wte(self._checked(inputs_BT))
        x_BTC = self.decoder(x_BTC, drop or self._dropout(), encoded_BSC, mask_BS)
        return x_BTC * self.config.n_embd**-0.5 if self.config.tie_weights else x_BTC


class Stack(Module):
    """The blocks of the encoder or, if causal, of the decoder, and the bias that they share."""

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
        """Run the blocks and return the output of the last norm, (B, T, C).

        mask   (B, S), True at the real tokens of the source
        """
        T, n_bucket = x_BTC.shape[1], self.buckets.weight.shape[0]
        buckets_TT = relative_buckets(T, n_bucket, self.max_distance, self.causal)
        bias_HTT = self.buckets(buckets_TT).transpose(2, 0, 1)
        x_BTC = drop(x_BTC)
        for block in self.h:
            x_BTC = block(x_BTC, bias_HTT.reshape(1, -1, T, T), drop, encoded_BSC, mask)
        return drop(self.ln_f(x_BTC))


class T5Block(Module):
    """(B, T, C) -> (B, T, C), pre-norm: self-attention, in a decoder cross-attention, an MLP."""

    def __init__(self, rng, config, causal, dtype):
        C, H, D, F = config.n_embd, config.n_head, config.head_channels, config.inner
        self.causal = causal
        for name in ("self", "cross") if causal else ("self",):
            setattr(self, f"ln_{name}", RMSNorm(C, dtype=dtype))
            # AdamW's steps suit queries and keys of one size; published queries are smaller. In
            # self-attention of GPT-2's start both are so small that at first the biases decide.
            qk = C**-0.5 * D**-0.25
            if name == "self" and config.init == "gpt2":
                qk = init_std(config, C)
            std = (qk, qk, C**-0.5, init_std(config, H * D))
            attention = Attention(rng, C, H, D, H, bias=False, dtype=dtype, std=std)
            setattr(self, f"attn_{name}", attention)
            if name == "cross":  # a token of the decoder begins by looking at the same one
                attention.k.weight.data[...] = 2 * attention.q.weight.data
        self.ln_mlp = RMSNorm(C, dtype=dtype)
        std = init_std(config, C), init_std(config, F)
        if config.gated:
            self.mlp = GatedFeedForward(rng, C, F, gelu, dtype=dtype, std=std)
        else:
            self.mlp = MLP(rng, C, F, relu, bias=False, dtype=dtype, std=std)

    def __call__(self, x_BTC, bias_1HTT, drop, encoded_BSC=None, mask=None):
        own_mask = None if self.causal else mask
        x_BTC = x_BTC + drop(self.attn_self(self.ln_self(x_BTC), bias=bias_1HTT, scale=1.0,
                                            causal=self.causal, mask=own_mask))
        if self.causal:
            x_BTC = x_BTC + drop(self.attn_cross(self.ln_cross(x_BTC), encoded_BSC, scale=1.0,
                                                 causal=False, mask=mask))
        return x_BTC + drop(self.mlp(self.ln_mlp(x_BTC)))


def relative_buckets(T, n_bucket, max_distance, causal):
    """Return the bucket of the distance from query t to key s, (T, T): 0 to n_bucket - 1.

    Keys before and after a query have half of the buckets each; if causal, keys before it have all
    of them. The first half of these hold one distance each, the second half grow logarithmically up
    to max_distance, and all longer distances share the last.
    """
    distance_TT = np.arange(T)[:, None] - np.arange(T)  # t - s
    n, first = (n_bucket, 0) if causal else (n_bucket // 2, n_bucket // 2 * (distance_TT < 0))
    distance_TT = np.maximum(distance_TT, 0) if causal else np.abs(distance_TT)
    exact = n // 2
    # in float32, whose rounding at the ends of buckets is part of the published models
    far = np.log(np.maximum(distance_TT, exact).astype(np.float32) / np.float32(exact))
    far = exact + (far / np.float32(math.log(max_distance / exact)) * (n - exact)).astype(np.int64)
    return first + np.where(distance_TT < exact, distance_TT, np.minimum(far, n - 1))


# ---- Its files in the transformers library, of the first version and of version 1.1

ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new"}
TABLE = "shared.weight"


def _names():
    """Return {our module path: the library's}; it numbers the sub-layers of a block."""
    names = {"wte": "shared", "lm_head": "lm_head"}
    for stack, attentions in (("encoder", ["Self"]), ("decoder", ["Self", "EncDec"])):
        block, last = f"{stack}.block.{{}}.layer", len(attentions)
        names |= {
            f"{stack}.buckets": f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias",
            f"{stack}.ln_f": f"{stack}.final_layer_norm",
            f"{stack}.h.{{}}.ln_mlp": f"{block}.{last}.layer_norm",
            f"{stack}.h.{{}}.mlp.c_fc": f"{block}.{last}.DenseReluDense.wi",
            f"{stack}.h.{{}}.mlp.gate": f"{block}.{last}.DenseReluDense.wi_0",
            f"{stack}.h.{{}}.mlp.up": f"{block}.{last}.DenseReluDense.wi_1",
            f"{stack}.h.{{}}.mlp.c_proj": f"{block}.{last}.DenseReluDense.wo",
        }
        for i, (ours, theirs) in enumerate(zip(("self", "cross"), attentions, strict=False)):
            names[f"{stack}.h.{{}}.ln_{ours}"] = f"{block}.{i}.layer_norm"
            for x in "qkvo":
                names[f"{stack}.h.{{}}.attn_{ours}.{x}"] = f"{block}.{i}.{theirs}Attention.{x}"
    return names


NAMES = _names()


def only(config):
    """Return the settings of config.json for which a `T5` has fixed values."""
    kind = config.get("feed_forward_proj", "relu")
    return {
        "feed_forward_proj": (*ACTIVATIONS,),
        "dense_act_fn": (ACTIVATIONS.get(kind),),
        "is_gated_act": (kind != "relu",),
        "layer_norm_epsilon": (1e-6,),
        "is_encoder_decoder": (True,),
    }


def read(config, arrays):
    # Version 1.1 does not divide by sqrt(C) before the head.
    scaled = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
    if not scaled and TABLE in arrays:
        arrays.setdefault(HEAD, arrays[TABLE])
    return {
        "n_decoder_layer": config.get("num_decoder_layers") or config["num_layers"],
        "gated": config.get("feed_forward_proj", "relu") != "relu",
        "tie_weights": scaled,
    }


def write(settings, weights):
    return {
        "num_decoder_layers": settings["n_decoder_layer"] or settings["n_layer"],
        "d_ff": weights["encoder.h.0.mlp.c_proj.weight"].shape[0],
        "d_kv": weights["encoder.h.0.attn_self.q.weight"].shape[1] // settings["n_head"],
        "feed_forward_proj": "gated-gelu" if settings["gated"] else "relu",
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }


FILES = Files(
    model_type="t5",
    class_name="T5ForConditionalGeneration",
    settings={
        "vocab_size": "vocab_size", "block_size": "n_positions", "n_layer": "num_layers",
        "n_head": "num_heads", "n_embd": "d_model", "n_decoder_layer": "num_decoder_layers",
        "n_inner": "d_ff", "head_size": "d_kv", "n_bucket": "relative_attention_num_buckets",
        "max_distance": "relative_attention_max_distance", "dropout": "dropout_rate",
        "tie_weights": "tie_word_embeddings",
    },
    defaults={"n_positions": 512, "num_decoder_layers": None,
              "relative_attention_num_buckets": 32, "relative_attention_max_distance": 128,
              "dropout_rate": 0.0, "tie_word_embeddings": True},
    derived=("gated",),
    copies={f"{stack}.embed_tokens.weight": TABLE for stack in ("encoder", "decoder")}
    | {HEAD: TABLE},
    unused=r"\.EncDecAttention\.relative_attention_bias\.weight$",
    names=NAMES, tables=("wte", "encoder.buckets", "decoder.buckets"), prefix="",
    only=only, read=read, write=write,
)


def activations(config, tokens):
    C, T, L, M = config.n_embd, config.block_size, config.n_layer, config.decoder_layers
    E, mlp = config.n_head * config.head_channels, (4 if config.gated else 2) * config.inner
    keys = (L + M) * T + M * (T + 1) / 2  # the decoder's own attention is causal
    each = L * (4 * C + 4 * E + mlp) + M * (6 * C + 8 * E + mlp) + 5 * C
    return keys * E, tokens * each + 3 * config.n_head * T**2  # biases of scores


# As deep as a BERT of the tales, for the same reason.
PRESETS = {
    "tales-t5": {
        "arch": "t5", "vocab_size": 430, "block_size": 96, "n_layer": 2, "n_decoder_layer": 3,
        "n_head": 8, "n_embd": 128, "n_inner": 256, "tie_weights": False, "init": "fan_in",
        "corpus": ("tales",), "tokenizer": "words", "max_iters": 8500, "batch_size": 16,
        "lr": 1.5e-3, "min_lr": 5e-5, "warmup_iters": 200, "eval_interval": 500,
    },
}

ARCHITECTURE = Architecture(
    arch="t5",
    does="rewrites hidden spans",
    Config=T5Config, Model=T5, Objective=SpanCorruption, write=write_spans,
    files=FILES, activations=activations, presets=PRESETS,
    # A gate, as a ReLU has no derivative at 0; small weights, as scores are not divided by sqrt(D).
    small={
        "n_embd": 4, "n_layer": 1, "n_decoder_layer": 2, "gated": True, "n_bucket": 4,
        "max_distance": 4,
    },
    small_std=0.3,
    batch=lambda idx_BT, targets_BT, mask_BS: Batch(
        (idx_BT[:, ::-1], idx_BT), targets_BT, {"mask_BS": mask_BS}
    ),
)
