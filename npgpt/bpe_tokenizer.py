"""The tokenizer that `bpe` describes, ready for use: any text to ids and back, quickly.

It cuts text as `pretokenize` does, knows `special` tokens, and has all the work done by the
functions of `bpe`, or by the same functions compiled (`compiled.bpe`).
"""

import functools
import operator
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from autograd import backend
from npgpt import bpe, special
from npgpt.fast.tokenizer import streams
from npgpt.files import atomic_file, atomic_write
from npgpt.pretokenize import check_pattern, split
from npgpt.token_checks import (
    MAX_TOKENS,
    check_ids,
    check_ids_are_distinct,
    check_merges,
    check_special_tokens,
    check_text,
)


class BPETokenizer:
    """Byte-level BPE: every text has an encoding, and decoding gives it back exactly.

    Args:
        merges: the two tokens that each merge joins, in order. A token goes by its index here: 0 to
            255 are the bytes, 256 + i is what merge i makes.
        special_tokens: texts that are one token each and never merge with anything, such as
            "<|endoftext|>". Their ids follow the others, or are given: {"<|endoftext|>": 50256}.
        pattern: how text is cut before merging: "gpt2", "cl100k" (GPT-4's) or None, not at all.
        ids: the id of each token by its index, if the two are not the same.

    Attributes:
        merges, pattern, ids: as given.
        tokens: a list of the bytes of every token by id; b"" for an id that no token has.
        special_ids: a dict from special token to id.

    >>> tokenizer = BPETokenizer.train("hug hug hug pug", vocab_size=258)
    >>> tokenizer.tokens[256:]
    [b'ug', b'hug']
    >>> tokenizer.encode("hugs").tolist()
    [257, 115]
    >>> tokenizer.decode([257, 115])
    'hugs'
    """

    def __init__(
        self,
        merges: Sequence[bpe.Pair],
        special_tokens: Sequence[str] | Mapping[str, int] = (),
        *,
        pattern: str | None = "gpt2",
        ids: Sequence[int] | None = None,
    ) -> None:
        check_pattern(pattern)
        merged = check_merges(merges)
        check_special_tokens(special_tokens)
        self.pattern = pattern
        self.merges = [(left, right) for left, right in merges]
        self.ids = list(range(len(merged)) if ids is None else ids)
        if not isinstance(special_tokens, Mapping):
            first = max(self.ids, default=-1) + 1
            special_tokens = {token: first + i for i, token in enumerate(special_tokens)}
        self.special_ids = dict(special_tokens)
        check_ids_are_distinct(self.ids, len(merged), self.special_ids)
        self.tokens = [b""] * (max(*self.ids, *self.special_ids.values()) + 1)
        for token_id, token in zip(self.ids, merged, strict=True):
            self.tokens[token_id] = token
        for text, token_id in self.special_ids.items():
            self.tokens[token_id] = text.encode("utf-8")

    @classmethod
    def train(
        cls,
        text: streams.Text,
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        *,
        pattern: str | None = "gpt2",
        byte_order: Sequence[int] = range(256),
    ) -> "BPETokenizer":
        """Learn merges from a text until the vocabulary holds `vocab_size` tokens.

        `text` is a str, the path of a file in UTF-8, or anything that yields the parts of a text,
        as an open file does; files and streams need not fit into memory. The most frequent pair is
        merged first; ties go to the smallest (left id, right id), so the same text always gives the
        same tokenizer. The bytes have the ids 0 to 255 in `byte_order`; that of GPT-2 gives the
        merges that the `tokenizers` library learns. Special tokens in the text are boundaries and
        are not counted. If the text has no pair left to merge, training stops early and the
        vocabulary is smaller than asked for.

        Raises ValueError if `vocab_size` has no room for the 256 bytes and the special tokens or is
        above MAX_TOKENS, for an empty or repeated special token, and for a lone surrogate.
        """
        check_pattern(pattern)
        check_special_tokens(special_tokens)
        smallest = 256 + len(special_tokens)
        if operator.index(vocab_size) < smallest:
            raise ValueError(
                f"vocab_size {vocab_size} is too small: the 256 bytes and {len(special_tokens)} "
                f"special tokens already take {smallest}; ask for at least that"
            )
        if vocab_size > MAX_TOKENS:
            raise ValueError(f"vocab_size {vocab_size} is too large; ask for {MAX_TOKENS} at most")
        if sorted(byte_order) != list(range(256)):
            raise ValueError("byte_order must hold each of the bytes 0 to 255 exactly once")
        counts = count_words(text, special_tokens, pattern)
        merges = _implementation().learn_merges(counts, vocab_size - smallest, byte_order)
        ids = [*np.argsort(byte_order).tolist(), *range(256, 256 + len(merges))]
        return cls(merges, special_tokens, pattern=pattern, ids=ids)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a model's embedding needs."""
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"BPETokenizer(vocab_size={self.vocab_size})"

    def encode(
        self,
        text: str,
        *,
        allowed_special: str | Collection[str] = "all",
        disallowed_special: str | Collection[str] = "all",
    ) -> np.ndarray:
        """The token ids of `text`: int32 of shape (N,).

        allowed_special: the special tokens that are one token where they occur in `text`.
        disallowed_special: those that are an error there; "all" means all that are not allowed.
        The others are plain text. decode(encode(text)) == text for every text. Raises ValueError
        for a lone surrogate and for a disallowed special token.
        """
        check_text(text)
        chosen = special.allowed(text, self.special_ids, allowed_special, disallowed_special)
        data = text.encode("utf-8")
        return self._codec.encode(data, special.spans(data, chosen))

    def encode_batch(
        self, texts: Sequence[str], *, threads: int | None = None, **special_tokens: Any
    ) -> list[np.ndarray]:
        """`encode` of several texts, on several threads (None: ThreadPoolExecutor's number)."""
        encode = functools.partial(self.encode, **special_tokens)
        with ThreadPoolExecutor(threads) as pool:
            return list(pool.map(encode, texts))

    def chunks(self, text: streams.Text) -> Iterator[str]:
        """A text given as for `train`, in chunks whose ids, joined, are those of the whole."""

        def cut_word(word):
            return streams.word_cut(word, self._codec.encode_word, self.tokens)

        return streams.chunks(text, self.special_ids, self.pattern, cut_word)

    def encode_file(self, source: str | Path, target: str | Path) -> int:
        """Write the ids of a text file, read as UTF-8, to `target`; return how many they are.

        The file holds nothing but ids, little-endian uint16 if they fit and else uint32, and is
        read by np.fromfile or np.memmap. Memory is bounded by some ten bytes for each character of
        a chunk. An existing `target` stays whole until the new one is complete; it may be the
        source itself. Raises FileNotFoundError without a source, ValueError where it is no UTF-8.
        """
        with atomic_file(Path(target)) as file:
            return streams.write_ids(self, Path(source), file)

    def decode(self, ids: ArrayLike, *, errors: str = "replace") -> str:
        """The text of a flat sequence of ids.

        Where ids stop in the middle of a character, U+FFFD stands for it, or whatever `errors` says
        (see bytes.decode). Raises IndexError for an id that no token has.
        """
        ids_N = check_ids(ids, self.vocab_size, self._unused)
        return str(self._codec.decode(ids_N), "utf-8", errors)

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that token `token_id` stands for. Raises IndexError for an unknown id."""
        return self.tokens[check_ids([token_id], self.vocab_size, self._unused)[0]]

    def parts(self, token_id: int) -> tuple[int, ...]:
        """The ids of the two tokens that were merged into this one; () for bytes, special tokens.

        Raises IndexError for an unknown id.
        """
        self.token_bytes(token_id)
        return self._parts.get(int(token_id), ())

    def merge_steps(self, word: str) -> list[list[bytes]]:
        """How one pre-token is encoded: its bytes, then its tokens after each merge.

        Raises ValueError for a text of several pre-tokens.

        >>> for tokens in BPETokenizer.train("hug hug hug pug", 258).merge_steps("hugs"):
        ...     print(tokens)
        [b'h', b'u', b'g', b's']
        [b'h', b'ug', b's']
        [b'hug', b's']
        """
        check_text(word)
        pre_tokens = split(word, self.pattern)
        if len(pre_tokens) > 1:
            raise ValueError(f"{word!r} is several pre-tokens; pass one of {pre_tokens}")
        token_of_pair = {pair: 256 + i for i, pair in enumerate(self.merges)}
        steps = bpe.merge_steps(word.encode("utf-8"), token_of_pair)
        return [[self.tokens[self.ids[index]] for index in step] for step in steps]

    @functools.cached_property
    def _codec(self):
        return _implementation().Codec(self.merges, self.tokens, self.ids, self.pattern)

    @functools.cached_property
    def _unused(self):
        """Ids that no token has, below `vocab_size`."""
        return np.flatnonzero([not token for token in self.tokens])

    @functools.cached_property
    def _parts(self):
        pairs = ((self.ids[left], self.ids[right]) for left, right in self.merges)
        return dict(zip(self.ids[256:], pairs, strict=True))

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, a tokenizer.json that the `tokenizers` library reads too.

        A file that is there is replaced in one step.
        """
        from npgpt.io.tokenizers import huggingface

        atomic_write(path, huggingface.to_json(self))

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read a tokenizer.json of `save`, or of the `tokenizers` library with byte-level BPE.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of another kind.
        """
        from npgpt.io.tokenizers import tokenizer_json

        return tokenizer_json.load(path, {"bpe": cls})

    @classmethod
    def from_gpt2(cls, vocab_json: str | Path, merges_txt: str | Path) -> "BPETokenizer":
        """GPT-2's own tokenizer, from its encoder.json (vocab.json) and vocab.bpe (merges.txt).

        Ids are GPT-2's. Tokens of `vocab_json` that no merge makes become special tokens. Raises
        FileNotFoundError without the files, ValueError if they do not belong together.
        """
        from npgpt.io.tokenizers import gpt2

        return cls(**gpt2.read_gpt2_files(vocab_json, merges_txt))

    @classmethod
    def gpt2(cls) -> "BPETokenizer":
        """GPT-2's own tokenizer; OpenAI's two files are fetched once, checked and cached.

        Raises FileNotFoundError if they are not cached and there is no network.
        """
        from npgpt.io.tokenizers import gpt2

        return cls.from_gpt2(*gpt2.fetch_gpt2())

    @classmethod
    def from_tiktoken(
        cls,
        path: str | Path,
        pattern: str | None,
        special_tokens: Sequence[str] | Mapping[str, int] = (),
    ) -> "BPETokenizer":
        """The tokenizer of a tiktoken rank file, such as cl100k_base.tiktoken.

        The file holds neither the split pattern nor the special tokens; tiktoken has both in its
        code. Raises FileNotFoundError without a file, ValueError naming a damaged line.
        """
        from npgpt.io.tokenizers import tiktoken

        arguments = tiktoken.read_tiktoken_ranks(path)
        return cls(**arguments, pattern=pattern, special_tokens=special_tokens)


def count_words(
    text: streams.Text, special_tokens: Iterable[str], pattern: str | None
) -> Counter[bytes]:
    """How often each pre-token occurs in a text; special tokens are not counted."""
    counts: Counter[bytes] = Counter()
    special_ids = dict.fromkeys(special_tokens, 0)
    for chunk in streams.chunks(text, special_ids, pattern):
        data = chunk.encode("utf-8")
        spans_P3 = special.spans(data, special_ids)
        counts.update(_implementation().count_words(data, spans_P3, pattern))
    return counts


def _implementation():
    """`bpe`, or the same functions compiled."""
    if backend.name == "numpy":
        return bpe
    from npgpt.fast.tokenizer import bpe as compiled_bpe

    return compiled_bpe
