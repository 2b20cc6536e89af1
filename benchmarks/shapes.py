"""The models that are measured, their matrix products, and random arrays."""

import numpy as np

from npgpt.config import GPTConfig

# name: (batch, config). Heads are tied, blocks have biases, nothing is dropped.
CONFIGURATIONS = {
    "cpu": (12, GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128)),
    "baby": (16, GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384)),
    "gpt2": (2, GPTConfig(vocab_size=50304, block_size=256, n_layer=12, n_head=12, n_embd=768)),
}
TINY = {  # as wide as a block of llama.cpp's Q8_0
    "tiny": (2, GPTConfig(vocab_size=40, block_size=16, n_layer=2, n_head=2, n_embd=32)),
}
# Those that generate: `gpt2` is the published 124M, whose output layer has 50257 rows.
GENERATED = {
    "tales": GPTConfig(50, block_size=256, n_layer=4, n_head=4, n_embd=128),
    "baby": GPTConfig(65, block_size=256, n_layer=6, n_head=6, n_embd=384),
    "gpt2": GPTConfig(50257, block_size=1024, n_layer=12, n_head=12, n_embd=768),
}
LR, BETAS, EPS, DECAY, CLIP = 1e-3, (0.9, 0.99), 1e-8, 0.1, 1.0  # what `npgpt.AdamW` starts from


def models(quick):
    return TINY if quick else CONFIGURATIONS


def products(batch, config):
    """Return layer -> (N, I, O): rows, features in and out of a model's matrix products."""
    N, C = batch * config.block_size, config.n_embd
    return {
        "qkv": (N, C, 3 * C),
        "attention out": (N, C, C),
        "MLP in": (N, C, 4 * C),
        "MLP out": (N, 4 * C, C),
        "head": (N, C, config.vocab_size),
    }


def random(*shape, seed=0):
    """Return standard normal numbers in float32: the same for every runner."""
    return np.random.default_rng(seed).standard_normal(shape, np.float32)


def operands(form, Z, M, N, K):
    """Return a and b of a stack of Z products c (M, N) of K terms, stored as `form` reads them.

    form   "nn": a b    "nt": a b^T, b stored (Z, N, K)    "tn": a^T b, a stored (Z, K, M)
    """
    a = random(Z, K, M) if form == "tn" else random(Z, M, K)
    return a, random(Z, N, K, seed=1) if form == "nt" else random(Z, K, N, seed=1)


def op_arrays(name, sizes):
    """Return (inputs, targets, gradient of the output) of an op; sizes: of its first input."""
    N, C = sizes[0], sizes[-1]
    more = {"layer_norm": [(C,), (C,)], "attention": [sizes, sizes]}.get(name, [])
    inputs = [random(*shape, seed=seed) for seed, shape in enumerate([sizes, *more])]
    targets = np.random.default_rng(0).integers(0, C, N)
    return inputs, targets, None if name == "cross_entropy" else random(*sizes, seed=3)


def tokens(batch, config):
    """Return inputs and targets, (B, T) each."""
    rng = np.random.default_rng(0)
    return rng.integers(0, config.vocab_size, (2, batch, config.block_size))


def prompts(batch, length, config):
    """Return prompts (batch, length) for a model of these settings (a dict)."""
    return np.random.default_rng(5).integers(0, config["vocab_size"], (batch, length))
