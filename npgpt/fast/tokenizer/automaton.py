"""The split patterns of `pretokenize` as an automaton: one table look-up a character.

Reading from left to right, little has to be remembered to find where pre-tokens begin: the kind of
the current pre-token, and for white space how much of it there was. These are the states. Each
character is in one of six classes, and the end of a text is the seventh. (state, class) gives the
next state and up to three boundaries that are now certain:

    BOUNDARY_HERE          a pre-token begins with this character
    BOUNDARY_BEFORE_LAST   one began with the character before: the last of several white spaces,
                           which is left to the word that follows
    BOUNDARY_AFTER_LINE    one began after the last line end (cl100k, llama3)

Contractions need more than classes; `kernels.scanner` looks for them where a pre-token begins with
an apostrophe.
"""

import functools

import numpy as np

from npgpt.fast.tokenizer.kernels.scanner import (
    ANY_CASE,
    BOUNDARY_AFTER_LINE,
    BOUNDARY_BEFORE_LAST,
    BOUNDARY_HERE,
    END,
    FLAG_BITS,
    LETTER,
    LOWER_CASE,
    NEWLINE,
    NO_CONTRACTIONS,
    NUMBER,
    SPACE,
    SYMBOL,
    WHITE,
    Scanner,
)
from npgpt.tokenizers.unicode_classes import LETTERS, NUMBERS, WHITE_SPACE, ranges

CONTRACTIONS = {
    None: NO_CONTRACTIONS, "gpt2": LOWER_CASE, "smollm": LOWER_CASE, "cl100k": ANY_CASE,
    "llama3": ANY_CASE,
}


def step(pattern: str | None, state: tuple, of: int) -> tuple[tuple, int]:
    """Return the next state after a character of class `of`, and the flags of its boundaries.

    States: ("start",), ("letters",), ("digits", count), ("symbols", True for one symbol, which
    letters may join), ("line ends",) after symbols, and for white space ("white", True after a line
    end, characters since then, up to 2, True if the last one is " ").
    """
    if of == END:
        kind, *details = state
        cut = pattern == "llama3" and kind == "white" and details[0] and details[1] > 0
        return state, BOUNDARY_AFTER_LINE if cut else 0
    if pattern is None:
        return ("letters",), 0 if state == ("letters",) else BOUNDARY_HERE
    if pattern == "smollm" and of == NUMBER:
        return ("digits", 1), BOUNDARY_HERE  # white space before a digit stays whole
    gpt2 = pattern in ("gpt2", "smollm")
    if gpt2 and of == NEWLINE:
        of = WHITE
    if of in (SPACE, WHITE, NEWLINE):
        return _white_step(state, of)
    kind, *details = state
    flags, joined = 0, False
    if kind == "white":
        has_line, count, after_space = details
        if has_line and count > 0:
            flags |= BOUNDARY_AFTER_LINE
        if count == 2:
            flags |= BOUNDARY_BEFORE_LAST
        leads = after_space if gpt2 or of == SYMBOL else of == LETTER
        joined = count > 0 and leads
    if of == LETTER:
        joined |= kind == "letters" or (kind == "symbols" and details[0])
        state = ("letters",)
    elif of == NUMBER:
        if not gpt2:  # at most three digits, and nothing before them
            joined = kind == "digits" and details[0] < 3
        joined |= gpt2 and kind == "digits"
        state = ("digits", details[0] + 1 if joined and not gpt2 else 1)
    else:
        joined |= kind == "symbols"
        state = ("symbols", not gpt2 and not joined)
    return state, flags | (0 if joined else BOUNDARY_HERE)


def _white_step(state: tuple, of: int) -> tuple[tuple, int]:
    kind, *details = state
    if kind in ("symbols", "line ends") and of == NEWLINE:
        return ("line ends",), 0
    if of == NEWLINE:
        return ("white", True, 0, False), 0 if kind == "white" else BOUNDARY_HERE
    if kind == "white":
        has_line, count, _ = details
        return ("white", has_line, min(count + 1, 2), of == SPACE), 0
    return ("white", False, 1, of == SPACE), BOUNDARY_HERE


def table(pattern: str | None) -> np.ndarray:
    """Return the automaton of a pattern as uint16; state 0 is the start.

    Entry 8 * state + class holds 8 * (next state) + flags.
    """
    states = [("start",)]
    entries = []
    for state in states:  # the list grows meanwhile
        for of in range(8):
            following, flags = step(pattern, state, min(of, END))
            if following not in states:
                states.append(following)
            entries.append(states.index(following) << FLAG_BITS | flags)
    return np.array(entries, np.uint16)


@functools.cache
def classes_by_block() -> tuple[np.ndarray, np.ndarray]:
    """Return (block_of, classes): the class of every code point, in blocks of 128.

    The class of p is classes[128 * block_of[p // 128] + p % 128]. Equal blocks are stored once.
    """
    class_of = np.full(0x110000, SYMBOL, np.uint8)
    for members, of in ((LETTERS, LETTER), (NUMBERS, NUMBER), (WHITE_SPACE, WHITE)):
        for first, last in ranges(members):
            class_of[first : last + 1] = of
    class_of[ord(" ")] = SPACE
    class_of[[ord("\r"), ord("\n")]] = NEWLINE
    blocks, block_of = np.unique(class_of.reshape(-1, 128), axis=0, return_inverse=True)
    return block_of.ravel().astype(np.uint16), blocks.ravel()


@functools.cache
def scanner(pattern: str | None) -> Scanner:
    """Return a split pattern in the form that the kernels take."""
    block_of, classes = classes_by_block()
    ascii_classes = classes[128 * int(block_of[0]) :][:128].copy()
    return Scanner(table(pattern), CONTRACTIONS[pattern], ascii_classes, block_of, classes)
