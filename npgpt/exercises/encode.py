"""Byte pair encoding: from a text to tokens."""

from itertools import pairwise

from npgpt.exercises.merge import merge

SECTION = "Tokenization"
TASK = """
Encode with learned merges. Of the pairs of neighbours in ids, merge the one that was learned first,
everywhere; repeat until no pair has a merge. The order counts: with (b, c) learned before (a, b),
a b c becomes a bc.
"""
HELPERS = (merge,)
RETURNS = ("ids",)
WHERE = "npgpt.bpe.encode_word"
HINTS = (
    "A merge that was learned earlier has a smaller new id: merges maps a pair to that id.",
    "List all pairs of neighbours. Of the pairs in merges take the one with the least new id.",
    "while True: pairs = [...]; if there are none, return ids; pair = min(pairs, key=merges.get)",
)


def encode(ids, merges):
    """Return token ids with all merges applied.    merges: pair of ids -> new id"""
    while True:
        pairs = [(ids[i], ids[i + 1]) for i in range(len(ids) - 1)]
        pairs = [pair for pair in pairs if pair in merges]
        if not pairs:
            return ids
        pair = min(pairs, key=merges.get)
        ids = merge(ids, pair, merges[pair])


def cases(rng):
    merges = {(1, 2): 10, (0, 1): 11, (11, 2): 12, (10, 10): 13, (2, 0): 14}
    yield {"ids": [0, 1, 2], "merges": merges}
    yield {"ids": [0, 1, 2, 1, 2, 0, 1], "merges": merges}
    for size in (0, 1, 30, 30):
        yield {"ids": rng.integers(0, 3, size).tolist(), "merges": merges}


def _by(key, once=False):
    def encode(ids, merges):
        while True:
            pairs = [pair for pair in pairwise(ids) if pair in merges]
            if not pairs:
                return ids
            pair = key(pairs, merges)
            ids = merge(ids, pair, merges[pair])
            if once:
                return ids

    return encode


def _one_pass(ids, merges):
    for pair, new_id in list(merges.items())[:2]:
        ids = merge(ids, pair, new_id)
    return ids


FAULTS = {
    "the leftmost pair is merged first, whenever it was learned": _by(
        lambda pairs, merges: pairs[0]
    ),
    "the pair that was learned last is merged first": _by(
        lambda pairs, merges: max(pairs, key=merges.get)
    ),
    "it ends after one merge": _by(lambda pairs, merges: min(pairs, key=merges.get), once=True),
    "a merged token is never merged with its neighbours again": _one_pass,
    "nothing is merged": lambda ids, merges: ids,
}
