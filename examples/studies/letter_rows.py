"""A text on which the parts of a GPT matter: rows of letters, each written twice.

    g c a k e b | g c a k e b
    d l f h a < a h f l d

The letters of a row are drawn without replacement, `|` repeats them in order, `<` in reverse. A
model has to find the letter after or before the last one, which takes two steps of attention (an
induction head; Olsson et al., In-context Learning and Induction Heads, 2022), and which of the two
it is stands elsewhere. No row can be written in two ways, so its probability is the product of its
draws, and the least loss on a token is -ln of its own draw, or 0 where the token follows.
"""

import math
import random
from typing import NamedTuple

LETTERS = "abcdefghijkl"
SHORTEST, LONGEST_ROW = 5, 10
STOP = 4  # from the shortest row on, one of so many draws ends it
FORTH, BACK, END = "|", "<", "\n"
TOKENS = (END, FORTH, BACK, *LETTERS)


class Token(NamedTuple):
    """A token, and its least loss in nats."""

    text: str
    nats: float


def row(choose, letters=LETTERS, shortest=SHORTEST, longest=LONGEST_ROW):
    """Return the `Token`s of a row.    choose: a number of options -> the index of one"""
    left, said, tokens = list(letters), [], []
    while True:
        may_stop = len(said) >= shortest
        must_stop = len(said) == longest
        if must_stop or (may_stop and choose(STOP) == 0):
            break
        nats = math.log(len(left)) - math.log1p(-1 / STOP) * may_stop
        said.append(left.pop(choose(len(left))))
        tokens.append(Token(said[-1], nats))
    order = (FORTH, BACK)[choose(2)]
    tokens.append(Token(order, math.log(2) + math.log(STOP) * (not must_stop)))
    again = said if order == FORTH else said[::-1]
    return [*tokens, *(Token(letter, 0.0) for letter in (*again, END))]


def expectation(letters=LETTERS, shortest=SHORTEST, longest=LONGEST_ROW):
    """Return (entropy of a row in nats, expected length of a row in tokens), both exact."""
    nats, length, reached = math.log(2), 2.0, 1.0
    stops = -sum(p * math.log(p) for p in (1 / STOP, 1 - 1 / STOP))
    for said in range(longest):
        if said >= shortest:
            nats += reached * stops
            reached *= 1 - 1 / STOP
        nats += reached * math.log(len(letters) - said)
        length += 2 * reached
    return nats, length


def rows(count, seed):
    """Return rows, each a list of `Token`s; the same ones for the same seed."""
    draw = random.Random(seed).random
    return [row(lambda options: int(draw() * options)) for _ in range(count)]
