"""Byte pair encoding: from a text to tokens."""

from npgpt.exercises.merge import merge

TASK = """
Encode with learned merges. Of the pairs of neighbours in ids, merge the one that was learned first,
everywhere; repeat until no pair has a merge. The order counts: with (b, c) learned before (a, b),
a b c becomes a bc.
"""
HELPERS = (merge,)
RETURNS = "ids"
WHERE = "npgpt.tokenizers.byte_pair_encoding.encode_word"
HINTS = """
A merge that was learned earlier has a smaller new id: merges maps a pair to that id.
List all pairs of neighbours. Of the pairs in merges take the one with the least new id.
while True: pairs = [...]; if there are none, return ids; pair = min(pairs, key=merges.get)
"""


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


FAULTS = {
    "the leftmost pair is merged first, whenever it was learned":
        {"min(pairs, key=merges.get)": "pairs[0]"},
    "the pair that was learned last is merged first": {"min(": "max("},
    "the most frequent pair is merged first; the order of learning decides":
        {"min(pairs, key=merges.get)": "max(pairs, key=pairs.count)"},
    "it ends after one merge": {"ids = merge(": "return merge("},
    "a merged token is never merged with its neighbours again":
        {"if pair in merges": "if pair in merges and max(pair) < min(merges.values())"},
    "nothing is merged": {"if not pairs": "if True"},
}
