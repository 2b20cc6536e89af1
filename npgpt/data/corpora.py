"""Corpora: texts by name, from files and folders or standard input, read chunk by chunk.

A text is the content of its file, but a byte order mark is dropped and the line ends of Windows
(CR LF) become LF. Memory does not grow with a text.
"""

import codecs
import glob
import io
import os
import shutil
import sys
import tempfile
import weakref
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from pathlib import Path

from npgpt.support import download
from npgpt.support.files import RUN_STATE, member, open_file
from npgpt.support.text import shown

TALES_CHARACTERS = 2_000_000
CHUNK = 1 << 20  # bytes read at a time
SPLIT_FILES = ("train.bin", "val.bin")  # token files, which npgpt prepare makes

# A folder with one of these was made by train, prepare, export or a different program for models.
NO_TEXT = (
    RUN_STATE, "model.safetensors", "model.safetensors.index.json", "tokenizer.json", *SPLIT_FILES,
)


@dataclass(frozen=True)
class Corpus:
    """Documents to train or evaluate on, read when `chunks` is iterated over.

    documents      for each document a function that returns its text in chunks
    entropy_rate   nats per character, None where unknown
    files, skipped names of the files that are read, number of files that are left out
    """

    name: str
    documents: Sequence[Callable[[], Iterable[str]]]
    entropy_rate: float | None = None
    files: tuple[str, ...] = ()
    skipped: int = 0

    def chunks(self):
        """Yield (index of the document, chunk of its text), each document on a new line."""
        line_ended, before = True, 0
        for index, document in enumerate(self.documents):
            for chunk in document():
                if index != before and not line_ended:
                    yield before, "\n"
                yield index, chunk
                line_ended, before = chunk.endswith("\n"), index

    @property
    def text(self):
        """The text in one string, for a corpus that is small beside the memory."""
        return "".join(chunk for _, chunk in self.chunks())

    @property
    def contents(self):
        """A line for people: number of files, the first names, number of files left out."""
        names = [shown(name[:40]) for name in self.files[:3]] + ["..."] * (len(self.files) > 3)
        skipped = f"; {self.skipped:,} skipped, which hold a zero byte" if self.skipped else ""
        return f"{len(self.files):,}: {', '.join(names)}{skipped}" if names else ""


def load_corpus(specs: Sequence[str]) -> Corpus:
    """Return the texts that `specs` name, in their order.

    A spec is one of
        tales          the embedded corpus, 2,000,000 characters (`npgpt.tales`)
        shakespeare    1,115,394 characters of plays, fetched once and cached
        a file         of UTF-8 text
        a folder       every text file in it and in its folders, in sorted order; left out are
                       hidden files, folders with a model, a tokenizer or tokens (NO_TEXT), such as
                       runs, and files with a zero byte in their first megabyte, such as images
        a pattern      such as books/*.txt or books/**/*.txt: the files that match, sorted, without
                       hidden ones; each file once, if there are links to it
        -              standard input
    Each file is a document. A file that has a built-in name is reached by a path: ./tales.

    Raises FileNotFoundError for a missing file, or if Shakespeare cannot be fetched; ValueError for
    an empty text, one that is not UTF-8, a folder that would be left out, or a
    link out of the folder or pattern that it is found in; PermissionError for a folder in a folder
    that may not be read.
    """
    loaded = {spec: _load(spec) for spec in dict.fromkeys(specs)}
    for corpus in loaded.values():
        if next(corpus.chunks(), None) is None:
            raise ValueError(f"{corpus.name} is empty; give a corpus with text in it")
    first, *others = corpora = [loaded[spec] for spec in specs]
    if not others:
        return first
    return Corpus(
        " + ".join(corpus.name for corpus in corpora),
        [document for corpus in corpora for document in corpus.documents],
        files=tuple(name for corpus in corpora for name in corpus.files),
        skipped=sum(corpus.skipped for corpus in corpora),
    )


