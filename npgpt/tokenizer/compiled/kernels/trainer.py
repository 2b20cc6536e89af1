"""Learning merges from counted words.

The words lie one behind the other in `symbol`, one token a place, and `before` and `after` link the
places of a word. A merge writes the new token to the place of its left part and unlinks the other.

For every pair there is a number, and under it how often the pair occurs and a list of the places
where it did. A heap has the most frequent pair on top. Neither is corrected when a merge elsewhere
takes an occurrence away: a place is looked at again when its pair's turn comes, and a pair whose
count fell since it was put on the heap goes back with what is left. Counts only rise for pairs with
the token that was just made, so all that is ever put on the heap anew are these.

So a merge costs in proportion to the places that it changes, not to the text.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.tokenizer.compiled.kernels.counter import FULL
from npgpt.tokenizer.compiled.kernels.tables import EMPTY, find, inlined, new_size, put

PAIRS, LISTED, HEAPED = range(3)  # places in Pairs.used


class Words(NamedTuple):
    """The words as linked places, and how often each place's word occurs; -1 ends a word."""

    symbol: np.ndarray
    before: np.ndarray
    after: np.ndarray
    times: np.ndarray


class Pairs(NamedTuple):
    """Pairs by number: their two tokens, count, rank among equals, and first place in the list.

    table: hash table from (left, right) to number. listed_at, listed_next: the lists of places.
    heap_count, heap_pair: the heap. used: how many pairs, list items and heap items there are.
    token_bits: bits of a token in a key. rank_of: what decides among equals, by token.
    """

    left: np.ndarray
    right: np.ndarray
    count: np.ndarray
    first: np.ndarray
    table: np.ndarray
    listed_at: np.ndarray
    listed_next: np.ndarray
    heap_count: np.ndarray
    heap_pair: np.ndarray
    used: np.ndarray
    token_bits: int
    rank_of: np.ndarray


def new_pairs(room, places, tokens, rank_of):
    """Room for `room` different pairs in words of `places` tokens, of `tokens` different ones."""
    left, right, first = (np.empty(room, np.int32) for _ in range(3))
    count, table = np.zeros(room, np.int64), np.full(new_size(room), EMPTY, np.uint64)
    listed_at, listed_next = (np.empty(3 * places + 1, np.int32) for _ in range(2))
    heap_count, heap_pair = np.empty(room + 1, np.int64), np.empty(room + 1, np.int32)
    return Pairs(
        left, right, count, first, table, listed_at, listed_next, heap_count, heap_pair,
        np.zeros(3, np.int64), int(tokens - 1).bit_length(), rank_of,
    )  # fmt: skip


@inlined
def _number_of(pairs, left, right):
    """The number of a pair, or FULL if there is no more room for a new one."""
    bits = pairs.token_bits
    key = left << bits | right
    number = find(pairs.table, key, 63 - 2 * bits)
    if number < 0:
        number = pairs.used[PAIRS]
        if number == len(pairs.left):
            number = np.int64(FULL)
        else:
            put(pairs.table, key, number, 63 - 2 * bits)
            pairs.left[number], pairs.right[number] = left, right
            pairs.count[number], pairs.first[number] = 0, -1
            pairs.used[PAIRS] += 1
    return number


@inlined
def _add(pairs, left, right, place, times):
    """Count one more place of a pair; return False if there is no room."""
    number = _number_of(pairs, left, right)
    if number >= 0:
        pairs.count[number] += times
        item = pairs.used[LISTED]
        pairs.listed_at[item], pairs.listed_next[item] = place, pairs.first[number]
        pairs.first[number] = item
        pairs.used[LISTED] += 1
    return number >= 0


@inlined
def _remove(pairs, left, right, times):
    bits = pairs.token_bits
    number = find(pairs.table, left << bits | right, 63 - 2 * bits)
    pairs.count[number] -= times


