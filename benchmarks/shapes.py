"""The three models whose training is measured, and the matrix products that they consist of."""

from npgpt.config import GPTConfig

# name: (batch, config). Heads are tied, blocks have biases, nothing is dropped.
CONFIGURATIONS = {
    "cpu": (12, GPTConfig(vocab_size=65, block_size=64, n_layer=4, n_head=4, n_embd=128)),
    "baby": (16, GPTConfig(vocab_size=65, block_size=256, n_layer=6, n_head=6, n_embd=384)),
    "gpt2": (2, GPTConfig(vocab_size=50304, block_size=256, n_layer=12, n_head=12, n_embd=768)),
}
TINY = {
    "tiny": (2, GPTConfig(vocab_size=40, block_size=16, n_layer=2, n_head=2, n_embd=16)),
}


def products(batch, config):
    """layer -> (N, I, O): rows, features in and out of each of a model's matrix products."""
    N, C = batch * config.block_size, config.n_embd
    return {
        "qkv": (N, C, 3 * C),
        "attention out": (N, C, C),
        "MLP in": (N, C, 4 * C),
        "MLP out": (N, 4 * C, C),
        "head": (N, C, config.vocab_size),
    }
