"""Texts larger than memory, cut where a cut changes no token, and encoded one chunk at a time.

Every split pattern cuts before a space that follows something other than white space, and the text
on one side of that cut does not change how the other side is cut. The same holds after a line end
between two such characters, and between a letter and anything else. A single pre-token, which may
be as long as the text, is cut between two of its tokens.

So memory does not grow with the text, unless it has neither for long: symbols, digits and line ends
in turn, digits or line ends alone under "cl100k" and "llama3", tokens written by hand that all end
inside characters.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from npgpt.tokenizers.characters import check_text
from npgpt.tokenizers.pretokenize import compiled, pre_tokens

CHUNK = 1 << 20  # characters
SAFE_CUT = r"(?<=\S)(?=[ \t])|(?<=\S\n)(?=\S)|(?<=\p{L})(?=[^\p{L}])"
LOOK_BACK = 1 << 12  # characters that are searched first
LONGEST_TOKENS = 8  # a cut inside a pre-token is at least so many from the end that is known


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
    blocks: Iterable[str],
    special_tokens: Iterable[str],
    pattern: str | None,
    cut_word: Callable[[str], int] = lambda word: 0,
) -> Iterator[str]:
    """Yield a text, given in blocks, in chunks whose ids, joined, are the ids of the text.

    cut_word: gives a position where the beginning of a pre-token may be cut, or 0; see `word_cut`.
    """
    pending, enough = "", CHUNK
    for block in blocks:
        check_text(block)
        for start in range(0, len(block), CHUNK):
            pending += block[start : start + CHUNK]
            if len(pending) < enough:
                continue
            cut = _last_cut(pending, special_tokens, pattern, cut_word)
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
            # Wait until the text has doubled: all searches together stay linear.
            enough = max(CHUNK, 2 * len(pending))
    if pending:
        yield pending


def _last_cut(text, special_tokens, pattern, cut_word):
    """Return the last position where `text`, which goes on, may be cut; 0 if there is none."""
    longest = max(map(len, special_tokens), default=1)
    end = max(0, len(text) - longest + 1)  # a special token may just have begun
    for begin in (max(0, end - LOOK_BACK), 0) if pattern else ():
        for match in reversed(list(compiled(SAFE_CUT).finditer(text, begin, end))):
            around = text[max(0, match.start() - longest + 1) : match.start() + longest - 1]
            if not any(token in around for token in special_tokens):
                return match.start()
    known = text[:end]
    word = next(pre_tokens(known, pattern), None)
    uncertain = pattern in ("cl100k", "llama3") and re.search(r"[\r\n]", known)
    if not word or word.end() < end or uncertain or any(t in text for t in special_tokens):
        return 0
    return cut_word(known[:-2])  # the last white space may be left to the next word


def word_cut(word: str, encode_word: Callable[[bytes], np.ndarray], tokens: Sequence[bytes]) -> int:
    """Return where tokens cut the beginning of a pre-token whatever text follows; 0 if unknown.

    encode_word: gives the ids of the bytes of one pre-token. tokens: the bytes of tokens, by id.

    Neighbours in an encoding are also neighbours when only a part of it is encoded, and any tokens
    whose neighbours all are so form an encoding (see `kernels.encoder`). The tokens of the complete
    pre-token have a boundary at the end of `word` or less than a longest token before it, and up to
    that boundary they are the encoding of that much of the word. If all these encodings have a
    boundary after the same token, so has the complete one. They need not start at the beginning of
    the word: an encoding that begins with a token of the word's continues the tokens before it.
    """
    data = word.encode("utf-8")
    ids_N = encode_word(data)
    lengths_V = np.array([len(token) for token in tokens])
    ends_N = np.cumsum(lengths_V[ids_N])
    whole_N = np.frombuffer(data + b" ", np.uint8)[ends_N] & 0xC0 != 0x80  # ends a character
    longest = lengths_V.max()
    for k in np.flatnonzero(whole_N & (ends_N <= len(data) - LONGEST_TOKENS * longest))[-1:]:
        begin = ends_N[k] - lengths_V[ids_N[k]]
        stops = range(len(data) - longest + 1, len(data) + 1)
        if all(encode_word(data[begin:stop])[0] == ids_N[k] for stop in stops):
            return len(data[: ends_N[k]].decode("utf-8"))
    return 0
