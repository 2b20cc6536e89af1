"""The token ids of a corpus: encoded from its text, or read from the token files of npgpt prepare.

    train.bin, val.bin    ids one after another, little-endian, two bytes each, or four if the
                          vocabulary has more than 65,536 tokens: nanoGPT's format
    tokenizer.json        beside them: text to ids and back

A text is encoded into nameless files of this format, which vanish with the process. Training reads
only the windows that it draws, so memory does not grow with the corpus.
"""

import hashlib
import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from npgpt.checkpoint import RunError, TextSource
from npgpt.files import check_regular, member, open_file
from npgpt.io.corpora import PARTS, load_corpus
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer, chunking, load_tokenizer
from npgpt.tokenizers.chunking import token_dtype
from npgpt.train import Dataset

KINDS = ("char", "words", "bpe")  # of tokens: characters, frequent words, byte pairs
SAMPLE = 2_000_000  # tokens read at a time


def open_dataset(
    family, training, stack: ExitStack, corpus=None, tokenizer=None, expected=None, kind="char",
    bpe_size=None, grow=False,
):
    """Return the `Dataset` of a `Family` and a TrainConfig; the stack closes its files.

    corpus      texts to read instead of the config's
    tokenizer   the run's, if it has one already
    expected    the `TextSource` of a run that goes on; RunError if the text differs
    kind        one of KINDS: the tokens of a text if there is no tokenizer
    bpe_size    number of byte-pair tokens to train
    grow        whether characters of the text that the tokenizer lacks become tokens

    Raises what `load_corpus` and `prepared_paths` raise, and ValueError for token files that do not
    fit the tokenizer.
    """
    paths, text = _found(training, corpus, tokenizer)
    if paths:
        source, tokenizer, ids = _of_token_files(paths, training, stack, tokenizer)
    else:
        stats = scan(text, training.split)
        chunks = partial(split_chunks, text, stats, training.split, training.train_fraction)
        if tokenizer is None:
            train_text = (chunk for part, chunk in chunks() if part == 0)
            special = family.Objective.special_tokens
            tokenizer = _new_tokenizer(kind, train_text, stats.alphabet, bpe_size, special)
        elif grow and isinstance(tokenizer, CharTokenizer):
            tokenizer = tokenizer.with_characters(stats.alphabet)
        source = _source(text, tokenizer, stats.characters, stats.sha256)
    if expected and source.sha256 != expected.sha256:
        was, now = (
            found.name + (f" with {found.characters:,} characters" if found.characters else "")
            for found in (expected, source)
        )
        raise RunError(
            f"the run was trained on {was}, and {now} is another text: give the same with "
            "--corpus, or start a new run without --resume"
        )
    if text:
        ids = ids_of_text(chunks(), tokenizer, stack)
    contents = text.contents if text else ""
    return Dataset(source, tokenizer, *ids, family.Objective(tokenizer), family.write, contents)


def _new_tokenizer(kind, text, alphabet, bpe_size, special_tokens):
    """Return a tokenizer of one of KINDS; words and byte pairs are learned from chunks of text."""
    if kind == "char":
        return CharTokenizer(alphabet, special_tokens)
    if kind == "words":
        return WordTokenizer.train(text, alphabet, special_tokens)
    return BPETokenizer.train(text, bpe_size, special_tokens)


def open_whole_text(training, stack: ExitStack, corpus, tokenizer):
    """Return (TextSource, token ids) of a complete text, for an evaluation with --split all.

    Raises ValueError for token files.
    """
    paths, text = _found(training, corpus, tokenizer)
    if paths:
        raise ValueError("--split all is for texts; of token files give --split val or train")
    ids, _ = ids_of_text(((0, chunk) for _, chunk in text.chunks()), tokenizer, stack)
    return _source(text, tokenizer), ids


def _source(text, tokenizer, characters=None, sha256=""):
    # Where a token is several characters, a loss cannot be compared with nats per character.
    comparable = isinstance(tokenizer, CharTokenizer)
    return TextSource(text.name, characters, sha256, text.entropy_rate if comparable else None)


def _found(training, corpus, tokenizer):
    """Return (paths of token files, None) or (None, Corpus) for `corpus`, or else the config's."""
    specs = tuple(corpus or training.corpus)
    try:
        paths = prepared_paths(specs)
        return paths, None if paths else load_corpus(specs)
    except FileNotFoundError as error:
        if corpus or tokenizer is None:  # the user named the text just now
            raise
        raise FileNotFoundError(
            f"{error}\nThat is what the run was trained on, as its path was then; give the same "
            "text by its path from here: --corpus PATH"
        ) from error


# ---- from text


@dataclass(frozen=True)
class TextStats:
    """The facts about a text that one reading yields. alphabet: its characters, sorted.

    sha256   of the text, and of the lengths of its documents if they are split
    """

    characters: int
    sha256: str
    alphabet: str
    documents: int


