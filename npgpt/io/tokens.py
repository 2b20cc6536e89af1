"""Token files: a corpus as ids on disk, of which training reads only the windows that it draws.

    train.bin, val.bin    ids one after another, little-endian, two bytes each, or four if the
                          vocabulary has more than 65,536 tokens: nanoGPT's format
    tokenizer.json        beside them: text to ids and back

A text becomes such files before it is trained on, either in a folder that `npgpt prepare` makes, or
in files without a name that vanish with the process. So memory does not grow with the corpus.
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from npgpt.files import check_regular, member, open_file
from npgpt.io import streams
from npgpt.io.streams import token_dtype

PARTS = ("train.bin", "val.bin")
SAMPLE = 2_000_000  # tokens read at a time


class TokenFile:
    """Ids in an open file. len(ids), ids[3], ids[2:5] and ids[array of positions], as of an array.

    Each access maps the file and unmaps it again, so that no page stays in memory.

    file    binary, open for reading; closed by `close`      dtype   np.uint16 or np.uint32
    part    first and last share of the ids that count, such as (0.9, 1.0)
    """

    def __init__(self, file, dtype, part=(0.0, 1.0)):
        self.file, self.dtype = file, np.dtype(dtype).newbyteorder("<")
        size = os.fstat(file.fileno()).st_size
        if size % self.dtype.itemsize:
            raise ValueError(
                f"{file.name} has {size} bytes, which are no whole ids of {self.dtype.itemsize} "
                "bytes; write it again, with a tokenizer.json of the same tokenizer beside it"
            )
        self.first, self.last = (int(share * (size // self.dtype.itemsize)) for share in part)

    def __len__(self):
        return self.last - self.first

    def __getitem__(self, index):
        if not len(self):
            return np.empty(0, self.dtype)[index]
        if os.fstat(self.file.fileno()).st_size < self.last * self.dtype.itemsize:
            raise ValueError(
                f"{self.file.name} has become shorter since it was opened; leave token files as "
                "they are while they are trained on, and write this one again"
            )
        pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        ids_N = np.frombuffer(pages, self.dtype, count=self.last)[self.first :]
        return ids_N[index].copy()

    def close(self):
        self.file.close()


# ---- from text


@dataclass(frozen=True)
class TextStats:
    """What is known of a text after reading it once. alphabet: its characters, sorted.

    sha256   of the text, and if it is split by documents, of where they end too
    """

    characters: int
    sha256: str
    alphabet: str
    documents: int


def scan(corpus, split="tail") -> TextStats:
    """Read a `npgpt.io.corpora.Corpus` once, chunk by chunk."""
    digest, alphabet, lengths = hashlib.sha256(), set(), {}
    for document, chunk in corpus.chunks():
        digest.update(chunk.encode("utf-8"))
        alphabet.update(chunk)
        lengths[document] = lengths.get(document, 0) + len(chunk)
    if split == "documents":
        digest.update(str(list(lengths.values())).encode())
    text = "".join(sorted(alphabet))
    return TextStats(sum(lengths.values()), digest.hexdigest(), text, len(lengths))


def split_chunks(corpus, stats, split, train_fraction) -> Iterator[tuple[int, str]]:
    """(0 for training or 1 for validation, chunk of text).

    split   "tail": the last characters are for validation, as in `npgpt.batches.split_text`;
            "documents": whole documents at even distances are
    stats   the corpus's `TextStats`

    Raises ValueError for a single document that is to be split by documents.
    """
    if split == "documents":
        yield from _by_document(corpus, stats.documents, 1 - train_fraction)
        return
    left = int(stats.characters * train_fraction)  # for training
    for _, chunk in corpus.chunks():
        if chunk[:left]:
            yield 0, chunk[:left]
        if chunk[left:]:
            yield 1, chunk[left:]
        left = max(0, left - len(chunk))


def _by_document(corpus, count, share):
    if count < 2:
        raise ValueError(
            f"{corpus.name} is one document, so it cannot be split by documents: give a folder "
            "or several files, use --split tail, or evaluate all of it with npgpt eval --split all"
        )
    wanted = min(count - 1, max(1, round(share * count)))
    index_of = {}  # documents without text do not count
    for document, chunk in corpus.chunks():
        index = index_of.setdefault(document, len(index_of))
        yield (index + 1) * wanted // count - index * wanted // count, chunk


def write_ids(chunks, tokenizer, files):
    """Encode (part, chunk) pairs into the open files of the parts; returns nothing."""
    for part, group in groupby(chunks, key=itemgetter(0)):
        streams.write_ids(tokenizer, (chunk for _, chunk in group), files[part])
    for file in files:
        file.flush()


def ids_of_text(chunks, tokenizer):
    """(training ids, validation ids) of (part, chunk) pairs: two `TokenFile`s without a name."""
    with ExitStack() as opened:
        files = [opened.enter_context(tempfile.TemporaryFile()) for _ in PARTS]
        write_ids(chunks, tokenizer, files)
        opened.pop_all()  # a failure closes them, else they stay open
    return tuple(TokenFile(file, token_dtype(tokenizer.vocab_size)) for file in files)


# ---- prepared


def prepared_paths(specs):
    """The token files that a corpus names, one or two; None if it names no token files.

    A corpus of token files is one file whose name ends in .bin, or a folder with train.bin and
    val.bin. Raises ValueError if it is named among others, or if a file in a folder is a link that
    leads out of it or no file; FileNotFoundError if one is missing.
    """
    paths = [Path(spec) for spec in specs]
    named = [p for p in paths if p.suffix == ".bin" or any((p / part).exists() for part in PARTS)]
    named = [p for p in named if p.exists()]
    if not named:
        return None
    if len(paths) > 1:
        raise ValueError(f"{named[0]} holds tokens, so it is a corpus alone; leave out the others")
    folder = named[0] if named[0].is_dir() else named[0].parent
    found = [member(folder, part) for part in PARTS] if folder == named[0] else named
    for path in (*found, member(folder, "tokenizer.json")):
        if not path.exists():
            raise FileNotFoundError(
                f"{path} is missing; token files need train.bin and val.bin, or a single file "
                "NAME.bin, and their tokenizer.json in one folder, as npgpt prepare writes them"
            )
        check_regular(path, path.stat())
    return found


def open_prepared(paths, vocab_size, train_fraction):
    """(training ids, validation ids): two files, or the head and the tail of one."""
    if len(paths) == 2:
        parts = ((0.0, 1.0),) * 2
    else:
        paths, parts = paths * 2, ((0.0, train_fraction), (train_fraction, 1.0))
    dtype = token_dtype(vocab_size)
    with ExitStack() as opened:
        files = [opened.enter_context(open_file(path, "rb")) for path in paths]
        ids = tuple(TokenFile(file, dtype, part) for file, part in zip(files, parts, strict=True))
        opened.pop_all()  # a failure closes them, else they stay open
    return ids


def fingerprint(ids_N):
    """A hash of a token file's length and of a thousand blocks spread over it: enough to tell two
    corpora apart, without reading all of a large one."""
    digest = hashlib.sha256(str(len(ids_N)).encode())
    for start in np.linspace(0, max(0, len(ids_N) - 1024), 1024).astype(np.int64):
        digest.update(ids_N[start : start + 1024].tobytes())
    return digest.hexdigest()
