"""Bytes to ids: cut, look up, and encode only the pre-tokens that are new.

Text repeats its words. A pre-token of up to SHORT bytes is stored with its ids in a cache, and the
next time one read answers. The cache has a fixed size; a new entry replaces an older one.

A pre-token that is not in the cache is encoded from left to right. A sequence of tokens is the
result of the merges exactly if any two neighbours in it stay apart when merged on their own
(`vocabulary.stay_apart`): the first merge across a boundary of tokens would also occur between
these two alone. So the longest token that the rest begins with is tried first, then the shorter
tokens that it begins with; where none may follow, the last token is taken back. The tokens to the
left of a position are always the only encoding of their bytes, so a position without a way on is
marked as a dead end and not tried again. That keeps the work proportional to the length, on any
input; replaying the merges takes time in proportion to its square.
"""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.fast.tokenizer.kernels.scanner import keep_last, new_boundaries, scan, start_at
from npgpt.fast.tokenizer.kernels.tables import EMPTY, MIX_A, U, find, inlined, load_word, mixed
from npgpt.fast.tokenizer.kernels.vocabulary import NODE_BITS, TOKEN_BITS, stay_apart

SHORT = 15  # bytes that fit into two words, beside their number
ENTRY_BITS, NEIGHBOUR_BITS = 16, 15
COUNT, IDS = 4, 5  # columns of an entry of the cache, which has room for 11 ids

LOW_BITS = np.array([(1 << 8 * min(n, 8)) - 1 for n in range(16)], np.uint64)
HIGH_BITS = np.array([(1 << 8 * max(n - 8, 0)) - 1 for n in range(16)], np.uint64)


class Cache(NamedTuple):
    """Pre-tokens that were encoded before, with their ids. One thread at a time may use it.

    words, entries: the same memory, 64 bytes for a pre-token. Columns 0 and 1 of words, uint64
    (E, 8), hold its bytes and their number. Column 4 of entries, int32 (E, 16), holds the number of
    its ids, and the columns from 5 on hold the ids.
    neighbours: left << 22 | right << 1 | (1 if these two tokens stay apart).
    boundaries_K: room for the boundaries of one block.
    """

    words: np.ndarray
    entries: np.ndarray
    neighbours: np.ndarray
    boundaries_K: np.ndarray


def new_cache():
    """Return an empty Cache of 4 megabytes."""
    words = np.zeros((1 << ENTRY_BITS, 8), np.uint64)
    neighbours = np.full(1 << NEIGHBOUR_BITS, EMPTY, np.uint64)
    return Cache(words, words.view(np.int32), neighbours, new_boundaries())


@inlined
def longest_token(text_N, start, stop, vocabulary):
    """Return the longest token that text_N[start:stop] begins with."""
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
    """Return the answer of `stay_apart`, from `neighbours` if it was computed before."""
    key = U(left) << U(TOKEN_BITS) | U(right)
    slot = (key * MIX_A) >> U(64 - NEIGHBOUR_BITS)
    word = neighbours[slot]
    if word >> U(1) != key:
        apart = stay_apart(
            vocabulary.pairs, vocabulary.left_V, vocabulary.right_V, left, right, 1 << TOKEN_BITS
        )
        word = key << U(1) | U(apart)
        neighbours[slot] = word
    return word & U(1) != U(0)


@inlined
def encode_pre_token(text_N, start, stop, vocabulary, neighbours, dead_N, ids_N, count):
    """Append the ids of one pre-token to the `count` ids there are; return the new count."""
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
def encode_pre_tokens(text_N, boundaries_K, K, vocabulary, cache, dead_N, ids_N, count):
    """Append the ids of the pre-tokens between the first K boundaries; return the new count."""
    words, entries = cache.words, cache.entries
    for k in range(K - 1):
        start = boundaries_K[U(k)]
        length = boundaries_K[U(k + 1)] - start
        low, high, slot = U(0), U(0), U(0)
        if length <= SHORT:
            low = load_word(text_N, start) & LOW_BITS[U(length)]
            high = (load_word(text_N, start + 8) & HIGH_BITS[U(length)]) | U(length) << U(56)
            slot = mixed(low, high) >> U(64 - ENTRY_BITS)
            if words[slot, 0] != low or words[slot, 1] != high:
                slot ^= U(1)  # the second slot that it may be in
            if words[slot, 0] == low and words[slot, 1] == high:
                n_ids = np.int64(entries[slot, COUNT])
                ids_N[U(count)] = entries[slot, IDS]  # most have fewer, none needs a loop
                ids_N[U(count + 1)] = entries[slot, IDS + 1]
                ids_N[U(count + 2)] = entries[slot, IDS + 2]
                for i in range(3, n_ids):
                    ids_N[U(count + i)] = entries[slot, U(IDS + i)]
                count += n_ids
                continue
        before = count
        count = encode_pre_token(
            text_N, start, start + length, vocabulary, cache.neighbours, dead_N, ids_N, count
        )
        n_ids = count - before
        if length <= SHORT and n_ids <= 16 - IDS:
            for i in range(8):  # the entry in the first slot moves to the second
                words[slot, U(i)] = words[slot ^ U(1), U(i)]
            slot ^= U(1)
            words[slot, 0] = low
            words[slot, 1] = high
            entries[slot, COUNT] = n_ids
            for i in range(n_ids):
                entries[slot, U(IDS + i)] = ids_N[U(before + i)]
    return count


@lean_kernel
def encode(text_N, spans_P3, scanner, vocabulary, cache, dead_N, ids_N):
    """Write the ids of a text into ids_N; return how many there are.

    spans_P3: int64 rows (begin, stop, id): the text between special tokens, and the id of the
    special token that follows, or -1. dead_N: uint8 zeros, one more than the text has bytes. ids_N:
    int32 with room for one id a byte, one a span and 4 more.
    """
    boundaries_K = cache.boundaries_K
    count = 0
    for p in range(len(spans_P3)):
        begin, stop, special = spans_P3[p, 0], spans_P3[p, 1], spans_P3[p, 2]
        cursor = start_at(begin)
        while cursor[0] < stop:
            cursor = scan(text_N, cursor, stop, scanner, boundaries_K)
            count = encode_pre_tokens(
                text_N, boundaries_K, cursor[4], vocabulary, cache, dead_N, ids_N, count
            )
            cursor = keep_last(cursor, boundaries_K)
        if special >= 0:
            ids_N[count] = special
            count += 1
    return count
