"""Texts larger than memory: cut where a cut changes nothing, and encoded one chunk at a time.

A cut before a space, after a character that is no white space, is one that every split pattern
makes anyway, and the text on one side of it does not change where the other side is cut. The same
holds after a line end between two such characters, and after a letter before what is none. A text
without such a place near its end so far is cut into pre-tokens from its beginning on, and the last
of those that no further text changes ends the chunk. A single pre-token, which may be as long as
the text, is cut between two of its tokens.

So memory does not grow with the text, with two exceptions. Under "cl100k" what comes after white
space decides whether the last line end in it ends a pre-token, so what follows that line end has to
wait. And tokens written by hand may all end inside characters, where no text is cut.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npgpt.files import open_file
from npgpt.pretokenize import compiled, pre_tokens
from npgpt.token_checks import check_text

Text = str | Path | Iterable[str]  # a text, the path of its file, or its parts, cut anywhere

CHUNK = 1 << 20  # characters
SAFE_CUT = r"(?<=\S)(?=[ \t])|(?<=\S\n)(?=\S)|(?<=\p{L})(?=[^\p{L}])"
LOOK_BACK = 1 << 12
LONGEST_TOKENS = 8  # of text that a cut inside a pre-token is from the end that is known


def token_dtype(vocab_size: int) -> type[np.unsignedinteger]:
    """The type of ids in a file."""
    return np.uint16 if vocab_size <= 2**16 else np.uint32


def write_ids(tokenizer, text: Text, file) -> int:
    """Encode a text into an open binary file, as little-endian `token_dtype`; return how many ids.

    The ids are those of encoding the whole text at once. Raises what `tokenizer.encode` and reading
    the text raise.
    """
    dtype = np.dtype(token_dtype(tokenizer.vocab_size)).newbyteorder("<")
    count = 0
    for chunk in tokenizer.chunks(text):
        ids_N = tokenizer.encode(chunk)
        file.write(ids_N.astype(dtype))
        count += len(ids_N)
    return count


def chunks(
    text: Text,
    special_tokens: Iterable[str],
    pattern: str | None,
    cut_word: Callable[[str], int] = lambda word: 0,
) -> Iterator[str]:
    """The text in chunks that may be encoded one by one.

    cut_word: gives a position where the beginning of a pre-token may be cut, or 0; see `word_cut`.
    Raises FileNotFoundError if there is no such file, ValueError where it is no UTF-8.
    """
    if isinstance(text, (str, bytes)):
        check_text(text)
        yield text
        return
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
            # Wait for as much again as was in vain: all searches together stay linear.
            enough = max(CHUNK, 2 * len(pending))
    if pending:
        yield pending


def _last_cut(text, special_tokens, pattern, cut_word):
    """The last position found where `text`, which goes on, may be cut; 0 if there is none."""
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
    """Where the last special token stops that begins before `end`; 0 if there is none."""
    stop = 0
    if special_tokens:
        longer_first = sorted(special_tokens, key=len, reverse=True)
        for match in re.finditer("|".join(map(re.escape, longer_first)), text):
            if match.start() >= end:
                break
            stop = match.end()
    return stop


def _last_boundary(known, pattern):
    """Where the last pre-token begins that may be cut off; 0 if only the first may be one.

    Not the last two characters: what follows may make "'l" one pre-token, "'ll". And white space at
    the end of a text is one pre-token, where before other text it may be two.
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
    """What of the beginning of a pre-token is in it whatever follows, and whose every end is read
    as its continuation when it is encoded alone."""
    word = known[:-2]  # the last white space may be left to the next word
    line_end = re.search(r"[\r\n]", word) if pattern == "cl100k" else None
    if line_end and compiled(r"\s+").fullmatch(word):
        return word[: max(word.rfind("\r"), word.rfind("\n")) + 1]
    return word[: line_end.start()] if line_end else word


def word_cut(word: str, encode_word: Callable[[bytes], np.ndarray], tokens: Sequence[bytes]) -> int:
    """A position where the beginning of a pre-token is cut by its tokens, whatever follows; or 0.

    encode_word: the ids of the bytes of one pre-token. tokens: the bytes of each token, by id.

    Neighbours in an encoding stay neighbours in that of any part of it, and tokens of which any
    two neighbours do so are an encoding (see `kernels.encoder`). Of the whole pre-token's tokens,
    one begins at or before the end of `word`, at most a longest token before it: up to there they
    are the encoding of that much of the word. If there is a boundary after the same token in all
    these encodings, there is one in the whole. They need not be made from the beginning on: any
    that begins with a token of the word's encoding continues what is before that token.
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
    """A file's text a chunk at a time, with a progress bar."""
    if path.is_dir() or not path.exists():
        raise FileNotFoundError(f"there is no file {path}; give the path of a text file")
    with (
        open_file(path, encoding="utf-8", newline="") as file,
        tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, leave=False,
             delay=1, disable=None) as bar,
    ):  # fmt: skip
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
