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
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import itemgetter
from pathlib import Path

import numpy as np

from npgpt.batches import Dataset, TextSource
from npgpt.data.corpora import SPLIT_FILES, load_corpus
from npgpt.support.files import member, open_file
from npgpt.support.text import shown
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer, chunking, load_tokenizer
from npgpt.tokenizers.chunking import token_dtype

KINDS = ("char", "words", "bpe")  # of tokens: characters, frequent words, byte pairs
SAMPLE = 2_000_000  # tokens read at a time


def open_dataset(
    architecture, training, stack, corpus, tokenizer=None, expected=None, kind="char",
    bpe_size=None, grow=False, whole=False,
):
    """Return the `Dataset` of a `Architecture` and a TrainConfig; the stack closes its files.

    corpus      names of the texts, which the user gave: those of a run are for
                `npgpt.run.opening.open_run`
    tokenizer   the run's, if it has one already
    expected    the `TextSource` of a run that goes on; ValueError if the text differs
    kind        one of KINDS: the tokens of a text if there is no tokenizer
    bpe_size    number of byte-pair tokens to train
    grow        whether characters of the text that the tokenizer lacks become tokens
    whole       whether all of the text is for validation

    Raises what `load_corpus` raises, and ValueError for token files that do not fit the tokenizer,
    and for a text that changes meanwhile.
    """
    objective, write = architecture.Objective, architecture.write
    if folder := prepared_folder(corpus):
        if whole:
            raise ValueError("--split all is for texts; of token files give --split val or train")
        source, tokenizer, ids = _of_token_files(folder, training, stack, tokenizer)
        check_same(source, expected)
        return Dataset(source, tokenizer, *ids, objective(tokenizer), write)
    text = load_corpus(corpus)
    stats = scan(text, training.split)
    source = TextSource(text.name, stats.characters, stats.sha256, text.entropy_rate)
    check_same(source, expected)
    split = ("tail", 0.0) if whole else (training.split, training.train_fraction)
    chunks = partial(split_chunks, text, stats, *split)
    if tokenizer is None:
        train_text = (chunk for part, chunk in chunks() if part == 0)
        tokenizer = new_tokenizer(
            kind, train_text, stats.alphabet, bpe_size, objective.special_tokens)
    elif grow and isinstance(tokenizer, CharTokenizer):
        tokenizer = tokenizer.with_characters(stats.alphabet)
    files = [stack.enter_context(tempfile.TemporaryFile()) for _ in SPLIT_FILES]  # noqa: SIM115
    write_ids(chunks(), tokenizer, files)
    dtype = token_dtype(tokenizer.vocab_size)
    ids = [TokenFile(file, dtype) for file in files]
    return Dataset(source, tokenizer, *ids, objective(tokenizer), write, text.contents)


def check_same(source, expected):
    """Raise ValueError if a run goes on, and the text is not the one that it was trained on."""
    if expected and source.sha256 != expected.sha256:
        raise ValueError(f"the run was trained on {shown(expected.name)}, and {shown(source.name)}"
                         " is another text: give the same with --corpus or --conversations, or "
                         "start a new run from its weights with --init-from")


def new_tokenizer(kind, text, alphabet, bpe_size, special_tokens):
    """Return a tokenizer of one of KINDS; words and byte pairs are learned from chunks of text."""
    if kind == "char":
        return CharTokenizer(alphabet, special_tokens)
    if kind == "words":
        return WordTokenizer.train(text, alphabet, special_tokens)
    return BPETokenizer.train(text, bpe_size, special_tokens)


# ---- from text


@dataclass(frozen=True)
class TextStats:
    """The facts about a text that one reading yields. alphabet: its characters, sorted.

    content   the text's SHA-256
    sha256    that, or if documents are split, of the text and the lengths of its documents
    """

    characters: int
    content: str
    sha256: str
    alphabet: str
    documents: int


def scan(corpus, split="tail"):
    """Return the statistics of a `npgpt.data.corpora.Corpus`, read once, chunk by chunk."""
    digest, alphabet, lengths = hashlib.sha256(), set(), Counter()
    for document, chunk in corpus.chunks():
        digest.update(chunk.encode("utf-8"))
        alphabet.update(chunk)
        lengths[document] += len(chunk)
    content = digest.hexdigest()
    if split == "documents":
        digest.update(str(list(lengths.values())).encode())
    text = "".join(sorted(alphabet))
    return TextStats(lengths.total(), content, digest.hexdigest(), text, len(lengths))


