"""What a tokenizer accepts: text without lone surrogates, flat sequences of known ids, and for BPE
merges, ids and special tokens that make a vocabulary.

Both tokenizers check their input here, so that both report a mistake in the same words.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import ArrayLike

MAX_TOKENS = 1 << 21  # the compiled tables keep three tokens in one word of 64 bits
MAX_BYTES = 1 << 27
MAX_ID = 1 << 24


def check_text(text: str) -> None:
    """Raise TypeError unless `text` is a str, ValueError if it holds a lone surrogate.

    Half a surrogate pair (U+D800 to U+DFFF) is no character and has no UTF-8 form. It gets into a
    str from files read with errors="surrogateescape" and from cut UTF-16.
    """
    if not isinstance(text, str):
        raise TypeError(
            f"expected a str, got {type(text).__name__}; decode bytes with .decode('utf-8'), join "
            "a list with ''.join(texts), read a file with path.read_text(encoding='utf-8')"
        )
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError(
            f"lone surrogate U+{ord(text[error.start]):04X} at position {error.start}: it is no "
            "character and cannot be encoded. Read the file with encoding='utf-8', "
            "errors='replace', or remove it from the text"
        ) from None


def check_ids(ids: ArrayLike, vocab_size: int, unused: ArrayLike = ()) -> np.ndarray:
    """`ids` as an array of shape (N,), each in [0, vocab_size) and none of the unused ones.

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
    if ids.size and (ids.min() < 0 or ids.max() >= vocab_size):
        position = np.flatnonzero((ids < 0) | (ids >= vocab_size))[0]
        raise IndexError(
            f"token id {ids[position]} at position {position} is outside the vocabulary of "
            f"{vocab_size} tokens (0 to {vocab_size - 1}); decode with the tokenizer that encoded"
        )
    if len(unused):
        positions = np.flatnonzero(np.isin(ids, unused))
        if positions.size:
            raise IndexError(
                f"token id {ids[positions[0]]} at position {positions[0]} is one that this "
                "vocabulary leaves unused; decode with the tokenizer that encoded"
            )
    return ids.astype(np.int32)


def check_merges(merges: Sequence[Sequence[int]]) -> list[bytes]:
    """The bytes of every token: the 256 bytes, then what each merge makes.

    Raises ValueError unless each merge joins two tokens that exist by then, no two make the same
    bytes, and the table stays within MAX_TOKENS tokens and MAX_BYTES bytes.
    """
    if len(merges) > MAX_TOKENS - 256:
        raise ValueError(f"{len(merges)} merges are too many; at most {MAX_TOKENS - 256} work")
    tokens = [bytes([byte]) for byte in range(256)]
    made, total = {}, 0
    for i, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or [type(part) for part in merge] != [int, int]:
            raise ValueError(f"merge {i} must be a pair of ints, two token indices, got {merge!r}")
        left, right = merge
        if min(merge) < 0 or max(merge) >= 256 + i:
            raise ValueError(f"merge {i} must join two tokens from 0 to {255 + i}, got {merge!r}")
        total += len(tokens[left]) + len(tokens[right])
        if total > MAX_BYTES:
            raise ValueError(
                f"the tokens up to merge {i} have more than {MAX_BYTES} bytes in all; leave out "
                "the merges that make the longest"
            )
        token = tokens[left] + tokens[right]
        if token in made:
            raise ValueError(
                f"merge {i}, {merge!r}, makes the same token {token!r} as merge {made[token]}; it "
                "occurs twice, list it once"
            )
        made[token] = i
        tokens.append(token)
    return tokens


def check_ids_are_distinct(
    ids: Sequence[int], n_tokens: int, special_ids: Mapping[str, int]
) -> None:
    """Raise ValueError unless every token has an id of its own, from 0 on and below MAX_ID."""
    if len(ids) != n_tokens:
        raise ValueError(f"ids must hold one id for each of the {n_tokens} tokens, got {len(ids)}")
    owner = {}
    for token, token_id in [*enumerate(ids), *special_ids.items()]:
        name = f"token {token}" if isinstance(token, int) else f"special token {token!r}"
        if type(token_id) is not int or not 0 <= token_id < MAX_ID:
            raise ValueError(
                f"the id of {name} must be an int from 0 to {MAX_ID - 1}, got {token_id!r}"
            )
        if token_id in owner:
            raise ValueError(
                f"{owner[token_id]} and {name} both have the id {token_id}; give each its own"
            )
        owner[token_id] = name


def check_special_tokens(special_tokens: Sequence[str] | Mapping[str, int]) -> None:
    """Raise TypeError or ValueError unless these are distinct texts of at least one character."""
    if not isinstance(special_tokens, (tuple, list, Mapping)):
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