@inlined
def _comes_first(pairs, count, pair, other_count, other):
    """Whether a pair stands above another on the heap: more frequent, or of smaller ranks."""
    first = count > other_count
    if count == other_count:
        rank, other_rank = pairs.rank_of[pairs.left[pair]], pairs.rank_of[pairs.left[other]]
        if rank == other_rank:
            rank, other_rank = pairs.rank_of[pairs.right[pair]], pairs.rank_of[pairs.right[other]]
        first = rank < other_rank
    return first


@inlined
def _push(pairs, count, pair):
    counts, numbers = pairs.heap_count, pairs.heap_pair
    at = pairs.used[HEAPED]
    pairs.used[HEAPED] += 1
    while at > 0:
        parent = (at - 1) >> 1
        if not _comes_first(pairs, count, pair, counts[parent], numbers[parent]):
            break
        counts[at], numbers[at] = counts[parent], numbers[parent]
        at = parent
    counts[at], numbers[at] = count, pair


@inlined
def _sink(pairs, count, pair):
    """Put a pair on the heap in the place of the top one."""
    counts, numbers = pairs.heap_count, pairs.heap_pair
    size = pairs.used[HEAPED]
    at = 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and _comes_first(
            pairs, counts[child + 1], numbers[child + 1], counts[child], numbers[child]
        ):
            child += 1
        if not _comes_first(pairs, counts[child], numbers[child], count, pair):
            break
        counts[at], numbers[at] = counts[child], numbers[child]
        at = child
    counts[at], numbers[at] = count, pair


@inlined
def _most_frequent(pairs):
    """Take the top pair off the heap, with its present count; FULL (-1) if none is left."""
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
    for place in range(len(words.symbol) - 1, -1, -1):  # backwards: the lists go forwards
        after = words.after[place]
        if after >= 0:
            left, right = np.int64(words.symbol[place]), np.int64(words.symbol[after])
            if not _add(pairs, left, right, place, words.times[place]):
                return False
    for pair in range(pairs.used[PAIRS]):
        _push(pairs, pairs.count[pair], pair)
    return True


@lean_kernel
def learn_merges(words, pairs, first_token, merges_M2):
    """Learn len(merges_M2) merges and write them; merge i makes token first_token + i.

    Returns how many were learned: fewer if no pair is left, FULL if there is no room for the pairs.
    """
    symbol, before, after = words.symbol, words.before, words.after
    for m in range(len(merges_M2)):
        pair = _most_frequent(pairs)
        if pair < 0:
            return m
        left, right = np.int64(pairs.left[pair]), np.int64(pairs.right[pair])
        token = first_token + m
        merges_M2[m, 0], merges_M2[m, 1] = left, right
        known = pairs.used[PAIRS]
        item = np.int64(pairs.first[pair])
        while item >= 0:
            place = np.int64(pairs.listed_at[item])
            item = np.int64(pairs.listed_next[item])
            # Of "aaa" the left two are merged: go back to where the run of equal tokens begins.
            while left == right and symbol[place] == left and before[place] >= 0:
                if symbol[before[place]] != left:
                    break
                place = np.int64(before[place])
            while symbol[place] == left and after[place] >= 0 and symbol[after[place]] == right:
                times = words.times[place]
                gone = np.int64(after[place])
                ahead, behind = np.int64(before[place]), np.int64(after[gone])
                pairs.count[pair] -= times
                symbol[place], symbol[gone] = token, -1
                after[place] = behind
                if ahead >= 0:
                    other = np.int64(symbol[ahead])
                    _remove(pairs, other, left, times)
                    if not _add(pairs, other, token, ahead, times):
                        return FULL
                if behind < 0:
                    break
                before[behind] = place
                other = np.int64(symbol[behind])
                _remove(pairs, right, other, times)
                if not _add(pairs, token, other, place, times):
                    return FULL
                place = behind
                if left != right:
                    break
        for number in range(known, pairs.used[PAIRS]):
            if pairs.count[number] > 0:
                _push(pairs, pairs.count[number], number)
    return len(merges_M2)
