"""Special tokens: texts such as "<|endoftext|>" that are one token each and merge with nothing.

Which of them count in a text is said for each call, in tiktoken's words. A text that a user typed
should not be able to end the document: it is encoded with allowed_special=().
"""

import re
from collections.abc import Collection, Iterable, Mapping

import numpy as np


def allowed(
    text: str,
    special_ids: Mapping[str, int],
    allowed_special: str | Collection[str],
    disallowed_special: str | Collection[str],
) -> dict[str, int]:
    """The special tokens to recognise in `text`, with their ids.

    Raises ValueError if `text` holds a disallowed one, or a name is no special token.
    """
    chosen = dict.fromkeys(_named(special_ids, special_ids, allowed_special))
    others = [token for token in special_ids if token not in chosen]
    refused = _named(special_ids, others, disallowed_special)
    for token in refused:
        if token not in chosen and token in text:
            raise ValueError(
                f"the text holds the special token {token!r} at position {text.find(token)}, which "
                "is not allowed here; pass allowed_special='all' to encode it as one token, or "
                "disallowed_special=() to encode it as plain text"
            )
    return {token: special_ids[token] for token in chosen}


def _named(special_ids, everything, names):
    if isinstance(names, str):
        if names != "all":
            raise ValueError(f"pass 'all' or a collection of special tokens, not {names!r}")
        return list(everything)
    unknown = [name for name in names if name not in special_ids]
    if unknown:
        known = ", ".join(map(repr, special_ids)) or "none"
        raise ValueError(f"{unknown[0]!r} is no special token of this tokenizer; it has: {known}")
    return list(names)


def pattern_of(tokens: Iterable[str]) -> re.Pattern[bytes] | None:
    """Where a special token stands in UTF-8, the longer one where two begin; None for none."""
    longest_first = sorted((token.encode("utf-8") for token in tokens), key=len, reverse=True)
    return re.compile(b"|".join(map(re.escape, longest_first))) if longest_first else None


def parts(data: bytes, tokens: Mapping[str, int]) -> np.ndarray:
    """A text cut at special tokens: int64 rows (begin, stop, id), of shape (P, 3).

    Each row is the text before a special token, and its id; the last row is the rest, with id -1.

    >>> parts(b"The end.<|end|>Once", {"<|end|>": 300}).tolist()
    [[0, 8, 300], [15, 19, -1]]
    """
    rows, begin = [], 0
    pattern = pattern_of(token for token in tokens if token.encode("utf-8") in data)
    for match in pattern.finditer(data) if pattern else ():
        rows.append((begin, match.start(), tokens[match.group().decode("utf-8")]))
        begin = match.end()
    rows.append((begin, len(data), -1))
    return np.array(rows, np.int64)
