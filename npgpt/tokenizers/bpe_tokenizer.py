"""Byte pair encoding (Sennrich et al. 2016) on bytes, as in GPT-2 (Radford et al. 2019, sec. 2.2).

Training starts from the 256 bytes, counts which two tokens stand side by side most often, makes
that pair a new token, and repeats:

    "hug" x 10, "pug" x 5    h u g    p u g      most frequent pair: (u, g), 15 times
    after one merge          h ug     p ug       most frequent pair: (h, ug), 10 times
    after two                hug      p ug       and so on

Encoding replays the merges, in the order they were learned, on new text. Because it starts from
bytes, every text can be encoded, and decoding gives it back exactly. Merges never cross the
boundaries of the pre-tokens that `pretokenize.split` makes.

This file is the algorithm and, on top of it, BPETokenizer. `implementation` is where the two meet:
it puts the compiled functions of `npgpt.fast.tokenizer.compiled_bpe` in the place of the ones here.

Tokens go by their *indices* in the algorithm: 0 to 255 are the bytes, 256 + i is the token that
merge i makes. Their *ids*, which a model sees, are the same unless a file orders them differently.
"""

import functools
import operator
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from autograd import backend
from npgpt.files import atomic_write
from npgpt.tokenizers.characters import check_ids, check_special_tokens, check_text
from npgpt.tokenizers.pretokenize import check_pattern, recognised, spans, split

Pair = tuple[int, int]

MAX_TOKENS = 1 << 21  # the compiled tables keep three tokens in one word of 64 bits
MAX_BYTES = 1 << 27  # of all tokens together
MAX_ID = 1 << 24

# ---- learning merges


