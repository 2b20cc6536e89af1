"""Counting the different pre-tokens of a text, which is all that learning merges looks at."""

from typing import NamedTuple

import numpy as np

from autograd.kernels.compiler import lean_kernel
from npgpt.tokenizer.compiled.kernels.scanner import scan
from npgpt.tokenizer.compiled.kernels.tables import U, inlined, load_word, mixed, new_size

BLOCK = 1024
FULL = -1


class Pieces(NamedTuple):
    """Different pre-tokens of one text: where each first stands, its length, how often it occurs.

    slots: a hash table of their numbers, -1 where free. borders_K: room for one block.
    """

    slots: np.ndarray
    hashes: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray
    times: np.ndarray
    borders_K: np.ndarray


def new_pieces(entries):
    """Room for so many different pre-tokens."""
    size = new_size(entries)
    hashes, starts, lengths, times = (
        np.empty(entries, dtype) for dtype in (np.uint64, np.int64, np.int64, np.int64)
    )
    slots = np.full(size, -1, np.int64)
    return Pieces(slots, hashes, starts, lengths, times, np.empty(BLOCK + 8, np.int64))


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
def _same_bytes(text_N, one, other, length):
    k = 0
    while k < length and text_N[U(one + k)] == text_N[U(other + k)]:
        k += 1
    return k == length


@lean_kernel
def count_pieces(text_N, parts_P3, scanner, found):
    """Fill `found`; return how many different pre-tokens there are, or FULL if they do not fit."""
    used = 0
    borders_K, slots = found.borders_K, found.slots
    for p in range(len(parts_P3)):
        begin, stop = parts_P3[p, 0], parts_P3[p, 1]
        place = (begin, np.int64(0), begin, begin, np.int64(0))
        while place[0] < stop:
            place = scan(text_N, place, min(place[0] + BLOCK, stop), stop, scanner, borders_K)
            i, state, last, line, borders = place
            if i >= stop:
                borders_K[borders] = stop
                borders += 1
            for k in range(borders - 1):
                start = borders_K[U(k)]
                length = borders_K[U(k + 1)] - start
                code = _hash_of(text_N, start, length)
                slot = (code >> U(20)) & U(len(slots) - 1)
                while True:
                    piece = slots[slot]
                    if piece < 0:
                        if used == len(found.starts):
                            return FULL
                        slots[slot] = used
                        found.hashes[used], found.starts[used] = code, start
                        found.lengths[used], found.times[used] = length, 1
                        used += 1
                        break
                    if (
                        found.hashes[piece] == code
                        and found.lengths[piece] == length
                        and _same_bytes(text_N, found.starts[piece], start, length)
                    ):
                        found.times[piece] += 1
                        break
                    slot = (slot + U(1)) & U(len(slots) - 1)
            if borders:
                borders_K[0] = borders_K[borders - 1]
            place = (i, state, last, line, min(borders, 1))
    return used
