"""Keys and values of the tokens read so far, so that a new token costs one position, not all.

In a causal model nothing that follows can change what a position computed. Its keys and values, in
every layer, are therefore kept, and a step of generation computes those of the new token only.
"""

import numpy as np


class KVCache:
    """For each layer the keys and values (B, H, S, D) of the S tokens read so far."""

    def __init__(self):
        self.length = 0  # S, of layers that have seen all tokens
        self.layers = {}

    def extend(self, layer, k_BHTD, v_BHTD):
        """Append those of T new tokens in one layer; return all S + T of its keys and values."""
        if layer in self.layers:
            k, v = self.layers[layer]
            k_BHTD = np.concatenate([k, k_BHTD], axis=2)
            v_BHTD = np.concatenate([v, v_BHTD], axis=2)
        self.layers[layer] = k_BHTD, v_BHTD
        return k_BHTD, v_BHTD


class CachedLogits:
    """`next_logits(context)` that computes only what the last context did not hold.

    forward   maps (new token ids (B, T), KVCache of the ones before) to logits (B, V)

    A context that continues the last one is computed from the cache. Any other, such as a window
    that has slid and so gave each token another position, is computed afresh.
    """

    def __init__(self, forward):
        self.forward = forward
        self.read_BT, self.cache = None, None

    def __call__(self, context_BT):
        if not self._continues(context_BT):
            self.read_BT, self.cache = context_BT[:, :0], KVCache()
        new_BT = context_BT[:, self.read_BT.shape[1] :]
        logits_BV = self.forward(new_BT, self.cache)
        self.read_BT = context_BT
        self.cache.length = context_BT.shape[1]
        return logits_BV

    def _continues(self, context_BT):
        if self.read_BT is None or len(self.read_BT) != len(context_BT):
            return False
        S = self.read_BT.shape[1]
        return context_BT.shape[1] > S and np.array_equal(context_BT[:, :S], self.read_BT)
