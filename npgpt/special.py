"""Special tokens: texts such as "<|endoftext|>" that are one token each and merge with nothing.

Which of them count in a text is decided for each call, with tiktoken's two arguments. A text that a
user typed should not be able to end the document: with allowed_special=() such a text is refused,
and with disallowed_special=() besides, encoded as plain text.
"""

import re
from collections.abc import Collection, Mapping

import numpy as np


def allowed(
    text: str,
    special_ids: Mapping[str, int],
    allowed_special: str | Collection[str],
    disallowed_special: str | Collection[str],
) -> dict[str, int]:
    """The special tokens to recognise in `text`, with their ids.

    Raises ValueError if `text` holds a disallowed one, or a name is not a special token.
    """
    chosen = _named(special_ids, allowed_special)
    for token in _named(special_ids, disallowed_special):
        if token not in chosen and token in text:
            raise ValueError(
                f"the text holds the special token {token!r} at position {text.find(token)}, which "
                "is not allowed here; pass allowed_special='all' to encode it as one token, or "
                "disallowed_special=() to encode it as plain text"
            )
    return {token: special_ids[token] for token in chosen}


def _named(special_ids, names):
    if isinstance(names, str):
        if names != "all":
            raise ValueError(f"pass 'all' or a collection of special tokens, not {names!r}")
        return list(special_ids)
    unknown = [name for name in names if name not in special_ids]
    if unknown:
        known = ", ".join(map(repr, special_ids)) or "none"
        raise ValueError(
            f"{unknown[0]!r} is not a special token of this tokenizer; it has: {known}"
        )
    return list(names)


def spans(data: bytes, special_ids: Mapping[str, int]) -> np.ndarray:
    """The spans of UTF-8 between special tokens: int64 rows (begin, stop, id), of shape (P, 3).

    Each row is the text before a special token, and its id; the last row is the rest, with id -1.
    Where two special tokens begin, the longer one counts.

    >>> spans(b"The end.<|end|>Once", {"<|end|>": 300}).tolist()
    [[0, 8, 300], [15, 19, -1]]
    """
    rows, begin = [], 0
    id_of = {token.encode("utf-8"): token_id for token, token_id in special_ids.items()}
    present = sorted((token for token in id_of if token in data), key=len, reverse=True)
    for match in re.finditer(b"|".join(map(re.escape, present)), data) if present else ():
        rows.append((begin, match.start(), id_of[match.group()]))
        begin = match.end()
    rows.append((begin, len(data), -1))
    return np.array(rows, np.int64)