def _load(spec):
    if spec in BUILT_IN:
        return BUILT_IN[spec]()
    path = Path(spec)
    if spec and path.is_dir():
        return _folder(path)
    if path.is_file():
        return _files(spec, [path])
    home = Path(*takewhile(lambda part: not glob.has_magic(part), path.parts))
    matching = home.glob(str(path.relative_to(home))) if home != path else ()
    found = sorted((match for match in matching if not any(
        part.startswith(".") for part in match.relative_to(home).parts
    )), key=lambda path: path.parts)
    files = {os.path.realpath(match): match for match in reversed(found) if match.is_file()}
    if not files:
        raise FileNotFoundError(f"there is no corpus {shown(path, 60)}; give the path of a file or "
                                f"folder, or one of {', '.join(BUILT_IN)} (standard input)")
    return _files(spec, [*files.values()][::-1], home=home)


def _files(name, paths, skipped=0, home=None):
    for path in paths if home else ():
        member(home, path.relative_to(home))  # no link out, perhaps to a secret
    documents = [partial(read_chunks, path) for path in paths]
    return Corpus(name, documents, None, tuple(path.name for path in paths), skipped)


def _folder(folder):
    visible = sorted(_visible_files(folder), key=lambda path: path.parts)
    no_text = {path.parent: path.name for path in visible if path.name in NO_TEXT}
    if folder in no_text:
        raise ValueError(f"{folder} is no folder of texts, as it holds {no_text[folder]}: tokens "
                         "are a corpus alone; to train a run or a model further, write --resume or "
                         "--init-from before it")
    paths = [path for path in visible if no_text.keys().isdisjoint(path.parents) and path.is_file()]
    texts = [path for path in paths if not has_zero_byte(path)]
    return _files(str(folder), texts, len(paths) - len(texts), folder)


def _visible_files(folder):
    """Yield the paths of the files in a folder and those below it, without hidden ones.

    Links to folders are not followed. Raises PermissionError for a folder that may not be read.
    """

    def refuse(error):
        raise error

    for here, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(here, name) for name in names if not name.startswith("."))


# ---- built-in corpora


def _tales():
    from npgpt import tales  # here: it makes the grammar, 5 ms

    text = tales.generate(TALES_CHARACTERS)
    return Corpus("tales", [lambda: [text]], tales.entropy_rate())


def _standard_input():
    file = tempfile.TemporaryFile()  # noqa: SIM115 (a corpus is read several times)
    shutil.copyfileobj(sys.stdin.buffer, file)
    document = partial(file_chunks, file, name := "standard input")
    weakref.finalize(document, file.close)
    return Corpus(name, [document])


BUILT_IN = {"tales": _tales, "shakespeare": lambda: _files("shakespeare", [download.shakespeare()]),
            "-": _standard_input}


# ---- text files


def read_chunks(path):
    """Yield the text of a UTF-8 file in chunks, none of them empty.

    A chunk may end anywhere, in the middle of a word too: a tokenizer's `chunks` joins them before
    it encodes. Raises ValueError, which names the byte, if the file is not UTF-8 or holds a zero
    byte.
    """
    with open_file(path, "rb") as file:
        yield from file_chunks(file, str(path))


def file_chunks(file, name):
    """Yield the text of an open file from its beginning, as `read_chunks` does."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    carriage_return, at_end = "", False
    file.seek(0)
    while not at_end:
        start, data = file.tell(), file.read(CHUNK)
        at_end = len(data) < CHUNK
        try:
            text = carriage_return + decode(data, final=at_end)
            if "\0" in text:
                raise ValueError("a zero byte")
        except ValueError as error:
            raise ValueError(f"{name} is not UTF-8 text (from byte {start:,} on: {error}); unpack "
                             "it, or save its text as UTF-8 first") from error
        # A CR at the end waits, since the next chunk may begin with its LF.
        carriage_return = "\r" if text.endswith("\r") and not at_end else ""
        text = text.removesuffix(carriage_return).replace("\r\n", "\n")
        if text:
            yield text


def has_zero_byte(path):
    """Return whether a file begins as an image does and a text does not, with a zero byte early."""
    with open_file(path, "rb") as file:
        return b"\0" in file.read(CHUNK)


def decode_whole(data, name):
    """Return the text of UTF-8 bytes. Raises ValueError as `read_chunks` does."""
    return "".join(file_chunks(io.BytesIO(data), name))
