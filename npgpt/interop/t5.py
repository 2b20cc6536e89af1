"""T5 models of the transformers library, of the first version and of version 1.1.

Its linear layers are stored as (out, in), here (in, out). The first block of a stack holds the bias
that all of its blocks share.
"""

from npgpt.interop.huggingface import HEAD, our_weights, their_weights, without_tied_head

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
SIZES = ("vocab_size", "d_model", "d_kv", "d_ff", "num_layers", "num_heads")
ONLY = {"layer_norm_epsilon": 1e-6, "is_encoder_decoder": True}
ACTIVATIONS = {"relu": "relu", "gated-gelu": "gelu_new"}


def wrong(config):
    kind = config.get("feed_forward_proj", "relu")
    if kind not in ACTIVATIONS:
        return {"feed_forward_proj": kind}
    f = config.get("dense_act_fn", ACTIVATIONS[kind])
    return {} if f == ACTIVATIONS[kind] else {"dense_act_fn": f}


def read(config, arrays):
    # Version 1.1 is told by what it does not do: divide by sqrt(C) before the head.
    scaled = config.get("scale_decoder_outputs", config.get("tie_word_embeddings", True))
    settings = {
        "vocab_size": config["vocab_size"],
        "block_size": config.get("n_positions", 512),
        "n_layer": config["num_layers"],
        "n_head": config["num_heads"],
        "n_embd": config["d_model"],
        "n_decoder_layer": config.get("num_decoder_layers") or config["num_layers"],
        "n_inner": config["d_ff"],
        "head_size": config["d_kv"],
        "n_bucket": config.get("relative_attention_num_buckets", 32),
        "max_distance": config.get("relative_attention_max_distance", 128),
        "gated": config.get("feed_forward_proj", "relu") != "relu",
        "dropout": config.get("dropout_rate", 0.1),
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
    tied = settings["tie_weights"]
    config = {
        "architectures": [CLASS],
        "vocab_size": settings["vocab_size"],
        "n_positions": settings["block_size"],
        "num_layers": settings["n_layer"],
        "num_decoder_layers": settings["n_decoder_layer"] or settings["n_layer"],
        "num_heads": settings["n_head"],
        "d_model": settings["n_embd"],
        "d_ff": weights["encoder.h.0.mlp.c_proj.weight"].shape[0],
        "d_kv": weights["encoder.h.0.attn_self.q.weight"].shape[1] // settings["n_head"],
        "relative_attention_num_buckets": settings["n_bucket"],
        "relative_attention_max_distance": settings["max_distance"],
        "feed_forward_proj": "gated-gelu" if settings["gated"] else "relu",
        "dropout_rate": settings["dropout"],
        "tie_word_embeddings": tied,
        "pad_token_id": 0,
        "decoder_start_token_id": 0,
    }
    return config, their_weights(weights, NAMES, "", ())
