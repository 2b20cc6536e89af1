"""Between a model's token ids and text that a person reads: what to start from, and streaming.

A tokenizer comes in as an argument, of any kind with `encode` and `decode`.
"""

import codecs
import re

VISIBLE = {" ": "␣", "\n": "⏎", "\t": "⇥"}
# What acts on a terminal: control characters but for tabs and line ends, and those that turn the
# direction of writing. Halves of surrogate pairs cannot be written at all.
ACTS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def visible(token):
    """A token as a label: spaces, line ends and all else that has no shape made visible."""
    shapes = (VISIBLE.get(character, character) for character in token)
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in shapes)


def printable(text):
    """A text for a terminal: what would act on it is escaped, as JSON does.

    >>> print(printable("a" + chr(27) + "[2J"))
    a\\u001b[2J
    """
    return ACTS.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def starting_prompt(tokenizer):
    """What a text starts after: an empty line, or the first token if there is no line end."""
    try:
        tokenizer.encode("\n\n")
        return "\n\n"
    except ValueError:
        return tokenizer.decode([0])


class TextStream:
    """The text of tokens that come one by one, given out as soon as it is certain.

    A character may need the bytes of several tokens, and a stop string the characters of several:
    what may be the beginning of one is kept until it is clear.

    tokenizer   one whose `tokens` are bytes
    stop        strings: the text ends before the first that occurs in it, and `ended` is True then
    """

    def __init__(self, tokenizer, stop=()):
        if not all(stop):
            raise ValueError("a stop string is empty, which is everywhere; give some text")
        self.tokens, self.stop = tokenizer.tokens, tuple(stop)
        self.decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self.kept, self.ended = "", False

    def add(self, token):
        """The text that one more token makes certain, which may be none."""
        return self._certain(self.decoder.decode(self.tokens[token]))

    def end(self):
        """What is left when no token follows."""
        return self._certain(self.decoder.decode(b"", final=True), last=True)

    def _certain(self, text, last=False):
        if self.ended:
            return ""
        text, self.kept = self.kept + text, ""
        found = [at for at in map(text.find, self.stop) if at >= 0]
        if found:
            self.ended = True
            return text[: min(found)]
        certain = len(text) if last else len(text) - max(
            (k for s in self.stop for k in range(1, len(s)) if text.endswith(s[:k])), default=0
        )  # fmt: skip
        self.kept = text[certain:]
        return text[:certain]


def decoded(tokenizer, ids):
    """The text of an iterator over ids, as soon as it is certain: an iterator over strings."""
    stream = TextStream(tokenizer)
    for token in ids:
        yield stream.add(token)
    yield stream.end()
