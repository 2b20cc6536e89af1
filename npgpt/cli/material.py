"""What a command trains or evaluates on: a text, encoded on the way, or token files."""

from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from npgpt.data.corpora import load_corpus
from npgpt.data.tokens import (
    SAMPLE,
    TokenFile,
    fingerprint,
    ids_of_text,
    open_prepared,
    prepared_paths,
    scan,
    split_chunks,
)
from npgpt.tokenizer import BPETokenizer, CharTokenizer, load_tokenizer
from npgpt.training.checkpoint import RunError, TextSource


@dataclass(frozen=True)
class Material:
    """Token ids to train on and to validate with, and where they come from."""

    source: TextSource
    tokenizer: CharTokenizer | BPETokenizer
    train_ids: TokenFile
    val_ids: TokenFile


def open_material(
    training, stack: ExitStack, corpus=None, tokenizer=None, expected=None, bpe_size=None
):
    """The `Material` of a TrainConfig; its files are closed with the stack.

    corpus      other texts than the config's
    tokenizer   that of the run, if there is one already
    expected    the `TextSource` that a run goes on with; RunError if it is another text
    bpe_size    learn byte pairs from the training text, as many tokens; else characters are tokens
    """
    specs = tuple(corpus or training.corpus)
    paths = prepared_paths(specs)
    read = _of_text if paths is None else _of_tokens
    try:
        return read(
            specs if paths is None else paths, training, stack, tokenizer, expected, bpe_size
        )
    except FileNotFoundError as error:
        if corpus or tokenizer is None:
            raise
        raise FileNotFoundError(
            f"{error}\nThat is what the run was trained on, as its path was then; give the same "
            "text by its path from here: --corpus PATH"
        ) from error


def _of_text(specs, training, stack, tokenizer, expected, bpe_size):
    corpus = load_corpus(specs)
    found = scan(corpus, training.split)
    tokenizer = tokenizer or _new_tokenizer(corpus, found, training, bpe_size)
    source = TextSource(
        corpus.name, found.characters, found.sha256, entropy_per_token(corpus, tokenizer)
    )
    _check_same(source, expected)
    pieces = split_chunks(corpus, found, training.split, training.train_fraction)
    return Material(source, tokenizer, *closing(stack, ids_of_text(pieces, tokenizer)))


def _new_tokenizer(corpus, found, training, bpe_size):
    if bpe_size is None:
        return CharTokenizer(found.alphabet)
    pieces = split_chunks(corpus, found, training.split, training.train_fraction)
    return BPETokenizer.train((piece for part, piece in pieces if part == 0), bpe_size)


def entropy_per_token(corpus, tokenizer):
    """The entropy rate that a loss may be compared with: known where characters are the tokens."""
    return corpus.entropy_rate if isinstance(tokenizer, CharTokenizer) else None


def _of_tokens(paths, training, stack, tokenizer, expected, bpe_size):
    if bpe_size is not None:
        raise ValueError(
            "token files have their tokens already: leave --tokenizer out, or prepare the text "
            "again with npgpt prepare --tokenizer FILE"
        )
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
    ids = closing(stack, open_prepared(paths, beside.vocab_size, training.train_fraction))
    for part in ids:
        _check_ids(part, beside.vocab_size)
    name = str(paths[0].parent if len(paths) == 2 else paths[0])
    source = TextSource(name, None, "-".join(map(fingerprint, ids)), None)
    _check_same(source, expected)
    return Material(source, beside, *ids)


def _check_ids(ids, vocab_size):
    for start in range(0, len(ids), SAMPLE):
        piece_N = ids[start : start + SAMPLE]
        if piece_N.max() >= vocab_size:
            at = int(np.argmax(piece_N >= vocab_size))
            raise ValueError(
                f"{ids.file.name} has token {piece_N[at]} at place {ids.first + start + at}, but "
                f"its tokenizer.json only {vocab_size} tokens; put the tokenizer that made the "
                "file beside it, or write the file again"
            )


def closing(stack, token_files):
    """The same token files, to be closed with the stack."""
    for ids in token_files:
        stack.callback(ids.close)
    return token_files


def _check_same(source, expected):
    if expected is not None and source.sha256 != expected.sha256:
        raise RunError(
            f"the run was trained on {_named(expected)}, and {_named(source)} is another text: "
            "give the same with --corpus, or start a new run without --resume"
        )


def _named(source):
    size = f" with {source.characters:,} characters" if source.characters else ""
    return source.name + size
