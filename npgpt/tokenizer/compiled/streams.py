"""Texts larger than memory: cut where a cut changes nothing, and encoded one chunk at a time.

A cut before a space, after a character that is no white space, is one that every split pattern
makes anyway, and the text on one side of it does not change where the other side is cut. The same
holds after a line end between two such characters, for texts with few spaces. Without a pattern a
text is one long pre-token and cannot be cut; then it is read whole.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npgpt.files import open_file
from npgpt.tokenizer.checks import check_text

Text = str | Path | Iterable[str]  # a text, the path of its file, or its parts, cut anywhere

CHUNK = 1 << 23  # characters
SAFE_CUT = re.compile(r"(?<=\S)(?=[ \t])|(?<=\S\n)(?=\S)")
LOOK_BACK = 1 << 12


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


def chunks(text: Text, special_tokens: Iterable[str], pattern: str | None) -> Iterator[str]:
    """The text in chunks that may be encoded one by one.

    Raises FileNotFoundError if there is no such file, ValueError where it is no UTF-8.
    """
    if isinstance(text, (str, bytes)):
        check_text(text)
        yield text
        return
    pending, enough = "", CHUNK
    for part in _read(text) if isinstance(text, Path) else text:
        check_text(part)
        pending += part
        if len(pending) >= enough and pattern is not None:
            cut = _last_safe_cut(pending, special_tokens)
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
            # After a vain search wait for as much again: all searches together stay linear.
            enough = CHUNK if cut else 2 * len(pending)
    if pending:
        yield pending


def _last_safe_cut(text, special_tokens):
    """The last position where `text`, which goes on, may be cut; 0 if there is none."""
    longest = max(map(len, special_tokens), default=1)
    end = len(text) - longest + 1  # a special token may just have begun
    begin = end
    while begin > 0:
        begin = max(0, begin - LOOK_BACK)
        for match in reversed(list(SAFE_CUT.finditer(text, begin, end))):
            around = text[max(0, match.start() - longest + 1) : match.start() + longest - 1]
            if not any(token in around for token in special_tokens):
                return match.start()
        end = begin + 1
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
