"""The boundaries of the pre-tokens of a text, found by `npgpt.fast.tokenizer.automaton`.

At every character the automaton decides for three positions if a pre-token begins there: after the
last line end, at the character before, at this one. All three positions are always written, and the
count of boundaries rises only for the true ones. A branch for each character would be eight times
slower: a processor predicts branches, and the ends of words cannot be predicted.

Contractions such as "'ll" are the only thing the automaton does not know; apostrophes are rare.
"""

from typing import NamedTuple

import numpy as np

from npgpt.fast.tokenizer.kernels.tables import U, inlined

APOSTROPHE = ord("'")
BLOCK = 1024  # bytes that are scanned before their pre-tokens are encoded or counted

# The integers in a Scanner. They are compiled into the kernels, so they stand here and not in
# `automaton`: `source_hash` sees an edit of this folder only.
SYMBOL, LETTER, NUMBER, SPACE, WHITE, NEWLINE, END = range(7)  # " " is SPACE, \r \n are NEWLINE
BOUNDARY_AFTER_LINE, BOUNDARY_BEFORE_LAST, BOUNDARY_HERE = 1, 2, 4
FLAG_BITS = 3
NO_CONTRACTIONS, LOWER_CASE, ANY_CASE = range(3)


class Scanner(NamedTuple):
    """A split pattern as arrays, made by `npgpt.fast.tokenizer.automaton.scanner`.

    steps: uint16, for state * 8 + class the next state in the upper bits and flags in the lower.
    contractions: the contractions that are pre-tokens, one of the three constants above.
    ascii_classes: uint8 (128,), the class of each ASCII character.
    block_of, classes: the class of code point p is classes[128 * block_of[p // 128] + p % 128].
    """

    steps: np.ndarray
    contractions: int
    ascii_classes: np.ndarray
    block_of: np.ndarray
    classes: np.ndarray


def new_boundaries():
    """Return room for the boundaries of a block."""
    return np.empty(BLOCK + 8, np.int64)


@inlined
def class_and_length(text_N, i, block_of, classes):
    """Return the class of the character of several bytes at `i`, and its number of bytes."""
    first = np.int64(text_N[i])
    if first < 0xE0:
        point = (first & 0x1F) << 6 | np.int64(text_N[i + 1] & 0x3F)
        length = 2
    elif first < 0xF0:
        point = (
            (first & 0x0F) << 12 | np.int64(text_N[i + 1] & 0x3F) << 6
            | np.int64(text_N[i + 2] & 0x3F)
        )
        length = 3
    else:
        point = (
            (first & 0x07) << 18 | np.int64(text_N[i + 1] & 0x3F) << 12
            | np.int64(text_N[i + 2] & 0x3F) << 6 | np.int64(text_N[i + 3] & 0x3F)
        )
        length = 4
    return np.int64(classes[np.int64(block_of[point >> 7]) << 7 | (point & 127)]), length


@inlined
def contraction_length(text_N, i, stop, any_case):
    """Return the number of bytes of 's 't 'm 'd 're 've 'll at the apostrophe `i`; 0 for none."""
    one = text_N[i + 1] if i + 1 < stop else 0
    two = text_N[i + 2] if i + 2 < stop else 0
    long_s = any_case and one == 0xC5 and two == 0xBF  # the letter ſ is an s of another case
    if any_case and 65 <= one <= 90:
        one |= 32
    if any_case and 65 <= two <= 90:
        two |= 32
    length = 0
    if one == ord("s") or one == ord("t") or one == ord("m") or one == ord("d"):
        length = 2
    elif (
        ((one == ord("r") or one == ord("v")) and two == ord("e"))
        or (one == ord("l") and two == ord("l"))
        or long_s
    ):
        length = 3
    return length


@inlined
def start_at(begin):
    """Return the cursor of `scan` at the beginning of a text."""
    return begin, np.int64(0), begin, begin, np.int64(0)


@inlined
def scan(text_N, cursor, stop, scanner, boundaries_K):
    """Scan the next BLOCK bytes of a text that ends at `stop`; return the cursor to go on from.

    A cursor is (i, state, start of the last character, end of the last line, number of boundaries).
    The pre-tokens found lie between neighbouring boundaries. Call `keep_last` before the next call.
    """
    steps, contractions, ascii_classes, block_of, classes = scanner
    i, state, last, line, count = cursor
    pause = min(i + BLOCK, stop)
    while i < pause:
        if text_N[U(i)] < 128:
            of = np.int64(ascii_classes[U(text_N[U(i)])])
            length = 1
        else:
            of, length = class_and_length(text_N, i, block_of, classes)
        step = np.int64(steps[U(state * 8 + of)])
        boundaries_K[U(count)] = line
        count += step & 1
        boundaries_K[U(count)] = last
        count += step >> 1 & 1
        boundaries_K[U(count)] = i
        count += step >> 2 & 1
        state = step >> FLAG_BITS
        if text_N[U(i)] == APOSTROPHE and step & BOUNDARY_HERE and contractions != NO_CONTRACTIONS:
            contraction = contraction_length(text_N, i, stop, contractions == ANY_CASE)
            if contraction:
                state, length = 0, contraction
        last = i
        i += length
        line = i if of == NEWLINE else line
    if i >= stop:
        boundaries_K[count] = line
        count += steps[U(state * 8 + END)] & 1
        boundaries_K[count] = stop
        count += 1
    return i, state, last, line, count


@inlined
def keep_last(cursor, boundaries_K):
    """Make the last boundary the first: the pre-token that goes on begins there."""
    i, state, last, line, count = cursor
    if count > 0:
        boundaries_K[0] = boundaries_K[count - 1]
    return i, state, last, line, min(count, 1)
