"""Llama models of the transformers library, which has those of other makers under the same name.

Its linear layers are stored as (out, in), here (in, out).
"""

from npgpt.interop.huggingface import (
    REQUIRED,
    our_weights,
    their_weights,
    without_tied_head,
)

MODEL_TYPE, CLASS = "llama", "LlamaForCausalLM"
EXAMPLES = "TinyLlama-1.1B or SmolLM-135M"
PREFIX, HEAD = "model.", "lm_head"
NAMES = {
    "wte": "embed_tokens", "ln_f": "norm", HEAD: HEAD,
    "h.{}.ln_1": "layers.{}.input_layernorm",
    **{f"h.{{}}.attn.{x}": f"layers.{{}}.self_attn.{x}_proj" for x in "qkvo"},
    "h.{}.ln_2": "layers.{}.post_attention_layernorm",
    "h.{}.mlp.gate": "layers.{}.mlp.gate_proj",
    "h.{}.mlp.up": "layers.{}.mlp.up_proj",
    "h.{}.mlp.c_proj": "layers.{}.mlp.down_proj",
}  # fmt: skip
SETTINGS = {
    "vocab_size": ("vocab_size", REQUIRED),
    "block_size": ("max_position_embeddings", 2048),
    "n_layer": ("num_hidden_layers", REQUIRED),
    "n_head": ("num_attention_heads", REQUIRED),
    "n_embd": ("hidden_size", REQUIRED),
    "n_kv_head": ("num_key_value_heads", None),
    "n_inner": ("intermediate_size", REQUIRED),
    "tie_weights": ("tie_word_embeddings", False),
    "rope_base": ("rope_theta", 10000.0),  # versions before 5 have it here
    "norm_eps": ("rms_norm_eps", 1e-6),
}
ONLY = {
    "hidden_act": "silu",
    "attention_bias": False,
    "mlp_bias": False,
    "rope_scaling": None,
    "sliding_window": None,
}


def wrong(config):
    found, rope = {}, config.get("rope_parameters") or {}
    plain = ("rope_theta", rope.get("rope_theta")), ("rope_type", "default")
    scaled = {name: value for name, value in rope.items() if (name, value) not in plain}
    if scaled:
        found["rope_parameters"] = scaled
    size, heads = config["hidden_size"], config["num_attention_heads"]
    if config.get("head_dim") not in (None, size // max(heads, 1)):
        found["head_dim"] = config["head_dim"]
    return found


def read(settings, config, arrays):
    rope = config.get("rope_parameters") or {}
    settings["rope_base"] = rope.get("rope_theta", settings["rope_base"])
    settings["n_kv_head"] = settings["n_kv_head"] or settings["n_head"]
    weights = our_weights(arrays, NAMES, PREFIX)
    return settings, without_tied_head(weights) if settings["tie_weights"] else weights


def write(settings, weights):
    config = {
        "num_key_value_heads": settings["n_kv_head"] or settings["n_head"],
        "intermediate_size": weights["h.0.mlp.up.weight"].shape[1],
        "rope_parameters": {"rope_type": "default", "rope_theta": settings["rope_base"]},
    }
    return config, their_weights(weights, NAMES, PREFIX, HEAD)
