"""BPETokenizer: byte pair encoding with special tokens, ids, and the files of other programs.

The algorithm is in `byte_pair_encoding`. Merges are always learned by it. A text is encoded by it
or, where the library `tokenizers` is installed, by that library's function of the same results.
"""

import functools
import operator
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from npgpt.files import atomic_write
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
    check_ids,
    check_no_name,
    check_special_tokens,
    check_text,
)
from npgpt.tokenizers.pretokenize import check_pattern, parts, recognised, split

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
        check_pattern(pattern)
        merged = check_merges(merges)
        check_special_tokens(special_tokens)
        self.pattern = pattern
        self.merges = [(left, right) for left, right in merges]
        self.ids = list(range(len(merged)) if ids is None else ids)
        self.absent = bytes(byte for byte, i in enumerate(self.ids[:256]) if i is None)
        self._absent_said = False
        present = [(i, t) for i, t in zip(self.ids, merged, strict=False) if i is not None]
        if not isinstance(special_tokens, Mapping):
            first = max((i for i, _ in present), default=-1) + 1
            special_tokens = {token: first + i for i, token in enumerate(special_tokens)}
        self.special_ids = dict(special_tokens)
        check_ids_are_distinct(self.ids, merged, self.special_ids)
        self.tokens = [b""] * (max(*dict(present), *self.special_ids.values()) + 1)
        for token_id, token in present:
            self.tokens[token_id] = token
        for text, token_id in self.special_ids.items():
            self.tokens[token_id] = text.encode("utf-8")

    @classmethod
    def train(
        cls,
        text: str | Iterable[str],
        vocab_size: int,
        special_tokens: Sequence[str] = (),
        *,
        pattern: str | None = "gpt2",
        byte_order: Sequence[int] = range(256),
    ) -> "BPETokenizer":
        """Learn merges from a text until the vocabulary holds `vocab_size` tokens.

        `text` is a str, or anything that yields a text in blocks, as an open file does; they
        need not fit into memory. The bytes have the ids 0 to 255 in `byte_order`; GPT-2's order
        gives the merges that the `tokenizers` library learns. Special tokens in the text are
        boundaries and are not counted. Training stops early if no pair is left to merge.

        Raises ValueError if `vocab_size` has no room for the 256 bytes and the special tokens, for
        an empty or repeated special token, and for a lone surrogate.
        """
        check_pattern(pattern)
        check_special_tokens(special_tokens)
        smallest = 256 + len(special_tokens)
        if operator.index(vocab_size) < smallest:
            raise ValueError(
                f"vocab_size {vocab_size} is too small: the 256 bytes and {len(special_tokens)} "
                f"special tokens already take {smallest}; ask for at least that"
            )
        if sorted(byte_order) != list(range(256)):
            raise ValueError("byte_order must hold each of the bytes 0 to 255 exactly once")
        counts: Counter[str] = Counter()
        blocks = [text] if isinstance(text, str) else text
        for block in blocks[:1] if isinstance(blocks, (list, tuple)) else ():
            check_no_name(block)
        for chunk in chunking.chunks(blocks, special_tokens, pattern):
            for part in parts(chunk, special_tokens)[::2]:
                counts.update(split(part, pattern))
        word_counts = {word.encode("utf-8"): times for word, times in counts.items()}
        merges = byte_pair_encoding.learn_merges(word_counts, vocab_size - smallest, byte_order)
        ids = [*np.argsort(byte_order).tolist(), *range(256, 256 + len(merges))]
        return cls(merges, special_tokens, pattern=pattern, ids=ids)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a model's embedding needs."""
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"BPETokenizer(vocab_size={self.vocab_size})"

    @functools.cached_property
    def _ids_of(self):
        """The function from a pre-token to its ids, which remembers the last CACHED ones."""
        encode_word = library_tokenizer.word_encoder(self.merges)
        if encode_word is None:
            token_of_pair = {pair: 256 + i for i, pair in enumerate(self.merges)}
            encode_word = functools.partial(
                byte_pair_encoding.encode_word, token_of_pair=token_of_pair
            )

        @functools.lru_cache(CACHED)
        def ids_of(word):
            present = word.encode("utf-8").translate(None, self.absent)
            return [self.ids[index] for index in encode_word(present)]

        return ids_of

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
        bytes, which are left out, with one warning. Raises ValueError for a lone surrogate and for
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
        """Warn once of bytes that have no token; `tokenizers` leaves them out, too."""
        found = set(text.encode("utf-8")).intersection(self.absent) if self.absent else ()
        if found and not self._absent_said:
            self._absent_said = True
            warnings.warn(
                f"the text has bytes that no token of the vocabulary has, such as {min(found):#04x}"
                "; they are left out", stacklevel=3,
            )

    def chunks(self, blocks: Iterable[str]) -> Iterator[str]:
        """Yield a text, given in blocks, in chunks whose ids, joined, are the ids of the text."""
        return chunking.chunks(blocks, self.special_ids, self.pattern)

    def decode(self, ids: ArrayLike, *, errors: str = "replace") -> str:
        """Return the text of a flat sequence of ids.

        Where ids stop in the middle of a character, U+FFFD stands for it, or whatever `errors` says
        (see bytes.decode). Raises IndexError for an id that no token has.
        """
        ids_N = check_ids(ids, self.vocab_size, self._unused)
        return b"".join(map(self.tokens.__getitem__, ids_N.tolist())).decode("utf-8", errors)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of token `token_id`. Raises IndexError for an unknown id."""
        return self.tokens[check_ids([token_id], self.vocab_size, self._unused)[0]]

    def pair(self, token_id: int) -> tuple[int, ...]:
        """Return the ids of the two tokens merged into this one; () for bytes, special tokens.

        Raises IndexError for an unknown id.
        """
        self.token_bytes(token_id)
        return self._pairs.get(int(token_id), ())

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
        token_of_pair = {pair: 256 + i for i, pair in enumerate(self.merges)}
        present = word.encode("utf-8").translate(None, self.absent)
        steps = byte_pair_encoding.merge_steps(present, token_of_pair)
        return [[self.tokens[self.ids[index]] for index in step] for step in steps]

    @functools.cached_property
    def _unused(self):
        """The ids below `vocab_size` that no token has."""
        return np.flatnonzero([not token for token in self.tokens])

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
            self.merges, self.tokens, self.ids, self.special_ids, self.pattern
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


def check_merges(merges: Sequence[Sequence[int]]) -> list[bytes]:
    """Return the bytes of every token: the 256 bytes, then the token of each merge.

    Raises ValueError unless each merge joins two tokens that exist by then, and no two make the
    same bytes.
    """
    tokens = [bytes([byte]) for byte in range(256)]
    made = {}
    for i, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or [type(i) for i in merge] != [int, int]:
            raise ValueError(f"merge {i} must be a pair of ints, two token indices, got {merge!r}")
        left, right = merge
        if min(merge) < 0 or max(merge) >= 256 + i:
            raise ValueError(f"merge {i} must join two tokens from 0 to {255 + i}, got {merge!r}")
        token = tokens[left] + tokens[right]
        if token in made:
            raise ValueError(
                f"merge {i}, {merge!r}, makes the same token {token!r} as merge {made[token]}; it "
                "occurs twice, list it once"
            )
        made[token] = i
        tokens.append(token)
    return tokens


def check_ids_are_distinct(
    ids: Sequence[int], tokens: Sequence[bytes], special_ids: Mapping[str, int]
) -> None:
    """Raise ValueError unless each of the tokens has its own id, from 0 to MAX_ID - 1.

    A byte may have None. A special token may be one of the tokens: the same text under the same id.
    """
    if len(ids) != len(tokens):
        raise ValueError(
            f"ids must hold one id for each of the {len(tokens)} tokens, got {len(ids)}"
        )
    owner = {}
    for token, token_id in [*enumerate(ids), *special_ids.items()]:
        if token_id is None and token in range(256):
            continue
        name = f"token {token}" if isinstance(token, int) else f"special token {token!r}"
        if type(token_id) is not int or not 0 <= token_id < MAX_ID:
            raise ValueError(
                f"the id of {name} must be an int from 0 to {MAX_ID - 1}, got {token_id!r}"
            )
        text = tokens[token] if isinstance(token, int) else token.encode("utf-8")
        other, of_other = owner.setdefault(token_id, (name, text))
        if other != name and (text != of_other or isinstance(token, int)):
            raise ValueError(f"{other} and {name} both have the id {token_id}; give each its own")
    spelled = {character: byte for byte, character in gpt2_files.byte_to_unicode().items()}
    own = dict(zip(tokens, ids, strict=True))
    for text, token_id in special_ids.items():
        token = bytes(map(spelled.get, text)) if spelled.keys() >= set(text) else b""
        if own.get(token, token_id) != token_id:
            raise ValueError(
                f"the special token {text!r} is spelled like the token {token!r} where tokenizers "
                f"are saved; choose a different text, such as '<|{text}|>'"
            )
