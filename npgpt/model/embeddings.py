"""Embedding: a table with one learned vector per index.

A GPT has two of them and adds what it looks up: one row per token id (what stands here) and one
row per position (where it stands).    token (V, C), position (block_size, C)
"""

from autograd import embedding
from npgpt.model.module import INIT_STD, Module, normal


class Embedding(Module):
    """y = weight[indices].    weight (rows, C), indices (...) -> y (..., C)"""

    def __init__(self, rng, n_rows, n_embd, *, dtype, std=INIT_STD):
        self.weight = normal(rng, (n_rows, n_embd), std, dtype)

    def __call__(self, indices):
        return embedding(self.weight, indices)
