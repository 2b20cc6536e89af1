"""What a model is trained or evaluated on: a text, encoded on the way, or token files."""

from contextlib import ExitStack, contextmanager

import numpy as np

from npgpt.bpe import BPETokenizer
from npgpt.char import CharTokenizer
from npgpt.checkpoint import RunError, TextSource
from npgpt.families import family
from npgpt.io.corpora import load_corpus
from npgpt.io.tokenizers import load_tokenizer
from npgpt.io.tokens import (
    SAMPLE,
    fingerprint,
    ids_of_text,
    open_prepared,
    prepared_paths,
    scan,
    split_chunks,
)
from npgpt.train import Dataset
from npgpt.words import WordTokenizer

KINDS = ("char", "words", "bpe")  # of tokens: characters, frequent words, byte pairs


def open_dataset(
    training, stack: ExitStack, corpus=None, tokenizer=None, expected=None, kind="char",
    bpe_size=None, grow=False,
):  # fmt: skip
    """The `Dataset` of a TrainConfig; its files are closed with the stack.

    corpus      other texts than the config's
    tokenizer   that of the run, if there is one already
    expected    the `TextSource` that a run goes on with; RunError if it is another text
    kind        what the tokens of a text are if there is no tokenizer: one of KINDS
    bpe_size    how many tokens there are, if they are byte pairs of the training text
    grow        whether characters of the text that the tokenizer lacks become tokens
    """
    specs = tuple(corpus or training.corpus)
    with _moved_explained(by_run=not corpus and tokenizer is not None):
        paths = prepared_paths(specs)
        if paths is None:
            return _of_text(specs, training, stack, tokenizer, expected, kind, bpe_size, grow)
        return _of_tokens(paths, training, stack, tokenizer, expected)


@contextmanager
def _moved_explained(by_run):
    """Inside, a text that is missing gets advice if it was named `by_run`, not by the user."""
    try:
        yield
    except FileNotFoundError as error:
        if not by_run:
            raise
        raise FileNotFoundError(
            f"{error}\nThat is what the run was trained on, as its path was then; give the same "
            "text by its path from here: --corpus PATH"
        ) from error


def open_whole_text(training, stack: ExitStack, corpus, tokenizer):
    """(TextSource, token ids) of all of a text, as it is evaluated with --split all."""
    specs = tuple(corpus or training.corpus)
    with _moved_explained(by_run=not corpus):
        if prepared_paths(specs):
            raise ValueError("--split all is for texts; of token files give --split val or train")
        corpus = load_corpus(specs)
    ids, nothing = ids_of_text(((0, chunk) for _, chunk in corpus.chunks()), tokenizer)
    stack.callback(ids.close)
    stack.callback(nothing.close)
    return TextSource(corpus.name, None, "", _entropy_rate(corpus, tokenizer)), ids


def _of_text(specs, training, stack, tokenizer, expected, kind, bpe_size, grow):
    corpus = load_corpus(specs)
    stats = scan(corpus, training.split)

    def chunks():
        """(0 for training or 1 for validation, text), from the beginning."""
        return split_chunks(corpus, stats, training.split, training.train_fraction)

    kind_of_model = family(training.arch)
    special = kind_of_model.Objective.special_tokens
    if tokenizer is None:
        text = (text for part, text in chunks() if part == 0)
        if kind == "char":
            tokenizer = CharTokenizer(stats.alphabet, special)
        elif kind == "words":
            tokenizer = WordTokenizer.train(text, stats.alphabet, special)
        else:
            tokenizer = BPETokenizer.train(text, bpe_size, special)
    elif grow and isinstance(tokenizer, CharTokenizer):
        tokenizer = tokenizer.with_characters(stats.alphabet)
    entropy = _entropy_rate(corpus, tokenizer)
    source = TextSource(corpus.name, stats.characters, stats.sha256, entropy)
    _check_same(source, expected)
    train_ids, val_ids = ids_of_text(chunks(), tokenizer)
    stack.callback(train_ids.close)
    stack.callback(val_ids.close)
    return Dataset(
        source, tokenizer, train_ids, val_ids, kind_of_model.Objective(tokenizer),
        kind_of_model.write, corpus.contents,
    )  # fmt: skip


def _of_tokens(paths, training, stack, tokenizer, expected):
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
    kind_of_model = family(training.arch)
    objective = kind_of_model.Objective(beside)
    train_ids, val_ids = open_prepared(paths, beside.vocab_size, training.train_fraction)
    for ids in (train_ids, val_ids):
        stack.callback(ids.close)
    for ids in (train_ids, val_ids):
        _check_ids(ids, beside.vocab_size)
    name = str(paths[0].parent if len(paths) == 2 else paths[0])
    source = TextSource(name, None, f"{fingerprint(train_ids)}-{fingerprint(val_ids)}", None)
    _check_same(source, expected)
    return Dataset(source, beside, train_ids, val_ids, objective, kind_of_model.write)


def _entropy_rate(corpus, tokenizer):
    """Nats per character, if a loss may be compared with what follows from the grammar: not where
    byte pairs are the tokens."""
    return corpus.entropy_rate if isinstance(tokenizer, CharTokenizer) else None


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


def _check_same(source, expected):
    if expected is not None and source.sha256 != expected.sha256:
        raise RunError(
            f"the run was trained on {_described(expected)}, and {_described(source)} is another "
            "text: give the same with --corpus, or start a new run without --resume"
        )


def _described(source):
    size = f" with {source.characters:,} characters" if source.characters else ""
    return source.name + size
