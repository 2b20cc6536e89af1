"""How large a model is: parameters by part, arithmetic per token, memory of a training step.

Parameters are counted on a model of one block whose weights are not drawn, so that one of 1.5
billion need not be built.
"""

import math
import os
from collections import Counter
from dataclasses import replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from autograd.ops.loss import chunk_rows
from npgpt.gpt import without_initial_weights
from npgpt.models import architecture_of

# how the name of a weight's module begins -> the part of the model
PARTS = {
    "wte": "token embedding", "wpe": "position embedding", "wse": "segment embedding",
    "buckets": "position biases", "attn": "attention", "mlp": "MLP", "ln_": "norms",
    "ln_f": "final norm", "lm_head": "output head", "mlm": "output head",
}
TABLES = ("token embedding", "position embedding", "segment embedding", "position biases")


def parameters_by_part(config):
    """Return {part of the model: number of parameters}. A tied head counts once, as embedding."""
    counts = Counter()
    for part, shape, blocks in _weights(config):
        counts[part] += math.prod(shape) * blocks
    return {part: counts[part] for part in dict.fromkeys(PARTS.values()) if part in counts}


def _weights(config):
    """Yield (part of the model, shape, number of blocks that have it) of each weight."""
    one = {name: 1 for name in ("n_layer", "n_decoder_layer") if hasattr(config, name)}
    with without_initial_weights(_number):
        model = architecture_of(config).Model(replace(config, **one))
    for name, weight in model.parameters().items():
        modules = name.split(".")
        part = PARTS[max((mark for mark in PARTS for m in modules if m.startswith(mark)), key=len)]
        blocks = config.decoder_layers if modules[0] == "decoder" else config.n_layer
        yield part, weight.shape, blocks if "h" in modules else 1


def _number(shape, dtype):
    """Return an array of this shape whose entries are all one number, in no more memory."""
    return as_strided(np.zeros(1, dtype), shape, (0,) * len(shape))


def check_size(config, arrays, where):
    """Raise ValueError if a model of this config is more than twice as large as the weights found.

    Such a model is never built. In a smaller one, the loader names the weight that does not fit.
    """
    most = 2 * sum(array.size for array in arrays.values())
    rows = max(config.vocab_size, config.block_size * ("wpe.weight" in arrays))
    try:
        fits = rows * config.n_embd <= most and sum(parameters_by_part(config).values()) <= most
    except (MemoryError, ValueError):  # an array of that size, though none is filled
        fits = False
    if not fits:
        raise ValueError(f"{where} has {most // 2:,} weights, and the model in config.json more "
                         "than twice as many; use the files of one model")


def flops_per_token(config):
    """Return the FLOPs of a forward pass per token of a full block.

    Each weight of a matrix product takes one multiplication and one addition. Causal attention
    reads (T + 1) / 2 keys and values on average, bidirectional attention T, and each takes the same
    two FLOPs per channel. Norms, activations, rotary positions and softmax are left out. A training
    step takes three times as many, since backward has two products for each one, a gradient for
    each operand.
    """
    products = sum(math.prod(shape) * blocks for part, shape, blocks in _weights(config)
                   if len(shape) == 2 and part not in TABLES)
    if getattr(config, "tie_weights", True):  # the head's is the table
        products += config.vocab_size * config.n_embd
    keys, _ = architecture_of(config).activations(config, 0)
    return int(2 * products + 4 * keys)


def step_memory(config, batch_size, batches=1):
    """Return {part: bytes of float32} of a step of `batches` micro-batches (batch_size, block_size)
    with the compiled kernels; plain NumPy takes more. For a T5, source and target have this size.

    weights, gradients   of each parameter; gradients are there after backward
    moments              AdamW's two of each parameter
    accumulated          the sum of earlier micro-batches' gradients, if a step has several
    activations          the arrays that the forward pass saves for backward
    head                 the arrays of the output layer and the loss: the gradient of the table, a
                         chunk of logits and its gradient; for an untied head a copy of the table
    total                the peak: during backward, gradients replace activations
    """
    V = config.vocab_size
    tokens = batch_size * config.block_size
    weights = 4 * sum(parameters_by_part(config).values())
    tables = 1 if getattr(config, "tie_weights", False) else 2  # the loss transposes an untied head
    accumulated = weights if batches > 1 else 0
    activations = 4 * architecture_of(config).activations(config, tokens)[1]
    head = 4 * V * (tables * config.n_embd + 2 * min(tokens, chunk_rows(V)))
    return {
        "weights": weights, "moments": 2 * weights, "gradients": weights,
        "accumulated": accumulated, "activations": activations, "head": head,
        "total": 3 * weights + accumulated + max(weights, activations + head),
    }


def tokens_per_step(model_config, training):
    windows = training.batch_size * training.gradient_accumulation_steps
    return windows * model_config.block_size


def check_memory(model_config, training):
    """Raise ValueError if a training step takes more memory than is there."""
    try:
        there = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # Windows
        return
    B, batches = training.batch_size, training.gradient_accumulation_steps
    needed = step_memory(model_config, B, batches)["total"]
    needed += 8 * B * batches  # where the windows start
    if needed > there:
        raise ValueError(
            f"a step of {B:,} x {model_config.block_size:,} tokens on a model of "
            f"{model_config.n_layer:,} layers and {model_config.n_embd:,} channels takes "
            f"{needed / 1e9:,.1f} GB of memory, but this machine has {there / 1e9:,.1f}; use a "
            "smaller --block-size, --batch-size or --gradient-accumulation-steps, and in a new "
            "model --n-embd or --n-layer"
        )
