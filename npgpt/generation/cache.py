"""Keys and values of the tokens read so far, so that a new token costs one position, not all.

In a causal model nothing that follows can change what a position computed. Its keys and values, in
every layer, are therefore kept, and a step of generation computes those of the new token only.
"""

import numpy as np


class KVCache:
    """For each layer the keys and values (B, H, S, D) of the S tokens read so far.

    longest   the most tokens that it will hold: room for all is made at the first
    """

    def __init__(self, longest):
        self.longest, self.length = longest, 0  # S, of layers that have seen all tokens
        self.layers = {}

    def extend(self, layer, k_BHTD, v_BHTD):
        """Add those of T new tokens in one layer; return all S + T of its keys and values."""
        B, H, T, D = k_BHTD.shape
        if layer not in self.layers:
            self.layers[layer] = np.empty((2, B, H, self.longest, D), k_BHTD.dtype)
        kv, end = self.layers[layer], self.length + T
        kv[0, :, :, self.length : end], kv[1, :, :, self.length : end] = k_BHTD, v_BHTD
        return kv[0, :, :, :end], kv[1, :, :, :end]


class CachedLogits:
    """The logits after each of several contexts, which computes only what it has not seen.

    forward      maps (new token ids (B, T), KVCache of the ones before) to logits (B, V)
    block_size   of the model

    A context that continues the last one is computed from the cache. Any other, such as a window
    that has slid and so gave each token another position, is computed afresh. Contexts of one
    length are a batch.
    """

    takes_rows = True

    def __init__(self, forward, block_size):
        self.forward, self.block_size = forward, block_size
        self.groups = {}  # indices of contexts: (token ids read, KVCache)

    def __call__(self, contexts):
        """Logits (B, V) for B contexts (T,)."""
        lengths = [len(context) for context in contexts]
        groups, parts = {}, []
        for length in dict.fromkeys(lengths):
            rows = tuple(b for b, other in enumerate(lengths) if other == length)
            context_BT = np.stack([contexts[b] for b in rows])
            read_BT, cache = self._continued(rows, context_BT)
            parts.append(self.forward(context_BT[:, read_BT.shape[1] :], cache))
            cache.length = length
            groups[rows] = context_BT, cache
        self.groups = groups
        order = np.argsort(np.concatenate(list(groups)))
        return np.concatenate(parts)[order]

    def _continued(self, rows, context_BT):
        read_BT, cache = self.groups.get(rows, (context_BT, None))
        S = read_BT.shape[1]
        if context_BT.shape[1] > S and np.array_equal(context_BT[:, :S], read_BT):
            return read_BT, cache
        return context_BT[:, :0], KVCache(self.block_size)
