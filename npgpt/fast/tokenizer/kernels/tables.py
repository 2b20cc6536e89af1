"""A hash table from small integers to small integers, in one array of 64-bit words.

A word holds the key in its upper bits and the value in its lower `value_bits`, so that one read
finds both. A key whose slot is taken goes to the next free slot (open addressing with linear
probing); at most half of the slots are taken. EMPTY, all bits set, marks a free slot: keys and
values together must stay below it.

Also here: eight bytes of a text as one word, and the hash of two words.
"""

import numba
import numpy as np
from numba.extending import register_jitable

EMPTY = np.uint64(0xFFFFFFFFFFFFFFFF)
FULL = -1  # the return value of a kernel whose arrays are too small
PADDING = 16
U = np.uint64

inlined = numba.njit(inline="always", error_model="numpy")

# Odd numbers without pattern: 2^64 over the golden ratio, and two of MurmurHash3's and xxHash's.
MIX_A, MIX_B, MIX_C = U(0x9E3779B97F4A7C15), U(0xC2B2AE3D27D4EB4F), U(0xFF51AFD7ED558CCD)


@register_jitable
def new_size(entries):
    """Return the slots of a table for so many entries: a power of two, at least twice as many."""
    size = 256
    while size < 2 * entries:
        size *= 2
    return size


@inlined
def first_slot(table, key):
    """Return the slot at which the search for `key` begins."""
    return ((U(key) * MIX_A) >> U(32)) & U(len(table) - 1)


@inlined
def find(table, key, value_bits):
    """Return the value of `key`, or -1."""
    slot = first_slot(table, key)
    found = np.int64(-1)
    while True:
        word = table[slot]
        if word >> U(value_bits) == U(key):
            found = np.int64(word & U((1 << value_bits) - 1))
            break
        if word == EMPTY:
            break
        slot = (slot + U(1)) & U(len(table) - 1)
    return found


@inlined
def put(table, key, value, value_bits):
    """Add a key that is not in the table."""
    slot = first_slot(table, key)
    while table[slot] != EMPTY:
        slot = (slot + U(1)) & U(len(table) - 1)
    table[slot] = (U(key) << U(value_bits)) | U(value)


@inlined
def load_word(text_N, start):
    """Return the eight bytes from `start` on as one integer, which is compiled to a single read."""
    i = U(start)
    return (
        U(text_N[i])
        | U(text_N[i + U(1)]) << U(8)
        | U(text_N[i + U(2)]) << U(16)
        | U(text_N[i + U(3)]) << U(24)
        | U(text_N[i + U(4)]) << U(32)
        | U(text_N[i + U(5)]) << U(40)
        | U(text_N[i + U(6)]) << U(48)
        | U(text_N[i + U(7)]) << U(56)
    )


@inlined
def mixed(low, high):
    """Return a hash of two words whose upper bits are good."""
    mix = low * MIX_A ^ high * MIX_B
    return (mix ^ (mix >> U(32))) * MIX_C
