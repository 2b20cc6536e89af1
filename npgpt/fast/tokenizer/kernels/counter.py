"""Counts of the distinct pre-tokens of a text, from which merges are learned."""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.fast.tokenizer.kernels.scanner import keep_last, new_boundaries, scan, start_at
from npgpt.fast.tokenizer.kernels.tables import FULL, U, inlined, load_word, mixed, new_size


class PreTokens(NamedTuple):
    """The distinct pre-tokens of a text: the first start, length and count of each.

    slots: a hash table of their indices, -1 where free. boundaries_K: room for one block.
    """

    slots: np.ndarray
    hashes: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    times: np.ndarray
    boundaries_K: np.ndarray


def new_pre_tokens(capacity):
    """Return room for `capacity` distinct pre-tokens."""
    hashes, starts, lengths, times = (
        np.empty(capacity, dtype) for dtype in (np.uint64, np.int64, np.int64, np.int64)
    )
    slots = np.full(new_size(capacity), -1, np.int64)
    return PreTokens(slots, hashes, starts, lengths, times, new_boundaries())


@inlined
def _hash_of(text_N, start, length):
    mix = U(length)
    k = 0
    while k + 8 <= length:
        mix = mixed(load_word(text_N, start + k), mix)
        k += 8
    rest = U(8 * (length - k))
    return mixed(load_word(text_N, start + k) & ((U(1) << rest) - U(1)), mix)


@inlined
def _is_same(found, index, text_N, code, start, length):
    """Return True if the pre-token of this index equals the one of hash `code` at `start`."""
    same = found.hashes[index] == code and found.lengths[index] == length
    other = found.starts[index]
    k = 0
    while same and k < length:
        same = text_N[U(other + k)] == text_N[U(start + k)]
        k += 1
    return same


@lean_kernel
def count_pre_tokens(text_N, spans_P3, scanner, found):
    """Fill `found`; return the number of distinct pre-tokens, or FULL if they do not fit."""
    used = 0
    boundaries_K, slots = found.boundaries_K, found.slots
    for p in range(len(spans_P3)):
        begin, stop = spans_P3[p, 0], spans_P3[p, 1]
        cursor = start_at(begin)
        while cursor[0] < stop:
            cursor = scan(text_N, cursor, stop, scanner, boundaries_K)
            for k in range(cursor[4] - 1):
                start = boundaries_K[U(k)]
                length = boundaries_K[U(k + 1)] - start
                code = _hash_of(text_N, start, length)
                slot = (code >> U(20)) & U(len(slots) - 1)
                while True:
                    index = slots[slot]
                    if index < 0:
                        if used == len(found.starts):
                            return FULL
                        slots[slot] = used
                        found.hashes[used], found.starts[used] = code, start
                        found.lengths[used], found.times[used] = length, 1
                        used += 1
                        break
                    if _is_same(found, index, text_N, code, start, length):
                        found.times[index] += 1
                        break
                    slot = (slot + U(1)) & U(len(slots) - 1)
            cursor = keep_last(cursor, boundaries_K)
    return used
