"""Texts larger than memory, cut where a cut changes no token, and encoded one chunk at a time.

A split pattern always cuts between white space and what stands before it, and between a letter and
anything else that follows. The text on one side of such a cut does not change how the other side is
cut. A text that has neither for a million characters is cut all the same, so that memory does not
grow with it: there its tokens are not the ones of the whole text.
"""

from collections.abc import Collection, Iterable, Iterator

import numpy as np

from npgpt.tokenizers.characters import check_text
from npgpt.tokenizers.pretokenize import compiled

CHUNK = 1 << 20  # characters
LAST_CUT = r"(?s:.*)(?:[^\s](?=\s)|\p{L}(?=[^\p{L}]))"
ANY_CUT = r"(?s:.+(?=.))"


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

    So long as a chunk has a place to cut it; without a pattern none has.
    """
    pending = ""
    for block in blocks:
        check_text(block)
        for start in range(0, len(block), CHUNK):
            pending += block[start : start + CHUNK]
            cut = _last_cut(pending, special_tokens, pattern) if len(pending) >= CHUNK else 0
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
    if pending:
        yield pending


def _last_cut(text, special_tokens, pattern):
    """Return the last position where `text`, which goes on, is best cut; 0 if there is none."""
    longest = max(map(len, special_tokens), default=1)
    for regex in [LAST_CUT, ANY_CUT] if pattern else [ANY_CUT]:
        end = len(text) - longest + 1  # a special token may just have begun
        while found := compiled(regex).match(text, 0, end):
            end = found.end()
            around = (text[max(0, end - len(t) + 1) : end + len(t) - 1] for t in special_tokens)
            if not any(map(str.__contains__, around, special_tokens)):
                return end
    return 0
