"""BPETokenizer: byte pair encoding with special tokens, ids, and the files of other programs.

The algorithm is in `byte_pair_encoding`. Merges are always learned by it. A text is encoded by it
or, where the library `tokenizers` is installed, by that library's function of the same results.
"""

import functools
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from npgpt.support.files import atomic_write
from npgpt.tokenizers import (
    byte_pair_encoding,
    chunking,
    gpt2_files,
    huggingface_format,
    library_tokenizer,
    tokenizer_json,
)
from npgpt.tokenizers.byte_pair_encoding import Pair
from npgpt.tokenizers.characters import (
    CharTokenizer,
    check_ids,
    check_special_tokens,
    check_text,
)
from npgpt.tokenizers.pretokenize import MAX_LETTERS, parts, recognised, split

MAX_ID = 1 << 24
CACHED = 1 << 17  # pre-tokens whose ids a tokenizer remembers


class BPETokenizer:
    """Byte-level BPE: every text has an encoding, and decoding gives it back exactly.

    Some published vocabularies lack a few bytes, which `encode` leaves out of any text.

    Args:
        merges: the two tokens that each merge joins, by their indices, in order.
        special_tokens: texts that are one token each and never merge with anything, such as
            "<|endoftext|>". Their ids follow the others, or are given: {"<|endoftext|>": 50256}.
        pattern: how text is cut before merging: "gpt2", "smollm" or None, not at all.
        ids: the id of each token by its index, if the two are not the same; None for a byte that
            has no token.

    Attributes:
        merges, pattern, ids: as given.
        merged: a list of the bytes of every token by index.
        absent: the bytes without a token.
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
        merges: Sequence[Pair],
        special_tokens: Sequence[str] | Mapping[str, int] = (),
        *,
        pattern: str | None = "gpt2",
        ids: Sequence[int] | None = None,
    ) -> None:
        self.merged = [bytes([byte]) for byte in range(256)]
        for left, right in merges:
            self.merged.append(self.merged[left] + self.merged[right])
        check_special_tokens(special_tokens)
        self.pattern = pattern
        self.merges = [(left, right) for left, right in merges]
        self.ids = list(range(len(self.merged)) if ids is None else ids)
        self.absent = bytes(byte for byte, i in enumerate(self.ids[:256]) if i is None)
        if not isinstance(special_tokens, Mapping):
            first = 1 + max((i for i in self.ids if i is not None), default=-1)
            special_tokens = {token: first + i for i, token in enumerate(special_tokens)}
        self.special_ids = dict(special_tokens)
        found = tokens_by_id(self.ids, self.merged, self.special_ids)
        self.tokens = [found.get(i, b"") for i in range(max(found) + 1)]

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        *,
        pattern: str | None = "gpt2",
    ) -> "BPETokenizer":
        """Learn merges from a text until the vocabulary holds `vocab_size` tokens.

        `text` is a str, or anything that yields a text in blocks, as an open file does; they
        need not fit into memory. Special tokens in the text are boundaries and are not counted.
        Training stops early if no pair is left to merge. The vocabulary has the 256 bytes and the
        special tokens at least. Raises ValueError for an empty or repeated special token, and for a
        lone surrogate.
        """
        check_special_tokens(special_tokens)
        counts: Counter[str] = Counter()
        blocks = [text] if isinstance(text, str) else text
        for chunk in chunking.chunks(blocks, special_tokens, pattern):
            for part in parts(chunk, special_tokens)[::2]:
                counts.update(split(part, pattern))
        word_counts = {word.encode("utf-8"): times for word, times in counts.items()}
        count = vocab_size - 256 - len(special_tokens)
        merges = byte_pair_encoding.learn_merges(word_counts, count)
        return cls(merges, special_tokens, pattern=pattern)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a model's embedding needs."""
        return len(self.tokens)

    __repr__ = CharTokenizer.__repr__

    @functools.cached_property
    def _ids_of(self):
        """The function from a pre-token to its ids, which remembers the last CACHED short ones."""
        ours = functools.partial(
            byte_pair_encoding.encode_word, token_of_pair=self._token_of_pair
        )
        encode_word = library_tokenizer.word_encoder(self.merges, self.merged) or ours

        def ids_of(word):
            present = word.encode("utf-8").translate(None, self.absent)
            return [self.ids[index] for index in encode_word(present)]

        cached = functools.lru_cache(CACHED)(ids_of)
        return lambda word: (cached if len(word) < MAX_LETTERS else ids_of)(word)

    def encode(
        self,
        text: str,
        *,
        allowed_special: str | Collection[str] = "all",
        disallowed_special: str | Collection[str] = "all",
    ) -> np.ndarray:
        """Return the token ids of `text`: int32 of shape (N,).

        allowed_special: the special tokens that are one token where they occur in `text`.
        disallowed_special: the ones that are an error there; "all" means all that are not allowed.
        Any others are plain text. decode(encode(text)) == text for every text without `absent`
        bytes, which are left out, with a warning. Raises ValueError for a lone surrogate and for
        a disallowed special token.
        """
        check_text(text)
        special_ids = recognised(text, self.special_ids, allowed_special, disallowed_special)
        ids = []
        for i, part in enumerate(parts(text, special_ids)):
            if i % 2:
                ids.append(special_ids[part])
            else:
                self._warn_of_absent_bytes(part)
                ids += chain.from_iterable(map(self._ids_of, split(part, self.pattern)))
        return np.array(ids, np.int32)

    def _warn_of_absent_bytes(self, text):
        """Warn of bytes that have no token; `tokenizers` leaves them out, too."""
        found = set(text.encode("utf-8")).intersection(self.absent) if self.absent else ()
        if found:
            warnings.warn(
                f"the text has bytes that no token of the vocabulary has, such as {min(found):#04x}"
                "; they are left out", stacklevel=3,
            )

    def chunks(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield a text, given in blocks, in chunks whose ids, joined, are the ids of the text."""
        return chunking.chunks(blocks, self.special_ids, self.pattern)

    def decode(self, ids: ArrayLike) -> str:
        """Return the text of a flat sequence of ids.

        Where ids stop in the middle of a character, U+FFFD stands for it. An id that no token has
        adds nothing. Raises IndexError for one outside [0, vocab_size).
        """
        found = map(self.tokens.__getitem__, check_ids(ids, self.vocab_size))
        return b"".join(found).decode("utf-8", "replace")

    def pair(self, token_id: int) -> tuple[int, ...]:
        """Return the ids of the two tokens merged into this one; () for bytes, special tokens."""
        return self._pairs.get(token_id, ())

    def merge_steps(self, word: str) -> list[list[bytes]]:
        """Return the tokens of one pre-token before any merge and after each one, as bytes.

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
        present = word.encode("utf-8").translate(None, self.absent)
        steps = byte_pair_encoding.merge_steps(present, self._token_of_pair)
        return [[self.merged[index] for index in step] for step in steps]

    @functools.cached_property
    def _token_of_pair(self):
        return {pair: 256 + i for i, pair in enumerate(self.merges)}

    @functools.cached_property
    def _pairs(self):
        pairs = ((self.ids[left], self.ids[right]) for left, right in self.merges)
        return dict(zip(self.ids[256:], pairs, strict=True))

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, a tokenizer.json that the `tokenizers` library reads too.

        An existing file is replaced in one step.
        """
        atomic_write(path, self.to_json())

    def to_json(self) -> str:
        """Return the text of the file that `save` writes."""
        return huggingface_format.to_json(
            self.merges, self.merged, self.ids, self.special_ids, self.pattern
        )

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read a tokenizer.json from `save`, or byte-level BPE from the `tokenizers` library.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of a different kind.
        """
        return tokenizer_json.load(path, {"bpe": cls})

    @classmethod
    def from_gpt2(cls, vocab_json: str | Path, merges_txt: str | Path) -> "BPETokenizer":
        """Read GPT-2's own tokenizer from encoder.json (vocab.json) and vocab.bpe (merges.txt).

        Ids are GPT-2's. Tokens of `vocab_json` that no merge makes become special tokens. Raises
        FileNotFoundError without the files, ValueError if they do not belong together.
        """
        return cls(**gpt2_files.read_gpt2_files(vocab_json, merges_txt))

    @classmethod
    def gpt2(cls) -> "BPETokenizer":
        """Return GPT-2's own tokenizer; OpenAI's two files are fetched once, checked and cached.

        Raises FileNotFoundError if they are not cached and there is no network.
        """
        return cls.from_gpt2(*gpt2_files.fetch_gpt2())


# ---- checks of a vocabulary


def tokens_by_id(
    ids: Sequence[int | None], tokens: Sequence[bytes], special_ids: Mapping[str, int]
) -> dict[int, bytes]:
    """Return the bytes of all tokens by id. A byte may have the id None, for no token.

    Raises ValueError unless each of the tokens has its own id, from 0 to MAX_ID - 1. A special
    token may be one of the tokens: the same text under the same id.
    """
    present = [(i, token) for i, token in zip(ids, tokens, strict=True) if i is not None]
    found = {}
    for i, token in present + [(i, text.encode("utf-8")) for text, i in special_ids.items()]:
        if type(i) is not int or not 0 <= i < MAX_ID:
            raise ValueError(f"the id of {token!r} must be an int below {MAX_ID}, got {i!r}")
        if found.setdefault(i, token) != token:
            raise ValueError(f"{found[i]!r} and {token!r} have one id, {i}")
    return found