def scan(corpus, split="tail") -> TextStats:
    """Return the statistics of a `npgpt.io.corpora.Corpus`, read once, chunk by chunk."""
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
    """Yield (0 for training or 1 for validation, chunk of text).

    split   "tail" validates on the last characters, as `npgpt.batches.split_text` does;
            "documents" on complete documents at even distances
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
            "or several files, train with --split tail, or evaluate all of it with npgpt eval "
            "--split all"
        )
    wanted = min(count - 1, max(1, round(share * count)))
    index_of = {}  # empty documents do not count
    for document, chunk in corpus.chunks():
        index = index_of.setdefault(document, len(index_of))
        yield (index + 1) * wanted // count - index * wanted // count, chunk


def write_ids(chunks, tokenizer, files):
    """Encode (part, chunk) pairs into the open file of each part."""
    for part, group in groupby(chunks, key=itemgetter(0)):
        chunking.write_ids(tokenizer, (chunk for _, chunk in group), files[part])
    for file in files:
        file.flush()


def ids_of_text(chunks, tokenizer, stack):
    """Encode pairs (part, text) into two temporary files: return the `TokenFile`s of the training
    and of the validation ids.

    part    0 for training, 1 for validation
    stack   an ExitStack, which closes the files
    """
    files = [stack.enter_context(tempfile.TemporaryFile()) for _ in PARTS]  # noqa: SIM115
    write_ids(chunks, tokenizer, files)
    dtype = token_dtype(tokenizer.vocab_size)
    return tuple(TokenFile(file, dtype) for file in files)


# ---- token files


class TokenFile:
    """The ids in an open file, read like an array: ids[3], ids[2:5], ids[array of positions].

    Each access maps the file and unmaps it again, so that no page stays in memory.

    file    binary, open for reading                  dtype   np.uint16 or np.uint32
    part    where the ids begin and end in the file, as shares of it, such as (0.9, 1.0)

    Raises ValueError for a file whose size is no multiple of an id's.
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
        pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        ids_N = np.frombuffer(pages, self.dtype, count=self.last)[self.first :]
        return ids_N[index].copy()


def prepared_paths(specs):
    """Return the paths of the token files that a corpus names, one or two; None if it names none.

    Token files are one file whose name ends in .bin, or a folder with train.bin and val.bin. Raises
    ValueError if there are more names, or if a file is a link out of its folder, a pipe or a
    device; FileNotFoundError if one is missing.
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
        check_regular(path)
    return found


def open_prepared(paths, vocab_size, train_fraction, stack):
    """Return (training ids, validation ids): two files, or the head and the tail of one.

    The stack closes them.
    """
    if len(paths) == 2:
        parts = ((0.0, 1.0),) * 2
    else:
        paths, parts = paths * 2, ((0.0, train_fraction), (train_fraction, 1.0))
    files = [stack.enter_context(open_file(path, "rb")) for path in paths]
    dtype = token_dtype(vocab_size)
    return tuple(TokenFile(file, dtype, part) for file, part in zip(files, parts, strict=True))


def _of_token_files(paths, training, stack, tokenizer):
    """Return (TextSource, tokenizer, (training ids, validation ids)) of token files.

    Raises ValueError if `tokenizer` differs from the one beside them, or lacks one of their ids.
    """
    if training.split != "tail":
        raise ValueError(
            "token files have no documents, so split=documents is for npgpt prepare: leave "
            "--split out"
        )
    beside = load_tokenizer(paths[0].with_name("tokenizer.json"))
    if tokenizer is not None and tokenizer.tokens != beside.tokens:
        raise ValueError(
            f"the tokens of {paths[0]} are not those of the run's tokenizer.json; give the corpus "
            "that the run was trained on, or text"
        )
    ids = open_prepared(paths, beside.vocab_size, training.train_fraction, stack)
    for part in ids:
        _check_ids(part, beside.vocab_size)
    name = str(paths[0].parent if len(paths) == 2 else paths[0])
    sha256 = "-".join(map(fingerprint, ids))
    return TextSource(name, None, sha256, None), beside, ids


def _check_ids(ids, vocab_size):
    for start in range(0, len(ids), SAMPLE):
        chunk_N = ids[start : start + SAMPLE]
        if chunk_N.max() >= vocab_size:
            i = int(np.argmax(chunk_N >= vocab_size))
            raise ValueError(
                f"{ids.file.name} has token {chunk_N[i]} at position {ids.first + start + i}, but "
                f"its tokenizer.json only {vocab_size} tokens; put the tokenizer that made the "
                "file beside it, or write the file again"
            )


def fingerprint(ids_N):
    """Return a hash of a token file's length and of a thousand blocks spread over it.

    That tells two corpora apart without reading all of a large one.
    """
    digest = hashlib.sha256(str(len(ids_N)).encode())
    for start in np.linspace(0, max(0, len(ids_N) - 1024), 1024).astype(np.int64):
        digest.update(ids_N[start : start + 1024].tobytes())
    return digest.hexdigest()
