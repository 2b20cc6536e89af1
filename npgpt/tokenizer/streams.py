"""Texts larger than memory: cut where a cut changes nothing, and work on one piece at a time.

A cut before a space, behind a character that is no white space, is one that every split pattern
makes anyway, and what stands on either side does not change where the other side is cut. The same
holds behind a line end between two such characters, for texts with few spaces (the rule of
`data.texts.safe_cut`, which knows no special tokens). Without a pattern there is no such place in a
text of one long piece; then it is read whole.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tqdm import tqdm

from autograd import backend
from npgpt.files import atomic_file, open_file
from npgpt.tokenizer import fast, special
from npgpt.tokenizer.checks import check_text
from npgpt.tokenizer.pretokenize import split

CHUNK = 1 << 23  # characters
SAFE_CUT = re.compile(r"(?<=\S)(?=[ \t])|(?<=\S\n)(?=\S)")
LOOK_BACK = 1 << 12


def count_words(
    text: str | Path | Iterable[str], special_tokens: Sequence[str], pattern: str | None
) -> Counter[bytes]:
    """How often each pre-token occurs in a text; special tokens are borders and are not counted."""
    counts: Counter[bytes] = Counter()
    tokens = dict.fromkeys(special_tokens, 0)
    for chunk in chunks(text, tokens, pattern):
        data = chunk.encode("utf-8")
        parts_P3 = special.parts(data, tokens)
        if backend.name == "numpy":
            for begin, stop, _ in parts_P3.tolist():
                words = split(data[begin:stop].decode("utf-8"), pattern)
                counts.update(word.encode("utf-8") for word in words)
        else:
            counts.update(fast.word_counts(data, parts_P3, pattern))
    return counts


def encode_file(tokenizer, source: str | Path, target: str | Path) -> int:
    """Write the ids of a text file, read as UTF-8, to `target`; return how many they are.

    The file holds nothing but ids, little-endian uint16 if they fit and else uint32, and is read by
    np.fromfile or np.memmap. Ids are those of encoding the whole text at once; memory is bounded by
    some ten bytes for each character of a chunk. Raises FileNotFoundError without a source,
    ValueError where it is no UTF-8. A `target` that is there stays as it was until the new one is
    whole; it may be the source itself.
    """
    source, target = Path(source), Path(target)
    dtype = "<u2" if tokenizer.vocab_size <= 1 << 16 else "<u4"
    count = 0
    with atomic_file(target) as file:
        for chunk in chunks(source, tokenizer.special_ids, tokenizer.pattern):
            ids_N = tokenizer.encode(chunk)
            ids_N.astype(dtype).tofile(file)
            count += len(ids_N)
    return count


def chunks(
    text: str | Path | Iterable[str], special_tokens: Iterable[str], pattern: str | None
) -> Iterator[str]:
    """The text in pieces that may be encoded one by one."""
    if isinstance(text, (str, bytes)):
        check_text(text)
        yield text
        return
    waiting, enough = "", CHUNK
    for part in _read(text) if isinstance(text, Path) else text:
        check_text(part)
        waiting += part
        if len(waiting) >= enough and pattern is not None:
            cut = _last_safe_cut(waiting, special_tokens)
            if cut:
                yield waiting[:cut]
                waiting = waiting[cut:]
            # After a vain search wait for as much again: all searches together stay linear.
            enough = CHUNK if cut else 2 * len(waiting)
    if waiting:
        yield waiting


def _last_safe_cut(text, special_tokens):
    """The last place where `text` may be cut, or 0."""
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
