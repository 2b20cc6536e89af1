"""BERT models of the transformers library, with the head for masked tokens or without a head.

Its linear layers are stored as (out, in), here (in, out). What else the files hold is left out: the
pooler, the head for the next sentence, and the table of the output layer, which is the embedding.
"""

from npgpt.interop.huggingface import REQUIRED, our_weights, their_weights

MODEL_TYPE, CLASS = "bert", "BertForMaskedLM"
EXAMPLES = "bert-base-uncased or all-MiniLM-L6-v2"
PREFIX, HEAD = "bert.", "cls."
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
LEFT_OUT = (
    "pooler.", "cls.seq_relationship.", "cls.predictions.decoder.", "embeddings.position_ids",
)  # fmt: skip
SETTINGS = {
    "vocab_size": ("vocab_size", REQUIRED),
    "block_size": ("max_position_embeddings", REQUIRED),
    "n_layer": ("num_hidden_layers", REQUIRED),
    "n_head": ("num_attention_heads", REQUIRED),
    "n_embd": ("hidden_size", REQUIRED),
    "n_inner": ("intermediate_size", REQUIRED),
    "n_segment": ("type_vocab_size", 2),
    "dropout": ("hidden_dropout_prob", 0.1),
}
ONLY = {
    "hidden_act": "gelu",
    "layer_norm_eps": 1e-12,
    "position_embedding_type": "absolute",
    "is_decoder": False,
    "add_cross_attention": False,
    "tie_word_embeddings": True,
}


def wrong(config):
    return {}


def read(settings, config, arrays):
    kept = {
        # what the oldest files call the weight and the bias of a norm
        name.replace("LayerNorm.gamma", "LayerNorm.weight").replace("Norm.beta", "Norm.bias"): array
        for name, array in arrays.items()
        if not name.removeprefix(PREFIX).startswith(LEFT_OUT)
    }
    settings["mlm_head"] = any(name.startswith(HEAD) for name in kept)
    return settings, our_weights(kept, NAMES, PREFIX)


def write(settings, weights):
    config = {
        "intermediate_size": weights["h.0.mlp.c_fc.weight"].shape[1],
        "attention_probs_dropout_prob": 0.0,
    }
    if settings["mlm_head"]:
        return config, their_weights(weights, NAMES, PREFIX, HEAD)
    return config | {"architectures": ["BertModel"]}, their_weights(weights, NAMES, "", HEAD)
