"""Between a model's token ids and text that a person reads: what to start from, and streaming.

A tokenizer comes in as an argument, of any kind with `encode` and `decode`.
"""


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
