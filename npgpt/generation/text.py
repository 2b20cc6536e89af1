"""Between a model's token ids and text that a person reads: what to start from, and streaming.

A tokenizer comes in as an argument, of any kind with `encode` and `decode`.
"""

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


def decoded(tokenizer, ids):
    """The text of an iterator over ids, as soon as it is readable: an iterator over strings.

    A character may need the bytes of several tokens.
    """
    waiting = []
    for token in ids:
        waiting.append(token)
        text = tokenizer.decode(waiting)
        if not text.endswith("\ufffd") or len(waiting) > 3:
            yield text
            waiting = []
    if waiting:
        yield tokenizer.decode(waiting)