def merge_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Replace `pair` by `new_id` wherever it occurs, from left to right.

    >>> merge_pair([104, 117, 103, 117, 103], (117, 103), 256)
    [104, 256, 256]
    >>> merge_pair([97, 97, 97], (97, 97), 256)
    [256, 97]
    """
    merged = []
    i = 0
    while i < len(ids):
        if tuple(ids[i : i + 2]) == pair:
            merged.append(new_id)
            i += 2
        else:
            merged.append(ids[i])
            i += 1
    return merged


class PairCounts:
    """Counts of the pairs of neighbouring tokens in a list of words that changes.

    Of ten thousand words a merge changes only those that contain its pair. So the pairs are counted
    once, and after a merge only the changed words are taken out and put back.

    >>> pairs = PairCounts(range(256))
    >>> pairs.add(0, list(b"hug"), 10)
    >>> pairs.add(1, list(b"pug"), 5)
    >>> pairs.counts[ord("u"), ord("g")]
    15
    >>> bytes(pairs.most_frequent())
    b'ug'
    """

    def __init__(self, rank: Sequence[int]):
        self.counts: Counter[Pair] = Counter()
        self.words_with: defaultdict[Pair, set[int]] = defaultdict(set)
        self.rank = rank

    def add(self, word: int, ids: list[int], times: int) -> None:
        """Count the pairs in the tokens `ids` of word number `word`, which occurs `times` times."""
        for pair in pairwise(ids):
            self.counts[pair] += times
            self.words_with[pair].add(word)

    def remove(self, ids: list[int], times: int) -> None:
        """Undo `add` for the tokens that the word had before a merge."""
        for pair in pairwise(ids):
            self.counts[pair] -= times
            if not self.counts[pair]:
                del self.counts[pair]

    def most_frequent(self) -> Pair:
        """Return the pair with the highest count; ties go to the smallest (left, right) ranks."""
        highest = max(self.counts.values())
        ties = (pair for pair, times in self.counts.items() if times == highest)
        return min(ties, key=lambda pair: (self.rank[pair[0]], self.rank[pair[1]]))


def learn_merges(
    word_counts: dict[bytes, int], n_merges: int, byte_order: Sequence[int] = range(256)
) -> list[Pair]:
    """Return up to `n_merges` pairs to merge, in order; merge i makes token 256 + i.

    `word_counts` says how often each pre-token occurs. Overlapping pairs count each time ("aaa"
    holds (a, a) twice). Among equally frequent pairs the smallest (left, right) is merged, where
    bytes come first, in `byte_order`, then merges in the order they were made. When every word is a
    single token there is nothing left to merge, and the list ends early.

    >>> learn_merges({b"hug": 10, b"pug": 5}, 2)
    [(117, 103), (104, 256)]
    """
    words = [list(word) for word in word_counts]
    times = list(word_counts.values())
    rank = [*sorted(range(256), key=list(byte_order).__getitem__), *range(256, 256 + n_merges)]
    pairs = PairCounts(rank)
    for word, ids in enumerate(words):
        pairs.add(word, ids, times[word])
    merges = []
    new_ids = range(256, 256 + n_merges)
    for new_id in tqdm(new_ids, "learning merges", leave=False, delay=1, disable=None):
        if not pairs.counts:
            break
        pair = pairs.most_frequent()
        merges.append(pair)
        for word in pairs.words_with.pop(pair):
            pairs.remove(words[word], times[word])
            words[word] = merge_pair(words[word], pair, new_id)
            pairs.add(word, words[word], times[word])
    return merges


def count_pre_tokens(data: bytes, spans_P3: np.ndarray, pattern: str | None) -> Counter[bytes]:
    """Return how often each pre-token occurs in `spans` of UTF-8 bytes."""
    counts: Counter[bytes] = Counter()
    for begin, stop, _ in spans_P3.tolist():
        counts.update(_pre_tokens(data[begin:stop], pattern))
    return counts


def _pre_tokens(data, pattern):
    return [word.encode("utf-8") for word in split(data.decode("utf-8"), pattern)]


# ---- encoding and decoding


def merge_steps(word: bytes, token_of_pair: dict[Pair, int]) -> Iterator[list[int]]:
    """Yield the tokens of `word` before any merge and after each one.

    Each step merges, everywhere in the word, the pair that was learned first. The last step is
    reached when no pair of neighbours is in the table.

    >>> list(merge_steps(b"hugs", {(117, 103): 256, (104, 256): 257}))
    [[104, 117, 103, 115], [104, 256, 115], [257, 115]]
    """
    tokens = list(word)
    yield tokens
    never = 256 + len(token_of_pair)
    while len(tokens) > 1:
        pair = min(pairwise(tokens), key=lambda pair: token_of_pair.get(pair, never))
        if pair not in token_of_pair:
            return
        tokens = merge_pair(tokens, pair, token_of_pair[pair])
        yield tokens


def encode_word(word: bytes, token_of_pair: dict[Pair, int]) -> list[int]:
    """Return the tokens of one pre-token: the last of `merge_steps`."""
    *_, tokens = merge_steps(word, token_of_pair)
    return tokens


class Codec:
    """The way from UTF-8 bytes to ids and back, under the merges of one tokenizer.

    tokens: the bytes of every token, by id. ids: the id of every token, by index. pattern: the
    split pattern, see `pretokenize`.
    """

    def __init__(self, merges, tokens, ids, pattern):
        self.token_of_pair = {pair: 256 + i for i, pair in enumerate(merges)}
        self.tokens, self.ids, self.pattern = tokens, ids, pattern

    def encode(self, data: bytes, spans_P3: np.ndarray) -> np.ndarray:
        """Return the ids of `spans` of UTF-8 bytes and of their special tokens: int32 (N,)."""
        ids = []
        for begin, stop, special_id in spans_P3.tolist():
            for word in _pre_tokens(data[begin:stop], self.pattern):
                ids += self.encode_word(word).tolist()
            if special_id >= 0:
                ids.append(special_id)
        return np.array(ids, np.int32)

    def encode_word(self, word: bytes) -> np.ndarray:
        """Return the ids of one pre-token, or of any bytes as if they were one: int32 (N,)."""
        return np.array([self.ids[i] for i in encode_word(word, self.token_of_pair)], np.int32)

    def decode(self, ids_N: np.ndarray) -> bytes:
        """Return the bytes of the tokens, joined."""
        return b"".join(map(self.tokens.__getitem__, ids_N.tolist()))


def implementation():
    """Return the module whose `count_pre_tokens`, `learn_merges` and `Codec` do the work.

    It is this file under AUTOGRAD_BACKEND=numpy, and else its compiled counterpart, which has the
    same names, arguments and results.
    """
    if backend.name == "numpy":
        return sys.modules[__name__]
    from npgpt.fast.tokenizer import compiled_bpe as compiled

    return compiled


# ---- the tokenizer


class BPETokenizer:
    """Byte-level BPE: every text has an encoding, and decoding gives it back exactly.

    Args:
        merges: the two tokens that each merge joins, by their indices, in order.
        special_tokens: texts that are one token each and never merge with anything, such as
            "<|endoftext|>". Their ids follow the others, or are given: {"<|endoftext|>": 50256}.
        pattern: how text is cut before merging: "gpt2", "cl100k" (GPT-4's), "llama3" or None,
            not at all.
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
        if not isinstance(special_tokens, Mapping):
            first = max(self.ids, default=-1) + 1
            special_tokens = {token: first + i for i, token in enumerate(special_tokens)}
        self.special_ids = dict(special_tokens)
        check_ids_are_distinct(self.ids, merged, self.special_ids)
        self.tokens = [b""] * (max(*self.ids, *self.special_ids.values()) + 1)
        for token_id, token in zip(self.ids, merged, strict=True):
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

        `text` is a str, or anything that yields the parts of a text, as an open file does; these
        need not fit into memory. The same text always gives the same tokenizer, see
        `learn_merges`. The bytes have the ids 0 to 255 in `byte_order`; GPT-2's order gives the
        merges that the `tokenizers` library learns. Special tokens in the text are boundaries and
        are not counted. If the text has no pair left to merge, training stops early with a smaller
        vocabulary.

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
        from npgpt.tokenizers import chunking

        counts: Counter[bytes] = Counter()
        special_ids = dict.fromkeys(special_tokens, 0)
        parts = [text] if isinstance(text, str) else text
        for chunk in chunking.chunks(parts, special_ids, pattern):
            data = chunk.encode("utf-8")
            cut = spans(data, special_ids)
            counts.update(implementation().count_pre_tokens(data, cut, pattern))
        merges = implementation().learn_merges(counts, vocab_size - smallest, byte_order)
        ids = [*np.argsort(byte_order).tolist(), *range(256, 256 + len(merges))]
        return cls(merges, special_tokens, pattern=pattern, ids=ids)

    @property
    def vocab_size(self) -> int:
        """One more than the largest id: how many rows a model's embedding needs."""
        return len(self.tokens)

    def __repr__(self) -> str:
        return f"BPETokenizer(vocab_size={self.vocab_size})"

    @functools.cached_property
    def _codec(self):
        return implementation().Codec(self.merges, self.tokens, self.ids, self.pattern)

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
        Any others are plain text. decode(encode(text)) == text for every text. Raises ValueError
        for a lone surrogate and for a disallowed special token.
        """
        check_text(text)
        special_ids = recognised(text, self.special_ids, allowed_special, disallowed_special)
        data = text.encode("utf-8")
        return self._codec.encode(data, spans(data, special_ids))

    def chunks(self, parts: Iterable[str]) -> Iterator[str]:
        """Yield the parts of a text in chunks whose ids, joined, are the ids of the text."""
        from npgpt.tokenizers import chunking

        def cut_word(word):
            return chunking.word_cut(word, self._codec.encode_word, self.tokens)

        return chunking.chunks(parts, self.special_ids, self.pattern, cut_word)

    def decode(self, ids: ArrayLike, *, errors: str = "replace") -> str:
        """Return the text of a flat sequence of ids.

        Where ids stop in the middle of a character, U+FFFD stands for it, or whatever `errors` says
        (see bytes.decode). Raises IndexError for an id that no token has.
        """
        ids_N = check_ids(ids, self.vocab_size, self._unused)
        return str(self._codec.decode(ids_N), "utf-8", errors)

    def token_bytes(self, token_id: int) -> bytes:
        """Return the bytes of token `token_id`. Raises IndexError for an unknown id."""
        return self.tokens[check_ids([token_id], self.vocab_size, self._unused)[0]]

    def parts(self, token_id: int) -> tuple[int, ...]:
        """Return the ids of the two tokens merged into this one; () for bytes, special tokens.

        Raises IndexError for an unknown id.
        """
        self.token_bytes(token_id)
        return self._parts.get(int(token_id), ())

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
        steps = merge_steps(word.encode("utf-8"), token_of_pair)
        return [[self.tokens[self.ids[index]] for index in step] for step in steps]

    @functools.cached_property
    def _unused(self):
        """The ids below `vocab_size` that no token has."""
        return np.flatnonzero([not token for token in self.tokens])

    @functools.cached_property
    def _parts(self):
        pairs = ((self.ids[left], self.ids[right]) for left, right in self.merges)
        return dict(zip(self.ids[256:], pairs, strict=True))

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, a tokenizer.json that the `tokenizers` library reads too.

        An existing file is replaced in one step.
        """
        from npgpt.tokenizers import huggingface_format

        atomic_write(path, huggingface_format.to_json(self))

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read a tokenizer.json from `save`, or byte-level BPE from the `tokenizers` library.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of a different kind.
        """
        from npgpt.tokenizers import tokenizer_json

        return tokenizer_json.load(path, {"bpe": cls})

    @classmethod
    def from_gpt2(cls, vocab_json: str | Path, merges_txt: str | Path) -> "BPETokenizer":
        """Read GPT-2's own tokenizer from encoder.json (vocab.json) and vocab.bpe (merges.txt).

        Ids are GPT-2's. Tokens of `vocab_json` that no merge makes become special tokens. Raises
        FileNotFoundError without the files, ValueError if they do not belong together.
        """
        from npgpt.tokenizers import gpt2_files

        return cls(**gpt2_files.read_gpt2_files(vocab_json, merges_txt))

    @classmethod
    def gpt2(cls) -> "BPETokenizer":
        """Return GPT-2's own tokenizer; OpenAI's two files are fetched once, checked and cached.

        Raises FileNotFoundError if they are not cached and there is no network.
        """
        from npgpt.tokenizers import gpt2_files

        return cls.from_gpt2(*gpt2_files.fetch_gpt2())

    @classmethod
    def from_tiktoken(
        cls,
        path: str | Path,
        pattern: str | None,
        special_tokens: Sequence[str] | Mapping[str, int] = (),
    ) -> "BPETokenizer":
        """Read the tokenizer of a tiktoken rank file, such as cl100k_base.tiktoken.

        The file holds neither the split pattern nor the special tokens; tiktoken has both in its
        code. Raises FileNotFoundError without a file, ValueError naming a damaged line.
        """
        from npgpt.tokenizers import tiktoken_ranks

        arguments = tiktoken_ranks.read_tiktoken_ranks(path)
        return cls(**arguments, pattern=pattern, special_tokens=special_tokens)


# ---- tables that make a vocabulary: the compiled code indexes arrays with them, unchecked


def check_merges(merges: Sequence[Sequence[int]]) -> list[bytes]:
    """Return the bytes of every token: the 256 bytes, then the token of each merge.

    Raises ValueError unless each merge joins two tokens that exist by then, no two make the same
    bytes, and the table stays within MAX_TOKENS tokens and MAX_BYTES bytes.
    """
    if len(merges) > MAX_TOKENS - 256:
        raise ValueError(f"{len(merges)} merges are too many; at most {MAX_TOKENS - 256} work")
    tokens = [bytes([byte]) for byte in range(256)]
    made, total = {}, 0
    for i, merge in enumerate(merges):
        if not isinstance(merge, (tuple, list)) or [type(part) for part in merge] != [int, int]:
            raise ValueError(f"merge {i} must be a pair of ints, two token indices, got {merge!r}")
        left, right = merge
        if min(merge) < 0 or max(merge) >= 256 + i:
            raise ValueError(f"merge {i} must join two tokens from 0 to {255 + i}, got {merge!r}")
        total += len(tokens[left]) + len(tokens[right])
        if total > MAX_BYTES:
            raise ValueError(
                f"the tokens up to merge {i} have more than {MAX_BYTES} bytes in all; leave out "
                "the merges that make the longest"
            )
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

    A special token may be one of the tokens: the same text under the same id.
    """
    if len(ids) != len(tokens):
        raise ValueError(
            f"ids must hold one id for each of the {len(tokens)} tokens, got {len(ids)}"
        )
    owner = {}
    for token, token_id in [*enumerate(ids), *special_ids.items()]:
        name = f"token {token}" if isinstance(token, int) else f"special token {token!r}"
        if type(token_id) is not int or not 0 <= token_id < MAX_ID:
            raise ValueError(
                f"the id of {name} must be an int from 0 to {MAX_ID - 1}, got {token_id!r}"
            )
        text = tokens[token] if isinstance(token, int) else token.encode("utf-8")
        other, of_other = owner.setdefault(token_id, (name, text))
        if other != name and (text != of_other or isinstance(token, int)):
            raise ValueError(f"{other} and {name} both have the id {token_id}; give each its own")
