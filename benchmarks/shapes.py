"""The models that are measured, the ops of their training steps, and random arrays."""

import numpy as np

from npgpt import GPTConfig

# name: (batch, config). Heads are tied, blocks have biases, nothing is dropped.
MODELS = {
    "tales": (8, GPTConfig(vocab_size=50, block_size=256, n_layer=4, n_head=4, n_embd=128)),
    "cpu": (12, GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128)),
    "baby": (16, GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384)),
    "gpt2": (2, GPTConfig(vocab_size=50304, block_size=256, n_layer=12, n_head=12, n_embd=768)),
}
LR, BETAS, EPS, DECAY, CLIP = 1e-3, (0.9, 0.99), 1e-8, 0.1, 1.0  # what `npgpt.AdamW` starts from


def models(short):
    """Return `MODELS`, the first alone for a short run."""
    return dict(list(MODELS.items())[: 1 if short else None])


def ops(batch, config):
    """Return {what: (op, sizes)} of a training step; the first size is of the op's input."""
    N, C, H = batch * config.block_size, config.n_embd, config.n_head
    return {
        "layer qkv": ("linear", (N, C, 3 * C)),
        "layer attention out": ("linear", (N, C, C)),
        "layer MLP in": ("linear", (N, C, 4 * C)),
        "layer MLP out": ("linear", (N, 4 * C, C)),
        "layer head": ("linear", (N, C, config.vocab_size)),
        "attention": ("attention", (batch, H, config.block_size, C // H)),
        "layer norm": ("layer_norm", (N, C)),
        "softmax": ("softmax", (N, config.block_size)),
        "GELU": ("gelu", (N, 4 * C)),
        "cross-entropy": ("cross_entropy", (N, config.vocab_size)),
    }


def op_flops(op, sizes):
    """Return the FLOPs of forward and backward, None for an op that is not made of products."""
    if op == "linear":
        N, n_in, n_out = sizes
        return 6 * N * n_in * n_out
    if op == "attention":  # seven products of a causal half
        B, H, T, D = sizes
        return 14 * B * H * T * (T + 1) / 2 * D
    return None


def random(*shape, seed=0):
    """Return standard normal numbers in float32: the same for every runner."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def op_arrays(op, sizes):
    """Return (inputs, targets, gradient of the output) of an op."""
    shapes, out = [sizes], sizes
    if op == "linear":
        N, n_in, n_out = sizes
        shapes, out = [(N, n_in), (n_in, n_out)], (N, n_out)
    elif op == "layer_norm":
        shapes += [sizes[1:], sizes[1:]]
    elif op == "attention":
        shapes += [sizes, sizes]
    inputs = [random(*shape, seed=seed) for seed, shape in enumerate(shapes)]
    targets = np.random.default_rng(0).integers(0, sizes[-1], sizes[0])
    return inputs, targets, None if op == "cross_entropy" else random(*out, seed=3)


def tokens(batch, config):
    """Return inputs and targets, (B, T) each."""
    rng = np.random.default_rng(0)
    return rng.integers(0, config.vocab_size, (2, batch, config.block_size))
