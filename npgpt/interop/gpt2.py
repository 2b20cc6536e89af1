"""GPT-2 models of the transformers library.

The weights have the same names and shapes as here, but for three things. A language model's names
begin with `transformer.`; GPT-2's linear layers and norms always have biases, which are written as
zeros where a model has none; and an output layer of its own is stored as (V, C), here (C, V).
"""

import numpy as np

from npgpt.interop.huggingface import HEAD, REQUIRED, without_tied_head

MODEL_TYPE, CLASS = "gpt2", "GPT2LMHeadModel"
EXAMPLES = "gpt2, gpt2-medium or distilgpt2"
PREFIX = "transformer."
# A linear layer or a norm: its weight has a bias beside it. The others are embeddings.
WITHOUT_BIAS = ("wte.weight", "wpe.weight", HEAD)
CAUSAL_MASKS = (".attn.bias", ".attn.masked_bias")  # constants that older files hold as weights
SETTINGS = {
    "vocab_size": ("vocab_size", REQUIRED),
    "block_size": ("n_positions", 1024),
    "n_layer": ("n_layer", REQUIRED),
    "n_head": ("n_head", REQUIRED),
    "n_embd": ("n_embd", REQUIRED),
    "dropout": ("resid_pdrop", 0.1),
    "tie_weights": ("tie_word_embeddings", True),
}
ONLY = {
    "layer_norm_epsilon": 1e-5,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "add_cross_attention": False,
}


def wrong(config):
    found = {}
    if config.get("activation_function", "gelu_new") not in ("gelu_new", "gelu_pytorch_tanh"):
        found["activation_function"] = config["activation_function"]
    if config.get("n_inner") not in (None, 4 * config["n_embd"]):
        found["n_inner"] = config["n_inner"]
    return found


def read(settings, config, arrays):
    weights = {}
    for name, array in arrays.items():
        name = name.removeprefix(PREFIX)
        if not name.endswith(CAUSAL_MASKS):
            weights[name] = array.T if name == HEAD else array
    weights = without_tied_head(weights) if settings["tie_weights"] else weights
    return settings | {"bias": True}, weights


def write(settings, weights):
    config = {
        "activation_function": "gelu_new",
        "embd_pdrop": settings["dropout"],
        "attn_pdrop": 0.0,
    }
    arrays = {}
    for name, weight in weights.items():
        if name == HEAD:
            arrays[HEAD] = np.ascontiguousarray(weight.T)
            continue
        arrays[PREFIX + name] = weight
        bias = name.removesuffix("weight") + "bias"
        if name.endswith(".weight") and name not in WITHOUT_BIAS and bias not in weights:
            arrays[PREFIX + bias] = np.zeros(weight.shape[-1], weight.dtype)
    return config, arrays
