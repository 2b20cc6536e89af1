"""GPT as an architecture: its files in the transformers library, where it is GPT-2, its presets.

The weights have the same names and shapes there as in `npgpt.gpt`, with three exceptions. A
language model's names begin with `transformer.`; GPT-2's linear layers and norms always have
biases, written as zeros where a model has none; and a separate output layer is stored as (V, C),
here (C, V).
"""

import numpy as np

from npgpt.batches import NextToken
from npgpt.config import GPTConfig
from npgpt.gpt import GPT
from npgpt.models.file_layout import HEAD, Files
from npgpt.models.record import Architecture
from npgpt.models.writing import continue_text

# A linear layer's or a norm's weight has a bias beside it; an embedding has none.
WITHOUT_BIAS = ("wte.weight", "wpe.weight", HEAD)


def write(settings, weights):
    for name in [*weights]:
        bias = name.removesuffix("weight") + "bias"
        if name.endswith(".weight") and name not in WITHOUT_BIAS:
            weights.setdefault(bias, np.zeros(weights[name].shape[-1], weights[name].dtype))
    return {"embd_pdrop": settings["dropout"], "attn_pdrop": 0.0}


FILES = Files(
    model_type="gpt2",
    class_name="GPT2LMHeadModel",
    settings={
        "vocab_size": "vocab_size", "block_size": "n_positions", "n_layer": "n_layer",
        "n_head": "n_head", "n_embd": "n_embd", "dropout": "resid_pdrop",
        "tie_weights": "tie_word_embeddings",
    },
    defaults={"n_positions": 1024, "resid_pdrop": 0.0, "tie_word_embeddings": True},
    derived=("bias",),
    copies={HEAD: "wte.weight"},
    unused=r"\.attn\.(masked_)?bias$",  # constants that older files hold as weights
    names={"lm_head": "lm_head"},  # transposed; all others are as here
    prefix="transformer.",
    only=lambda config: {
        "activation_function": ("gelu_new", "gelu_pytorch_tanh"),
        "layer_norm_epsilon": (1e-5,),
        "n_inner": (None, 4 * config["n_embd"]),
        "scale_attn_weights": (True,),
        "scale_attn_by_inverse_layer_idx": (False,),
        "add_cross_attention": (False,),
    },
    write=write,
    read=lambda config, arrays: {"bias": True},
)


def activations(config, tokens):
    C, L = config.n_embd, config.n_layer
    # Per token and block both norms' inputs and outputs (4 C), q, k, v (3 C), the attention's
    # result (C), the MLP's hidden layer before and after GELU (8 C) are saved. Dropout saves none.
    # The last norm's input and result, and the gradient of the result, are 3 C more.
    return L * (config.block_size + 1) / 2 * C, tokens * (16 * L + 3) * C


# Fields that differ from the defaults. The tokenizer, "char" unless a preset names another,
# determines vocab_size in training; a preset's vocab_size is for `npgpt info`. Models
# with few channels start by fan-in: examples/studies/12_rows.md compares it with GPT-2's start.
SMALL = {"n_layer": 4, "n_head": 4, "n_embd": 128, "bias": False, "init": "fan_in"}
PRESETS = {
    "tales": SMALL | {
        "vocab_size": 50, "block_size": 256, "corpus": ("tales",), "max_iters": 3000,
        "batch_size": 8, "lr": 6e-3, "min_lr": 1e-4, "eval_stride": 64,
    },
    # Stories in words, to go on from: by characters questions about them are hardly learned
    "tales-words": SMALL | {
        "block_size": 128, "n_layer": 2, "corpus": ("tales",), "tokenizer": "words",
        "vocab_size": 397, "max_iters": 500, "batch_size": 32, "lr": 4e-3, "min_lr": 1e-4,
    },
    # For --conversations tales: stories and questions about them
    "answers": SMALL | {
        "block_size": 128, "n_layer": 2, "conversations": ("tales",), "tokenizer": "words",
        "vocab_size": 428, "max_iters": 6000, "batch_size": 32, "lr": 2e-3, "min_lr": 1e-4,
        "warmup_iters": 50, "sample_tokens": 80,
    },
    # For any other text. It costs as much as shakespeare-cpu, but has a longer window and a higher
    # learning rate, and reaches a lower loss.
    "text": SMALL | {
        "vocab_size": 50, "block_size": 128, "max_iters": 2000, "batch_size": 6, "lr": 6e-3,
    },
    # nanoGPT's recipe for a CPU, with its initial weights, which are GPT-2's
    "shakespeare-cpu": SMALL | {
        "vocab_size": 65, "block_size": 64, "init": "gpt2", "corpus": ("shakespeare",),
        "max_iters": 2000, "batch_size": 12,
    },
    # nanoGPT's recipe for a GPU, likewise
    "shakespeare": {
        "vocab_size": 65, "block_size": 256, "n_layer": 6, "n_head": 6, "n_embd": 384,
        "bias": False, "dropout": 0.2, "init": "gpt2", "corpus": ("shakespeare",),
        "max_iters": 5000, "batch_size": 64,
    },
}

GPT2 = {
    "vocab_size": 50257, "block_size": 1024, "dropout": 0.1, "init": "gpt2",
    "corpus": ("shakespeare",), "batch_size": 1, "gradient_accumulation_steps": 16, "lr": 6e-4,
    "min_lr": 6e-5, "warmup_iters": 200, "beta2": 0.95, "max_iters": 2000,
}
# The published sizes and initial weights.
PRESETS |= {
    "gpt2": GPT2 | {"n_layer": 12, "n_head": 12, "n_embd": 768},
    "gpt2-medium": GPT2 | {"n_layer": 24, "n_head": 16, "n_embd": 1024},
    "gpt2-large": GPT2 | {"n_layer": 36, "n_head": 20, "n_embd": 1280},
    "gpt2-xl": GPT2 | {"n_layer": 48, "n_head": 25, "n_embd": 1600},
}

ARCHITECTURE = Architecture(
    arch="gpt",
    does="continues a text",
    Config=GPTConfig, Model=GPT, Objective=NextToken, write=continue_text,
    files=FILES, activations=activations, presets=PRESETS,
)