def split_chunks(corpus, stats, split, train_fraction):
    """Yield (0 for training or 1 for validation, chunk of text).

    split   "tail" validates on the last characters, as `npgpt.batches.split_text` does;
            "documents" on complete documents at even distances
    stats   the corpus's `TextStats`

    A single document is for training. Raises ValueError at the end for a text that is not what
    `scan` has read.
    """
    if split == "documents":
        yield from _by_document(corpus, stats, 1 - train_fraction)
        return
    left = int(stats.characters * train_fraction)  # for training
    for _, chunk in _unchanged(corpus, stats):
        if chunk[:left]:
            yield 0, chunk[:left]
        if chunk[left:]:
            yield 1, chunk[left:]
        left = max(0, left - len(chunk))


def _unchanged(corpus, stats):
    digest = hashlib.sha256()
    for document, chunk in corpus.chunks():
        digest.update(chunk.encode("utf-8"))
        yield document, chunk
    if digest.hexdigest() != stats.content:
        raise ValueError(f"{shown(corpus.name)} was changed while it was read; give a copy")


def _by_document(corpus, stats, share):
    count = stats.documents
    wanted = min(count - 1, max(1, round(share * count)))
    index_of = {}  # empty documents do not count
    for document, chunk in _unchanged(corpus, stats):
        index = index_of.setdefault(document, len(index_of))
        yield (index + 1) * wanted // count - index * wanted // count, chunk


def write_ids(chunks, tokenizer, files):
    """Encode (split, chunk) pairs into the open file of each split."""
    for split, group in groupby(chunks, key=itemgetter(0)):
        chunking.write_ids(tokenizer, (chunk for _, chunk in group), files[split])
    for file in files:
        file.flush()


# ---- token files


class TokenFile:
    """The ids in an open file, read like an array: ids[3], ids[2:5], ids[array of positions].

    Each access maps the file and unmaps it again, so that no page stays in memory.

    file    binary, open for reading                  dtype   np.uint16 or np.uint32
    """

    def __init__(self, file, dtype):
        self.file, self.dtype = file, np.dtype(dtype).newbyteorder("<")
        self.length = os.fstat(file.fileno()).st_size // self.dtype.itemsize

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        if not self.length:
            return np.empty(0, self.dtype)[index]
        pages = mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)
        return np.frombuffer(pages, self.dtype, count=self.length)[index].copy()


def prepared_folder(specs):
    """Return the folder of token files that a corpus is; None if it is texts."""
    folder = Path(specs[0]) if len(specs) == 1 else None
    return folder if folder and any((folder / name).exists() for name in SPLIT_FILES) else None


def _of_token_files(folder, training, stack, tokenizer):
    """Return (TextSource, tokenizer, (training ids, validation ids)); the stack closes the files.

    Raises ValueError if `tokenizer` differs from the one beside them, or lacks one of their ids,
    and for a link out of the folder.
    """
    if training.split != "tail":
        raise ValueError("token files have no documents: split=documents is for npgpt prepare")
    stored = load_tokenizer(member(folder, "tokenizer.json"))
    if tokenizer is not None and tokenizer.tokens != stored.tokens:
        raise ValueError(f"the tokens of {folder} are not those of the run's tokenizer.json; "
                         "give the corpus that the run was trained on, or text")
    dtype = token_dtype(stored.vocab_size)
    files = [stack.enter_context(open_file(member(folder, name), "rb")) for name in SPLIT_FILES]
    ids = [TokenFile(file, dtype) for file in files]
    sha256 = "-".join(_sha256(ids_N, stored.vocab_size) for ids_N in ids)
    return TextSource(str(folder), None, sha256, None), stored, ids


def _sha256(ids, vocab_size):
    """Return the hash of a token file. Raises ValueError for an id beyond the vocabulary."""
    digest = hashlib.sha256()
    for start in range(0, len(ids), SAMPLE):
        chunk_N = ids[start : start + SAMPLE]
        if (largest := chunk_N.max()) >= vocab_size:
            raise ValueError(f"{ids.file.name} has token {largest}, but its tokenizer.json only "
                             f"{vocab_size} tokens; put the tokenizer that made the file beside it")
        digest.update(chunk_N)
    return digest.hexdigest()
