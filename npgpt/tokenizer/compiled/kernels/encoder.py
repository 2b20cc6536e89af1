"""Bytes to ids: cut, look up, and encode only what was not met before.

Text repeats its words. A pre-token of up to SHORT bytes is kept with its ids in a cache, and the
next time one read answers. The cache has a fixed size; a newcomer takes the place of an older one.

A pre-token that is not in the cache is encoded from left to right. A sequence of tokens is the
result of the merges exactly if any two neighbours in it stay apart when merged on their own
(`vocabulary.stand_side_by_side`): the first merge across a border would also occur between these
two alone. So the longest token that the rest begins with is tried first, then the shorter ones
that it begins with; where none may follow, the last token is taken back. What stands to the left
of a place is always the one encoding of these bytes, so a place from which there was no way on is
marked and not tried again. That keeps the work proportional to the length, on any input; playing
the merges through takes time in proportion to its square.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.tokenizer.compiled.kernels.scanner import scan
from npgpt.tokenizer.compiled.kernels.tables import EMPTY, MIX_A, U, find, inlined, load_word, mixed
from npgpt.tokenizer.compiled.kernels.vocabulary import NODE_BITS, TOKEN_BITS, stand_side_by_side

SHORT = 15  # bytes that fit into two words, beside their number
BLOCK = 1024  # bytes that are cut before they are encoded
ENTRY_BITS, NEIGHBOUR_BITS = 16, 15
COUNT, IDS = 4, 5  # places in an entry of the cache, which has room for 11 ids

LOW_BITS = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(16)], np.uint64)
HIGH_BITS = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(16)], np.uint64)


class Cache(NamedTuple):
    """What was encoded before. One thread at a time may use it.

    words, entries: the same memory, a line of 64 bytes for a pre-token. As uint64 (E, 8), places 0
    and 1 hold its bytes and their number; as int32 (E, 16), 4 holds the number of ids, 5 on hold
    the ids.
    neighbours: left << 22 | right << 1 | whether these two tokens stand side by side.
    borders_K: room for the borders of one block.
    """

    words: np.ndarray
    entries: np.ndarray
    neighbours: np.ndarray
    borders_K: np.ndarray


def new_cache():
    """An empty Cache, of 4 megabytes."""
    words = np.zeros((1 << ENTRY_BITS, 8), np.uint64)
    neighbours = np.full(1 << NEIGHBOUR_BITS, EMPTY, np.uint64)
    return Cache(words, words.view(np.int32), neighbours, np.empty(BLOCK + 8, np.int64))


@inlined
def longest_token(text_N, start, stop, vocabulary):
    """The longest token that text_N[start:stop] begins with."""
    V = len(vocabulary.left_V)
    token = np.int64(text_N[U(start)])
    if start + 1 < stop:
        node = np.int64(vocabulary.two[U(token << 8 | np.int64(text_N[U(start + 1)]))])
        i = start + 2
        while node >= 0:
            if node < V:
                token = node
            if i >= stop:
                break
            node = find(vocabulary.edges, node << 8 | np.int64(text_N[U(i)]), NODE_BITS)
            i += 1
    return token


@inlined
def may_follow(left, right, vocabulary, neighbours):
    """`stand_side_by_side`, remembered."""
    key = U(left) << U(TOKEN_BITS) | U(right)
    place = (key * MIX_A) >> U(64 - NEIGHBOUR_BITS)
    word = neighbours[place]
    if word >> U(1) != key:
        apart = stand_side_by_side(
            vocabulary.pairs, vocabulary.left_V, vocabulary.right_V, left, right, 1 << TOKEN_BITS
        )
        word = key << U(1) | U(apart)
        neighbours[place] = word
    return word & U(1) != U(0)


@inlined
def encode_piece(text_N, start, stop, vocabulary, neighbours, dead_N, ids_N, count):
    """Write the ids of one pre-token behind the `count` there are; return how many there are."""
    first = count
    token = np.int64(-1)
    while True:
        if token < 0:
            if start >= stop:
                break
            token = longest_token(text_N, start, stop, vocabulary)
        after = start + np.int64(vocabulary.length_V[U(token)])
        if dead_N[U(after)] == 0 and (
            count == first
            or may_follow(np.int64(ids_N[U(count - 1)]), token, vocabulary, neighbours)
        ):
            ids_N[U(count)] = token
            count += 1
            start = after
            token = np.int64(-1)
        else:
            token = np.int64(vocabulary.shorter_V[U(token)])
            while token < 0:
                dead_N[U(start)] = 1
                count -= 1
                token = np.int64(ids_N[U(count)])
                start -= np.int64(vocabulary.length_V[U(token)])
                token = np.int64(vocabulary.shorter_V[U(token)])
    for i in range(first, count):
        ids_N[U(i)] = vocabulary.ids_V[U(ids_N[U(i)])]
    return count


@inlined
def encode_pieces(text_N, borders_K, pieces, vocabulary, cache, dead_N, ids_N, count):
    """Write the ids of the pre-tokens between borders 0, 1, ..., `pieces`."""
    words, entries = cache.words, cache.entries
    for k in range(pieces):
        start = borders_K[U(k)]
        length = borders_K[U(k + 1)] - start
        low, high, place = U(0), U(0), U(0)
        if length <= SHORT:
            low = load_word(text_N, start) & LOW_BITS[U(length)]
            high = (load_word(text_N, start + 8) & HIGH_BITS[U(length)]) | U(length) << U(56)
            place = mixed(low, high) >> U(64 - ENTRY_BITS)
            if words[place, 0] != low or words[place, 1] != high:
                place ^= U(1)  # an entry may stand in either of two places
            if words[place, 0] == low and words[place, 1] == high:
                number = np.int64(entries[place, COUNT])
                ids_N[U(count)] = entries[place, IDS]  # most have fewer, none needs a loop
                ids_N[U(count + 1)] = entries[place, IDS + 1]
                ids_N[U(count + 2)] = entries[place, IDS + 2]
                for i in range(3, number):
                    ids_N[U(count + i)] = entries[place, U(IDS + i)]
                count += number
                continue
        before = count
        count = encode_piece(
            text_N, start, start + length, vocabulary, cache.neighbours, dead_N, ids_N, count
        )
        number = count - before
        if length <= SHORT and number <= 16 - IDS:
            for i in range(8):  # the first of the two places is the newcomer's
                words[place, U(i)] = words[place ^ U(1), U(i)]
            place ^= U(1)
            words[place, 0] = low
            words[place, 1] = high
            entries[place, COUNT] = number
            for i in range(number):
                entries[place, U(IDS + i)] = ids_N[U(before + i)]
    return count


@lean_kernel
def encode(text_N, parts_P3, scanner, vocabulary, cache, dead_N, ids_N):
    """Write the ids of a text into ids_N, and return how many there are.

    parts_P3: int64 rows (begin, stop, special id): the text between special tokens, and the id of
    the one that follows, or -1. dead_N: uint8 zeros, one more than the text has bytes. ids_N: int32
    with room for one id a byte and 4 more.
    """
    borders_K = cache.borders_K
    count = 0
    for p in range(len(parts_P3)):
        begin, stop, special = parts_P3[p, 0], parts_P3[p, 1], parts_P3[p, 2]
        place = (begin, np.int64(0), begin, begin, np.int64(0))
        while place[0] < stop:
            pause = min(place[0] + BLOCK, stop)
            place = scan(text_N, place, pause, stop, scanner, borders_K)
            i, state, last, line, borders = place
            if i >= stop:
                borders_K[borders] = stop
                borders += 1
            count = encode_pieces(
                text_N, borders_K, borders - 1, vocabulary, cache, dead_N, ids_N, count
            )
            if borders:
                borders_K[0] = borders_K[borders - 1]
            place = (i, state, last, line, min(borders, 1))
        if special >= 0:
            ids_N[count] = special
            count += 1
    return count
