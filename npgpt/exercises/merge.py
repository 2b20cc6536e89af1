"""Byte pair encoding: one merge."""

TASK = """
Byte pair encoding learns one merge at a time: it takes the most frequent pair of neighbours, and
replaces it everywhere by a new token. Write the replacement: go from left to right, and do not
merge a merged token again (of 7 7 7 and the pair 7 7, the first two become one).
"""
RETURNS = "ids"
WHERE = "npgpt.tokenizers.byte_pair_encoding.merge_pair"
HINTS = """
Walk over ids with an index that moves by 1, or by 2 after a merge.
At i, the pair is there if ids[i] and ids[i + 1] are its two tokens; mind the last i.
while i < len(ids): if tuple(ids[i : i + 2]) == pair, append new_id and i += 2, else ...
"""


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


FAULTS = {
    "only the first pair is merged": {"i += 2": "return merged + ids[i + 2 :]"},
    "pairs overlap: a merged token is merged again":
        {"i += 2": "i += 1 if tuple(ids[i + 1 : i + 3]) == pair else 2"},
    "the second token of a pair stays behind": {"i += 2": "i += 1"},
    "a pair is taken in either order, and (1, 2) is not (2, 1)":
        {"== pair": "in (pair, pair[::-1])"},
    "the last token is lost, unless it is part of a pair": {"i < len(ids)": "i < len(ids) - 1"},
    "the last token has no right neighbour: at the last i, ids[i + 1] is past the end":
        {"tuple(ids[i : i + 2]) == pair": "(ids[i], ids[i + 1]) == pair"},
    "a list is never equal to a tuple: [1, 2] == (1, 2) is False, so nothing is merged":
        {"tuple(ids[i : i + 2])": "ids[i : i + 2]"},
    "the list gets shorter with each merge, and the loop still counts to its old end":
        {"    merged, i = [], 0\n":
         "    out = list(ids)\n    for i in range(len(out) - 1):\n"
         "        if (out[i], out[i + 1]) == pair:\n            out[i : i + 2] = [new_id]\n"
         "    return out\n    merged, i = [], 0\n"},
    "after a merge i moves by 1 and the loop ends before the last token":
        {"i < len(ids)": "i < len(ids) - 1", "i += 2": "i += 1"},
}
