"""T5 models of the transformers library, of the first version and of version 1.1.

Its linear layers are stored as (out, in), here (in, out). The first block of a stack holds the bias
that all of its blocks share.
"""

from npgpt.interop.huggingface import (
    HEAD,
    REQUIRED,
    our_weights,
    their_weights,
    without_tied_head,
)

MODEL_TYPE, CLASS = "t5", "T5ForConditionalGeneration"
EXAMPLES = "t5-small or google/t5-v1_1-small"


def _names():
    """From the sub-layers of our blocks to theirs, which are numbered."""
    names = {"wte": "shared", "lm_head": "lm_head"}
    for stack, attentions in (("encoder", ["Self"]), ("decoder", ["Self", "EncDec"])):
        block, parts = f"{stack}.block.{{}}.layer", len(attentions)
        names |= {
            f"{stack}.buckets": f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias",
            f"{stack}.ln_f": f"{stack}.final_layer_norm",
            f"{stack}.h.{{}}.ln_mlp": f"{block}.{parts}.layer_norm",
            f"{stack}.h.{{}}.mlp.c_fc": f"{block}.{parts}.DenseReluDense.wi",
            f"{stack}.h.{{}}.mlp.gate": f"{block}.{parts}.DenseReluDense.wi_0",
            f"{stack}.h.{{}}.mlp.up": f"{block}.{parts}.DenseReluDense.wi_1",
            f"{stack}.h.{{}}.mlp.c_proj": f"{block}.{parts}.DenseReluDense.wo",
        }
        for i, (ours, theirs) in enumerate(zip(("self", "cross"), attentions, strict=False)):
            names[f"{stack}.h.{{}}.ln_{ours}"] = f"{block}.{i}.layer_norm"
            for x in "qkvo":
                names[f"{stack}.h.{{}}.attn_{ours}.{x}"] = f"{block}.{i}.{theirs}Attention.{x}"
    return names


NAMES = _names()
SETTINGS = {
    "vocab_size": ("vocab_size", REQUIRED),
    "block_size": ("n_positions", 512),
    "n_layer": ("num_layers", REQUIRED),
    "n_head": ("num_heads", REQUIRED),
    "n_embd": ("d_model", REQUIRED),
    "n_decoder_layer": ("num_decoder_layers", None),
    "n_inner": ("d_ff", REQUIRED),
    "head_size": ("d_kv", REQUIRED),
    "n_bucket": ("relative_attention_num_buckets", 32),
    "max_distance": ("relative_attention_max_distance", 128),
    "dropout": ("dropout_rate", 0.1),
    "tie_weights": ("tie_word_embeddings", True),
}
ONLY = {"layer_norm_epsilon": 1e-6, "is_encoder_decoder": True}
ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new"}


def wrong(config):
    kind = config.get("feed_forward_proj", "relu")
    if kind not in ACTIVATIONS:
        return {"feed_forward_proj": kind}
    f = config.get("dense_act_fn", ACTIVATIONS[kind])
    return {} if f == ACTIVATIONS[kind] else {"dense_act_fn": f}


def read(settings, config, arrays):
    # Version 1.1 is told by what it does not do: divide by sqrt(C) before the head.
    scaled = config.get("scale_decoder_outputs", settings["tie_weights"])
    settings |= {
        "n_decoder_layer": settings["n_decoder_layer"] or settings["n_layer"],
        "gated": config.get("feed_forward_proj", "relu") != "relu",
        "tie_weights": scaled,
    }
    copies = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight")
    weights = our_weights({k: a for k, a in arrays.items() if k not in copies}, NAMES, "")
    if scaled:
        weights = without_tied_head(weights)
    elif HEAD not in weights and "wte.weight" in weights:  # the table, but not divided
        weights[HEAD] = weights["wte.weight"].T
    return settings, weights


def write(settings, weights):
    config = {
        "num_decoder_layers": settings["n_decoder_layer"] or settings["n_layer"],
        "d_ff": weights["encoder.h.0.mlp.c_proj.weight"].shape[0],
        "d_kv": weights["encoder.h.0.attn_self.q.weight"].shape[1] // settings["n_head"],
        "feed_forward_proj": "gated-gelu" if settings["gated"] else "relu",
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return config, their_weights(weights, NAMES, "", ())
