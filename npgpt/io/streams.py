"""Texts larger than memory, cut where a cut changes no token, and encoded one chunk at a time.

Every split pattern cuts before a space that follows something other than white space, and the text
on one side of that cut does not change how the other side is cut. The same holds after a line end
between two such characters, and between a letter and anything else. A text without such a position
near its end so far is cut into pre-tokens from its beginning, and the chunk ends after the last
pre-token that no further text changes. A single pre-token, which may be as long as the text, is cut
between two of its tokens.

So memory does not grow with the text, with two exceptions. Under "cl100k" the character after white
space decides whether the last line end in it ends a pre-token, so the text after that line end has
to wait. And tokens written by hand may all end inside characters, where no text is cut.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npgpt.char import check_text
from npgpt.files import open_file
from npgpt.pretokenize import compiled, pre_tokens

CHUNK = 1 << 20  # characters
SAFE_CUT = r"(?<=\S)(?=[ \t])|(?<=\S\n)(?=\S)|(?<=\p{L})(?=[^\p{L}])"
LOOK_BACK = 1 << 12
LONGEST_TOKENS = 8  # a cut inside a pre-token is at least so many from the end that is known


def token_dtype(vocab_size: int) -> type[np.unsignedinteger]:
    """Return the dtype of ids in a file: uint16 where they fit, else uint32."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def write_ids(tokenizer, text: Path | Iterable[str], file) -> int:
    """Write the ids of a text to an open binary file; return how many there are.

    They are little-endian, of `token_dtype`, and the same as from encoding the text at once. Raises
    the errors of `tokenizer.encode` and of reading the text.
    """
    dtype = np.dtype(token_dtype(tokenizer.vocab_size)).newbyteorder("<")
    count = 0
    for chunk in tokenizer.chunks(text):
        ids_N = tokenizer.encode(chunk)
        file.write(ids_N.astype(dtype))
        count += len(ids_N)
    return count


def chunks(
    text: Path | Iterable[str],
    special_tokens: Iterable[str],
    pattern: str | None,
    cut_word: Callable[[str], int] = lambda word: 0,
) -> Iterator[str]:
    """Yield pieces of a text whose ids, one piece after the other, are those of the whole text.

    cut_word: gives a position where the beginning of a pre-token may be cut, or 0; see `word_cut`.
    Raises FileNotFoundError if there is no such file, ValueError if it is not UTF-8.
    """
    pending, enough = "", CHUNK
    for part in _read(text) if isinstance(text, Path) else text:
        check_text(part)
        for start in range(0, len(part), CHUNK):
            pending += part[start : start + CHUNK]
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
    """Return the last position found where `text`, which goes on, may be cut; 0 if none is."""
    longest = max(map(len, special_tokens), default=1)
    end = max(0, len(text) - longest + 1)  # a special token may just have begun
    safe = compiled(SAFE_CUT).finditer(text, max(0, end - LOOK_BACK), end) if pattern else ()
    for match in reversed(list(safe)):
        around = text[max(0, match.start() - longest + 1) : match.start() + longest - 1]
        if not any(token in around for token in special_tokens):
            return match.start()
    begin = _after_special_tokens(text, special_tokens, end)
    known = text[begin:end]
    return begin + _last_boundary(known, pattern) or cut_word(_certain(known, pattern))


def _after_special_tokens(text, special_tokens, end):
    """Return the end of the last special token that begins before `end`; 0 if there is none."""
    stop = 0
    if special_tokens:
        longer_first = sorted(special_tokens, key=len, reverse=True)
        for match in re.finditer("|".join(map(re.escape, longer_first)), text):
            if match.start() >= end:
                break
            stop = match.end()
    return stop


def _last_boundary(known, pattern):
    """Return the start of the last pre-token that may be cut off; 0 if only the first is certain.

    The last two characters are left out: further text may turn "'l" into one pre-token, "'ll". And
    white space is one pre-token at the end of a text, but may be two before more text.
    """
    found = before = 0
    for match in pre_tokens(known, pattern):
        start = match.start()
        if start > len(known) - 2:
            break
        if not (before and known[before - 1 : start].isspace()):
            found = start
        before = start
    return found


def _certain(known, pattern):
    """Return the part of a pre-token's beginning that belongs to it whatever text follows.

    Encoded alone, any end of that part is read as its continuation too.
    """
    word = known[:-2]  # the last white space may be left to the next word
    line_end = re.search(r"[\r\n]", word) if pattern in ("cl100k", "llama3") else None
    if line_end and compiled(r"\s+").fullmatch(word):
        return word[: max(word.rfind("\r"), word.rfind("\n")) + 1]
    return word[: line_end.start()] if line_end else word


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
    back = LONGEST_TOKENS * longest
    while back < len(data):
        for k in np.flatnonzero(whole_N & (ends_N <= len(data) - back))[-1:]:
            begin = ends_N[k] - lengths_V[ids_N[k]]
            stops = range(len(data) - longest + 1, len(data) + 1)
            if all(encode_word(data[begin:stop])[0] == ids_N[k] for stop in stops):
                return len(data[: ends_N[k]].decode("utf-8"))
        back *= 4
    return 0


def _read(path):
    """Yield a file's text a chunk at a time, with a progress bar."""
    if path.is_dir() or not path.exists():
        raise FileNotFoundError(f"there is no file {path}; give the path of a text file")
    with (
        open_file(path, encoding="utf-8", newline="") as file,
        tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, leave=False,
             delay=1, disable=None) as bar,
    ):
        while True:
            try:
                part = file.read(CHUNK)
            except UnicodeDecodeError as error:
                raise ValueError(
                    f"{path} is no UTF-8 near byte {file.buffer.tell()} ({error.reason}); convert "
                    "it, for instance with: iconv -f LATIN1 -t UTF-8"
                ) from error
            if not part:
                return
            yield part
            bar.update(len(part.encode("utf-8")))
