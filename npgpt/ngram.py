"""N-gram models: predict the next token by counting what followed the n - 1 tokens before it.

Language models before networks, and landmarks in a GPT's loss curve: a GPT that has learned only
which tokens are frequent equals the unigram model, and one that has learned which token follows
which equals the bigram model. Source: Shannon, A Mathematical Theory of Communication, 1948.
"""

import numpy as np


class NgramModel:
    """An n-gram model: P(token | before) = (count(before, token) + a) / (count(before) + a V)

    `before` is the n - 1 tokens before the token.

    ids_N       the training text as token ids
    n           1, 2, 3, ...: unigram, bigram, trigram
    smoothing   a: the count that each token starts from, so that none is impossible

    Raises ValueError for n < 1 or V^n >= 2^63.
    """

    def __init__(self, ids_N, vocab_size, n, smoothing=0.1):
        if n < 1 or vocab_size**n >= 2**63:
            raise ValueError(f"NgramModel: n={n}, {vocab_size} tokens; use a smaller n, at least 1")
        self.vocab_size, self.n, self.smoothing = vocab_size, n, smoothing
        # An n-gram is a number with n digits in base V: token t after `before` is before * V + t.
        codes = self._codes(np.asarray(ids_N, np.int64))
        self.grams, self.gram_counts = np.unique(codes, return_counts=True)
        self.befores, self.before_counts = np.unique(codes // vocab_size, return_counts=True)

    def probabilities(self, context):
        """Return the distribution (V,) of the token that follows the last n - 1 ids of `context`.

        Raises ValueError for a context of fewer than n - 1 tokens.
        """
        code = self._codes([*context, 0][-self.n :])
        return self._probability(code + np.arange(self.vocab_size))

    def loss(self, ids_N):
        """Return the mean -ln P, in nats per token, over all tokens but the first n - 1."""
        codes = self._codes(np.asarray(ids_N, np.int64))
        return float(-np.log(self._probability(codes)).mean())

    def _codes(self, ids_N):
        length = len(ids_N) - self.n + 1
        if length < 1:
            raise ValueError(f"NgramModel: a text of {len(ids_N)} tokens; give {self.n} or more")
        codes = np.zeros(length, np.int64)
        for i in range(self.n):
            codes = codes * self.vocab_size + ids_N[i : i + length]
        return codes

    def _probability(self, codes):
        gram = _lookup(self.grams, self.gram_counts, codes)
        before = _lookup(self.befores, self.before_counts, codes // self.vocab_size)
        return (gram + self.smoothing) / (before + self.smoothing * self.vocab_size)


def landmarks(train_ids, val_ids, vocab_size):
    """Return [name, nats per token] of the unigram, bigram and trigram model of a text; of fewer
    where it is shorter."""
    return [
        [name, NgramModel(train_ids, vocab_size, n).loss(val_ids)]
        for n, name in enumerate(("unigram", "bigram", "trigram"), 1)
        if min(len(train_ids), len(val_ids)) >= n
    ]


def _lookup(keys, counts, wanted):
    """Return the count of each wanted key, 0 where it is not among the sorted keys."""
    at = np.minimum(np.searchsorted(keys, wanted), len(keys) - 1)
    return np.where(keys[at] == wanted, counts[at], 0)
