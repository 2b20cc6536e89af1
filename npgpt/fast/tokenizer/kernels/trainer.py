"""Merges learned from counted words.

The words lie end to end in an array of tokens, and the positions of a word are linked both ways. A
merge writes the new token to the position of its left part and unlinks the position of its right.

Every pair has a count and a list of the positions where it occurred. A heap has the most frequent
pair on top. Neither the lists nor the heap are corrected when another merge takes an occurrence
away: a position is checked again when its pair is merged, and a pair whose count has fallen since
it went on the heap goes back with its present count. Counts rise only for pairs with the token that
was just made, so only these pairs are pushed later.

So a merge costs in proportion to the positions that it changes, not to the text.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.fast.tokenizer.kernels.tables import EMPTY, FULL, find, inlined, new_size, put

PAIRS, ITEMS, HEAPED = range(3)  # what Pairs.used counts


class Words(NamedTuple):
    """Words by position: its token, its neighbours' positions, and the count of its word.

    -1 is no position: before the first and after the last token of a word.
    """

    token: np.ndarray
    before: np.ndarray
    after: np.ndarray
    times: np.ndarray


class Pairs(NamedTuple):
    """Pairs by index: their two tokens, their count, and the first item of their list.

    table: hash table from (left, right) to index. item_position, item_next: the lists of positions.
    heap_count, heap_pair: the heap. used: the numbers of pairs, list items and heap entries.
    token_bits: bits of a token in a key. rank_of: the rank of each token, which decides ties.
    """

    left: np.ndarray
    right: np.ndarray
    count: np.ndarray
    first: np.ndarray
    table: np.ndarray
    item_position: np.ndarray
    item_next: np.ndarray
    heap_count: np.ndarray
    heap_pair: np.ndarray
    used: np.ndarray
    token_bits: int
    rank_of: np.ndarray


def new_pairs(capacity, positions, tokens, rank_of):
    """Return room for `capacity` distinct pairs, in words of so many positions and tokens."""
    left, right, first = (np.empty(capacity, np.int32) for _ in range(3))
    count, table = np.zeros(capacity, np.int64), np.full(new_size(capacity), EMPTY, np.uint64)
    item_position, item_next = (np.empty(3 * positions + 1, np.int32) for _ in range(2))
    heap_count, heap_pair = np.empty(capacity + 1, np.int64), np.empty(capacity + 1, np.int32)
    return Pairs(
        left, right, count, first, table, item_position, item_next, heap_count, heap_pair,
        np.zeros(3, np.int64), int(tokens - 1).bit_length(), rank_of,
    )


@inlined
def _add(pairs, left, right, position, times):
    """Count a pair at one more position; return False if there is no room for a new pair."""
    bits = pairs.token_bits
    key = left << bits | right
    index = find(pairs.table, key, 63 - 2 * bits)
    if index < 0 and pairs.used[PAIRS] < len(pairs.left):
        index = pairs.used[PAIRS]
        put(pairs.table, key, index, 63 - 2 * bits)
        pairs.left[index], pairs.right[index] = left, right
        pairs.count[index], pairs.first[index] = 0, -1
        pairs.used[PAIRS] += 1
    if index >= 0:
        pairs.count[index] += times
        item = pairs.used[ITEMS]
        pairs.item_position[item], pairs.item_next[item] = position, pairs.first[index]
        pairs.first[index] = item
        pairs.used[ITEMS] += 1
    return index >= 0


@inlined
def _remove(pairs, left, right, times):
    bits = pairs.token_bits
    index = find(pairs.table, left << bits | right, 63 - 2 * bits)
    pairs.count[index] -= times


@inlined
def _comes_first(pairs, count, pair, other_count, other):
    """Return True if `pair` goes above `other` on the heap: more frequent, or of smaller ranks."""
    first = count > other_count
    if count == other_count:
        rank, other_rank = pairs.rank_of[pairs.left[pair]], pairs.rank_of[pairs.left[other]]
        if rank == other_rank:
            rank, other_rank = pairs.rank_of[pairs.right[pair]], pairs.rank_of[pairs.right[other]]
        first = rank < other_rank
    return first


@inlined
def _push(pairs, count, pair):
    counts, heap = pairs.heap_count, pairs.heap_pair
    slot = pairs.used[HEAPED]
    pairs.used[HEAPED] += 1
    while slot > 0:
        parent = (slot - 1) >> 1
        if not _comes_first(pairs, count, pair, counts[parent], heap[parent]):
            break
        counts[slot], heap[slot] = counts[parent], heap[parent]
        slot = parent
    counts[slot], heap[slot] = count, pair


@inlined
def _sink(pairs, count, pair):
    """Replace the top pair of the heap."""
    counts, heap = pairs.heap_count, pairs.heap_pair
    size = pairs.used[HEAPED]
    slot = 0
    while 2 * slot + 1 < size:
        child = 2 * slot + 1
        if child + 1 < size and _comes_first(
            pairs, counts[child + 1], heap[child + 1], counts[child], heap[child]
        ):
            child += 1
        if not _comes_first(pairs, counts[child], heap[child], count, pair):
            break
        counts[slot], heap[slot] = counts[child], heap[child]
        slot = child
    counts[slot], heap[slot] = count, pair


@inlined
def _most_frequent(pairs):
    """Take the most frequent pair off the heap and return it; -1 if none is left."""
    found = np.int64(-1)
    while pairs.used[HEAPED] > 0:
        count, pair = pairs.heap_count[0], np.int64(pairs.heap_pair[0])
        present = pairs.count[pair]
        if present == count:
            found = pair
        if present > 0 and present != count:
            _sink(pairs, present, pair)
            continue
        pairs.used[HEAPED] -= 1
        size = pairs.used[HEAPED]
        if size > 0:
            _sink(pairs, pairs.heap_count[size], np.int64(pairs.heap_pair[size]))
        if found >= 0:
            break
    return found


@lean_kernel
def count_pairs(words, pairs):
    """Count the pairs of all words; return False if there is no room for so many."""
    for position in range(len(words.token) - 1, -1, -1):  # backwards: the lists go forwards
        after = words.after[position]
        if after >= 0:
            left, right = np.int64(words.token[position]), np.int64(words.token[after])
            if not _add(pairs, left, right, position, words.times[position]):
                return False
    for pair in range(pairs.used[PAIRS]):
        _push(pairs, pairs.count[pair], pair)
    return True


@lean_kernel
def learn_merges(words, pairs, first_token, merges_M2):
    """Learn len(merges_M2) merges and write them; merge i makes token first_token + i.

    Returns how many were learned: fewer if no pair is left, FULL if there is no room for the pairs.
    """
    token, before, after = words.token, words.before, words.after
    for m in range(len(merges_M2)):
        pair = _most_frequent(pairs)
        if pair < 0:
            return m
        left, right = np.int64(pairs.left[pair]), np.int64(pairs.right[pair])
        new = first_token + m
        merges_M2[m, 0], merges_M2[m, 1] = left, right
        known = pairs.used[PAIRS]
        item = np.int64(pairs.first[pair])
        while item >= 0:
            position = np.int64(pairs.item_position[item])
            item = np.int64(pairs.item_next[item])
            # Of "aaa" the left two are merged: go back to where the run of equal tokens begins.
            while left == right and token[position] == left and before[position] >= 0:
                if token[before[position]] != left:
                    break
                position = np.int64(before[position])
            while (
                token[position] == left and after[position] >= 0 and token[after[position]] == right
            ):
                times = words.times[position]
                gone = np.int64(after[position])
                previous, following = np.int64(before[position]), np.int64(after[gone])
                pairs.count[pair] -= times
                token[position], token[gone] = new, -1
                after[position] = following
                if previous >= 0:
                    other = np.int64(token[previous])
                    _remove(pairs, other, left, times)
                    if not _add(pairs, other, new, previous, times):
                        return FULL
                if following < 0:
                    break
                before[following] = position
                other = np.int64(token[following])
                _remove(pairs, right, other, times)
                if not _add(pairs, new, other, position, times):
                    return FULL
                position = following
                if left != right:
                    break
        for index in range(known, pairs.used[PAIRS]):
            if pairs.count[index] > 0:
                _push(pairs, pairs.count[index], index)
    return len(merges_M2)
