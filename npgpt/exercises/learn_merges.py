"""Byte pair encoding: the training."""

from npgpt.exercises.merge import merge

TASK = """
Byte pair encoding learns its merges from a text: it counts all pairs of neighbours, merges the most
frequent pair everywhere into a new token, and counts again. Of equally frequent pairs take the
smallest, as Python compares tuples. New tokens are numbered from first_id on.
"""
HELPERS = (merge,)
RETURNS = "merges"
WHERE = "npgpt.tokenizers.byte_pair_encoding.learn_merges"
HINTS = """
Count the pairs in a dict: one more for (ids[i], ids[i + 1]).
The most frequent, and the smallest of equals: min(counts, key=lambda p: (-counts[p], p)).
for new_id in range(first_id, first_id + count): find the pair, store it, ids = merge(...)
"""


def learn_merges(ids, count, first_id):
    """Return a list of pairs, the first learned first; fewer than `count` if no pair is left."""
    merges = []
    while len(merges) < count and len(ids) > 1:
        counts = {}
        for i in range(len(ids) - 1):
            pair = ids[i], ids[i + 1]
            counts[pair] = counts.get(pair, 0) + 1
        pair = min(counts, key=lambda p: (-counts[p], p))
        ids = merge(ids, pair, first_id + len(merges))
        merges.append(pair)
    return merges


def cases(rng):
    yield {"ids": [1, 2, 3, 1, 2, 3, 3], "count": 2, "first_id": 4}
    yield {"ids": [3, 3, 0, 1, 0, 1, 3, 3], "count": 3, "first_id": 4}
    yield {"ids": [5], "count": 1, "first_id": 6}
    yield {"ids": rng.integers(0, 3, 60).tolist(), "count": 6, "first_id": 3}


FAULTS = {
    "each merge needs a new token: first_id, first_id + 1, ...; here all merges get first_id":
        {"first_id + len(merges)": "first_id"},
    "the pairs are counted only once: count again after each merge, when new pairs exist":
        {"    merges = []": "    merges, text = [], ids", "len(ids)": "len(text)",
         "ids[i], ids[i + 1]": "text[i], text[i + 1]",
         "        pair = min(": "        counts = {p: n for p, n in counts.items() "
                                 "if p not in merges} or counts\n        pair = min("},
    "no pair is left, and the loop goes on: end it when ids has one token":
        {" and len(ids) > 1": ""},
    "the text stays as it was: each merge has to be applied before the next count":
        {"ids = merge(": "merge("},
    "the counts of earlier rounds are still in it":
        {"    merges = []": "    merges, counts = [], {}", "        counts = {}\n": ""},
    "the least frequent pair is merged": {"(-counts[p], p)": "(counts[p], p)"},
    "of equally frequent pairs the one that comes first in the text is taken":
        {"(-counts[p], p)": "-counts[p]"},
    "of equally frequent pairs the largest is taken":
        {"min(counts, key=lambda p: (-counts[p], p))": "max(counts, key=lambda p: (counts[p], p))"},
}
