"""The verifier: a story is right if the grammar derives it, and wrong from a certain token on."""

from bisect import bisect_right
from itertools import accumulate, takewhile
from operator import eq
from typing import NamedTuple

from npgpt.tales import END, GRAMMAR


def _shared(a, b):
    """Return the length of the longest common prefix of two texts."""
    return sum(takewhile(bool, map(eq, a, b)))


def derivable(text, grammar=GRAMMAR):
    """Return how many characters from the start of `text` begin some text of the grammar.

    >>> text = "In Bar King"  # lands end in "ia"
    >>> text[: derivable(text)]
    'In Bar'
    """
    reached = 0

    def continuing(options, so_far):
        nonlocal reached
        written = "".join(so_far)
        reached = _shared(written, text)
        if reached < len(written):
            raise StopIteration
        rest = text[reached:]
        reached += max(_shared(option.lead, rest) for option in options)
        return next(option for option in options if rest.startswith(option.lead))

    try:
        return _shared(grammar.write(continuing), text)
    except StopIteration:  # no option continues the text
        return reached


class Verdict(NamedTuple):
    """The verdict on a story."""

    reward: float
    right: bool  # whether the grammar derives it
    wrong: int | None = None  # index of the first wrong token; none if it was cut off


class GrammarVerifier:
    """The grammar's verdict on a drawn story.

    tokenizer   its `tokens` are bytes
    end         what the model ends a story with, and `closing` what the grammar has there
    """

    def __init__(self, tokenizer, grammar=GRAMMAR, end=END, closing=END):
        self.tokens, self.grammar = tokenizer.tokens, grammar
        self.end, self.closing = end.encode(), closing

    def ended(self, written):
        """Return True if the bytes hold the end of a story."""
        return self.end in written

    def __call__(self, ids):
        """Return the `Verdict` of a drawn story: reward 1.0 if it is right, else 0.0."""
        tokens = [self.tokens[i] for i in ids]
        head, end, _ = b"".join(tokens).partition(self.end)
        story = head.decode(errors="replace") + self.closing * bool(end)
        reached = derivable(story, self.grammar)
        if reached == len(story):
            return Verdict(float(bool(end)), bool(end))
        ends = list(accumulate(map(len, tokens)))  # in bytes
        return Verdict(0.0, False, bisect_right(ends, len(story[:reached].encode())))
