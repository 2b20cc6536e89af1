"""Texts larger than memory, cut where a cut changes no token, and encoded one chunk at a time.

A split pattern always cuts between white space and what stands before it, and between a letter and
anything else that follows. The text on one side of such a cut does not change how the other side is
cut. So memory does not grow with the text, unless it has neither for long.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from npgpt.tokenizers.characters import check_text
from npgpt.tokenizers.pretokenize import compiled

CHUNK = 1 << 20  # characters
LAST_CUT = r"(?s:.*)(?:[^\s](?=\s)|\p{L}(?=[^\p{L}]))"


def token_dtype(vocab_size: int) -> type[np.unsignedinteger]:
    """Return the dtype of ids in a file: uint16 where they fit, else uint32."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def write_ids(tokenizer, blocks: Iterable[str], file) -> int:
    """Write the ids of a text, given in blocks, to an open binary file; return how many there are.

    They are little-endian, of `token_dtype`, and the same as from encoding the text at once. Raises
    the errors of `tokenizer.encode`.
    """
    dtype = np.dtype(token_dtype(tokenizer.vocab_size)).newbyteorder("<")
    count = 0
    for chunk in tokenizer.chunks(blocks):
        ids_N = tokenizer.encode(chunk)
        file.write(ids_N.astype(dtype))
        count += len(ids_N)
    return count


def chunks(
    blocks: Iterable[str], special_tokens: Collection[str], pattern: str | None
) -> Iterator[str]:
    """Yield a text, given in blocks, in chunks whose ids, joined, are the ids of the text.

    Without a pattern it is one chunk.
    """
    pending, enough = "", CHUNK
    for block in blocks:
        check_text(block)
        for start in range(0, len(block), CHUNK):
            pending += block[start : start + CHUNK]
            if len(pending) < enough or pattern is None:
                continue
            cut = _last_cut(pending, special_tokens)
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
            # Wait until the text has doubled: all searches together stay linear.
            enough = max(CHUNK, 2 * len(pending))
    if pending:
        yield pending


def _last_cut(text, special_tokens):
    """Return the last position where `text`, which goes on, may be cut; 0 if there is none."""
    longest = max(map(len, special_tokens), default=1)
    end = len(text) - longest + 1  # a special token may just have begun
    while found := compiled(LAST_CUT).match(text, 0, max(0, end)):
        end = found.end()
        around = (text[max(0, end - len(t) + 1) : end + len(t) - 1] for t in special_tokens)
        if not any(map(str.__contains__, around, special_tokens)):
            return end
    return 0
