"""What a tokenizer accepts: text without lone surrogates, flat sequences of known ids, and for BPE
merges and special tokens that make a vocabulary.

Both tokenizers check their input here, so that both report a mistake in the same words.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike


def check_text(text: str) -> None:
    """Raise TypeError unless `text` is a str, ValueError if it holds a lone surrogate.

    Half a surrogate pair (U+D800 to U+DFFF) is no character and has no UTF-8 form. It gets into a
    str from files read with errors="surrogateescape" and from cut UTF-16.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"expected a str, got {type(text).__name__}; decode bytes with .decode('utf-8') first"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"lone surrogate U+{ord(text[error.start]):04X} at position {error.start}: it is no "
            "character and cannot be encoded. Read the file with encoding='utf-8', "
            "errors='replace', or remove it from the text"
        ) from None


def check_ids(ids: ArrayLike, vocab_size: int) -> np.ndarray:
    """`ids` as an array of shape (N,), each in [0, vocab_size).

    Raises TypeError for anything but integers, ValueError for more than one dimension, and
    IndexError for an id outside the vocabulary.
    """
    ids = np.asarray(ids)
    if ids.size and ids.dtype.kind not in "iu":
        raise TypeError(
            f"token ids must be a list or an array of integers, got dtype {ids.dtype}; "
            "convert them with .astype('int32')"
        )
    if ids.ndim != 1:
        raise ValueError(
            f"token ids must be one flat sequence, got shape {ids.shape}; decode one row at a time"
        )
    unknown = np.flatnonzero((ids < 0) | (ids >= vocab_size))
    if unknown.size:
        raise IndexError(
            f"token id {ids[unknown[0]]} at position {unknown[0]} is outside the vocabulary of "
            f"{vocab_size} tokens (0 to {vocab_size - 1}); decode with the tokenizer that encoded"
        )
    return ids.astype(np.int32)


def check_merges(merges: Sequence[Sequence[int]]) -> None:
    """Raise ValueError unless each merge joins two tokens that exist by then, no two the same."""
    seen = set()
    for i, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or [type(part) for part in merge] != [int, int]:
            raise ValueError(f"merge {i} must be a pair of int ids, got {merge!r}")
        if min(merge) < 0 or max(merge) >= 256 + i:
            raise ValueError(f"merge {i} must join two ids from 0 to {255 + i}, got {merge!r}")
        if tuple(merge) in seen:
            raise ValueError(f"merge {i}, {merge!r}, occurs twice; list each pair once")
        seen.add(tuple(merge))


def check_special_tokens(special_tokens: Sequence[str]) -> None:
    """Raise TypeError or ValueError unless these are distinct texts of at least one character."""
    if not isinstance(special_tokens, (tuple, list)):
        raise TypeError(
            f"special_tokens must be a list or tuple of texts, got {special_tokens!r}; write "
            "['<|endoftext|>'] for a single one"
        )
    seen = set()
    for i, token in enumerate(special_tokens):
        check_text(token)
        if not token:
            raise ValueError(f"special token {i} is empty; give it a text, as '<|endoftext|>'")
        if token in seen:
            raise ValueError(f"special token {i}, {token!r}, occurs twice; list each one once")
        seen.add(token)
