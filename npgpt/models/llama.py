"""Llama: a decoder-only transformer with today's parts.

    tokens (B, T) -> embeddings (B, T, C) -> n_layer blocks -> norm -> logits (B, T, V)

It differs from a GPT in five ways: positions rotate queries and keys (`rotary_embedding`) instead
of being added; norms only scale; a SiLU gates the MLP; several heads of queries may share a head of
keys and values, for a smaller cache in generation; there are no biases. Source: Touvron et al.,
LLaMA, 2023, section 2.2; Llama 2, 2023, for the shared heads.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import DTypeLike

from autograd import rotary_embedding, silu
from npgpt.batches import NextToken
from npgpt.config import ModelConfig, setting
from npgpt.gpt import CausalLM, Embedding, Linear, Module, branch_std, init_std
from npgpt.models.file_layout import HEAD, Files
from npgpt.models.layers import Attention, GatedFeedForward, RMSNorm
from npgpt.models.record import Architecture
from npgpt.models.writing import continue_text


@dataclass(frozen=True)
class LlamaConfig(ModelConfig):
    """The shape of a Llama, n_embd an even multiple of n_head. Raises ValueError for another."""

    n_kv_head: int = setting("heads of keys and values, which divide n_head; 0: n_head", default=0)
    n_inner: int = setting("F, channels inside the MLP; 0: 8/3 C up to a multiple of 8", default=0)
    tie_weights: bool = setting("the output projection is the token embedding", default=True)
    rope_base: float = setting(
        "base of the wavelengths of rotary positions", default=10000.0, least=1e-30)
    norm_eps: float = setting("added to the mean square by RMSNorm", default=1e-6, least=1e-30)

    @property
    def kv_heads(self):
        return self.n_kv_head or self.n_head

    @property
    def inner(self):
        return self.n_inner or (8 * self.n_embd + 23) // 24 * 8

    def __post_init__(self):
        super().__post_init__()
        if self.n_embd // self.n_head % 2 or self.n_head % self.kv_heads:
            raise ValueError(f"LlamaConfig: n_embd={self.n_embd}, n_head={self.n_head}, n_kv_head="
                             f"{self.n_kv_head}; use an even number of channels per head, which "
                             "rotate in pairs, and an n_kv_head that divides n_head")


class Llama(CausalLM):
    """Called and continued as a `GPT`."""

    Config = LlamaConfig

    def __init__(self, config: LlamaConfig, seed: int = 0, dtype: DTypeLike = np.float32) -> None:
        super().__init__(config, seed)
        rng = np.random.default_rng(seed)
        C, V, std = config.n_embd, config.vocab_size, init_std(config, config.n_embd)
        self.wte = Embedding(rng, V, C, dtype=dtype, std=std)
        self.h = [LlamaBlock(rng, config, dtype) for _ in range(config.n_layer)]
        self.ln_f = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        if not config.tie_weights:
            self.lm_head = Linear(rng, C, V, bias=False, dtype=dtype, std=std)

    def _embedded(self, idx_BT, positions):
        return self.wte(idx_BT)


class LlamaBlock(Module):
    """(B, T, C) -> (B, T, C), pre-norm as `npgpt.gpt.Block`."""

    def __init__(self, rng, config, dtype):
        C, H, std = config.n_embd, config.n_head, init_std(config, config.n_embd)
        self.rope_base = config.rope_base
        self.ln_1 = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        self.attn = Attention(rng, C, H, C // H, config.kv_heads, bias=False, dtype=dtype,
                              std=(std, std, std, branch_std(config, C)))
        self.ln_2 = RMSNorm(C, dtype=dtype, eps=config.norm_eps)
        self.mlp = GatedFeedForward(rng, C, config.inner, silu, dtype=dtype,
                                    std=(std, branch_std(config, config.inner)))

    def __call__(self, x_BTC, drop, cache=None, **mask):
        before = cache.length if cache else 0
        positions_T = np.arange(before, before + x_BTC.shape[1])

        def rotate(x_BHTD):
            return rotary_embedding(x_BHTD, positions_T, self.rope_base)

        # The positions of texts in one row need not begin at 0: only distances between them matter.
        x_BTC = x_BTC + drop(self.attn(self.ln_1(x_BTC), rotate=rotate, cache=cache, causal=True,
                                       **mask))
        return x_BTC + drop(self.mlp(self.ln_2(x_BTC)))


# ---- Its files in the transformers library, which has models of other makers under this name

NAMES = {
    "wte": "embed_tokens", "ln_f": "norm", "lm_head": "lm_head",
    "h.{}.ln_1": "layers.{}.input_layernorm",
    **{f"h.{{}}.attn.{x}": f"layers.{{}}.self_attn.{x}_proj" for x in "qkvo"},
    "h.{}.ln_2": "layers.{}.post_attention_layernorm",
    "h.{}.mlp.gate": "layers.{}.mlp.gate_proj",
    "h.{}.mlp.up": "layers.{}.mlp.up_proj",
    "h.{}.mlp.c_proj": "layers.{}.mlp.down_proj",
}


def only(config):
    """Return the settings of config.json for which a `Llama` has fixed values."""
    return {
        "hidden_act": ("silu",),
        "attention_bias": (False,),
        "mlp_bias": (False,),
        "sliding_window": (None,),
        "head_dim": (config["hidden_size"] // config["num_attention_heads"], None),
        **{name: (_plain(config.get(name)),) for name in ("rope_scaling", "rope_parameters")},
    }


def _plain(rope):
    """Return the settings of plain rotary positions among those given."""
    kinds = ("type", "default"), ("rope_type", "default")
    return {k: v for k, v in rope.items() if k == "rope_theta" or (k, v) in kinds} if isinstance(
        rope, dict) else None


def read(config, arrays):
    rope = config.get("rope_scaling") or config.get("rope_parameters") or {}
    base = rope.get("rope_theta", config.get("rope_theta", 10000.0))
    heads = config.get("num_key_value_heads") or config["num_attention_heads"]
    return {"rope_base": base, "n_kv_head": heads}


def write(settings, weights):
    return {
        "num_key_value_heads": settings["n_kv_head"] or settings["n_head"],
        "intermediate_size": weights["h.0.mlp.up.weight"].shape[1],
        "rope_parameters": {"rope_type": "default", "rope_theta": settings["rope_base"]},
        "rope_theta": settings["rope_base"],  # where versions before 5 look for it
    }


FILES = Files(
    model_type="llama",
    class_name="LlamaForCausalLM",
    settings={
        "vocab_size": "vocab_size", "block_size": "max_position_embeddings",
        "n_layer": "num_hidden_layers", "n_head": "num_attention_heads", "n_embd": "hidden_size",
        "n_kv_head": "num_key_value_heads", "n_inner": "intermediate_size",
        "tie_weights": "tie_word_embeddings", "norm_eps": "rms_norm_eps",
    },
    defaults={"max_position_embeddings": 2048, "num_key_value_heads": None,
              "tie_word_embeddings": False, "rms_norm_eps": 1e-6},
    derived=("rope_base",),
    copies={HEAD: "embed_tokens.weight"},
    unused=r"\.rotary_emb\.inv_freq$",
    names=NAMES, tables=("wte",), prefix="model.", only=only, read=read, write=write,
)


def activations(config, tokens):
    C, L, F = config.n_embd, config.n_layer, config.inner
    kv = 2 * C // config.n_head * config.kv_heads
    # Saved as in a GPT, but in the MLP the gate before and after SiLU, the second factor and the
    # product; shared heads of keys and values save fewer.
    return L * (config.block_size + 1) / 2 * C, tokens * (L * (6 * C + kv + 4 * F) + 3 * C)


PRESETS = {
    "tales-llama": {
        "arch": "llama", "vocab_size": 50, "block_size": 256, "n_layer": 4, "n_head": 4,
        "n_embd": 128, "init": "fan_in", "corpus": ("tales",), "max_iters": 3000,
        "batch_size": 8, "lr": 4e-3, "min_lr": 1e-4, "eval_stride": 64,
    },
}

ARCHITECTURE = Architecture(
    arch="llama",
    does="continues a text",
    Config=LlamaConfig, Model=Llama, Objective=NextToken, write=continue_text,
    files=FILES, activations=activations, presets=PRESETS,
    small={"n_embd": 8, "n_kv_head": 1, "tie_weights": False},
)
