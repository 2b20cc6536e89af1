"""Byte pair encoding: one merge."""

from itertools import pairwise

SECTION = "Tokenization"
TASK = """
Byte pair encoding learns one merge at a time: it takes the most frequent pair of neighbours, and
replaces it everywhere by a new token. Write the replacement: go from left to right, and do not
merge a merged token again (of 7 7 7 and the pair 7 7, the first two become one).
"""
RETURNS = ("ids",)
WHERE = "npgpt.bpe.merge_pair"
HINTS = (
    "Walk over ids with an index that moves by 1, or by 2 after a merge.",
    "At i, the pair is there if ids[i] and ids[i + 1] are its two tokens; mind the last i.",
    "while i < len(ids): if tuple(ids[i : i + 2]) == pair, append new_id and i += 2, else ...",
)


def merge(ids, pair, new_id):
    """Return token ids with new_id in place of each pair; pair is a tuple of two ids."""
    merged, i = [], 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


def cases(rng):
    yield {"ids": [1, 2, 3, 1, 2], "pair": (1, 2), "new_id": 9}
    yield {"ids": [7, 7, 7, 5, 7, 7], "pair": (7, 7), "new_id": 8}
    yield {"ids": [2, 1], "pair": (1, 2), "new_id": 9}
    for size in (0, 1, 40):
        yield {"ids": rng.integers(0, 2, size).tolist(), "pair": (0, 1), "new_id": 2}


def _first_only(ids, pair, new_id):
    for i in range(len(ids) - 1):
        if (ids[i], ids[i + 1]) == pair:
            return ids[:i] + [new_id] + ids[i + 2 :]
    return ids


def _overlapping(ids, pair, new_id):
    starts = [i for i, found in enumerate(pairwise(ids)) if found == pair]
    inside = {i + 1 for i in starts}
    return [new_id if i in starts else token for i, token in enumerate(ids)
            if i in starts or i not in inside]


def _second_kept(ids, pair, new_id):
    found = [i for i in range(len(ids) - 1) if (ids[i], ids[i + 1]) == pair]
    return [new_id if i in found else token for i, token in enumerate(ids)]


def _either_order(ids, pair, new_id):
    merged, i = [], 0
    while i < len(ids):
        here = sorted(ids[i : i + 2]) == sorted(pair)
        merged.append(new_id if here else ids[i])
        i += 2 if here else 1
    return merged


FAULTS = {
    "only the first pair is merged": _first_only,
    "pairs overlap: a merged token is merged again": _overlapping,
    "the second token of a pair stays behind": _second_kept,
    "a pair is taken in either order, and (1, 2) is not (2, 1)": _either_order,
    "the last token is lost": lambda ids, pair, new_id: merge(ids[:-1], pair, new_id),
    "the ids are returned as they were": lambda ids, pair, new_id: ids,
}
