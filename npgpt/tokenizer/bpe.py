"""Byte pair encoding (Sennrich et al. 2016) on bytes, as in GPT-2 (Radford et al. 2019, sec. 2.2).

Training starts from the 256 bytes, counts which two tokens stand side by side most often, makes
that pair a new token, and repeats:

    "hug" x 10, "pug" x 5    h u g    p u g      most frequent pair: (u, g), 15 times
    after one merge          h ug     p ug       most frequent pair: (h, ug), 10 times
    after two                hug      p ug       and so on

Encoding replays the merges, in the order they were learned, on new text. Because it starts from
bytes, every text can be encoded, and decoding gives it back exactly. Merges never cross the borders
of the pre-tokens that `pretokenize.split` makes.

This file is the plain version: correct on every text, and quick enough for a vocabulary of some
thousand tokens on some megabytes of text.
"""

import operator
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike
from tqdm import tqdm

from npgpt.tokenizer.checks import check_ids, check_merges, check_special_tokens, check_text
from npgpt.tokenizer.files import load_tokenizer_file, read_gpt2_files, save_tokenizer_file
from npgpt.tokenizer.pretokenize import split, split_with_special

Pair = tuple[int, int]


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
    """How often each two ids stand side by side in a changing list of words.

    Of ten thousand words a merge changes only those that contain its pair. So the pairs are counted
    once, and after a merge only the changed words are taken out and put back.

    >>> pairs = PairCounts()
    >>> pairs.add(0, list(b"hug"), 10)
    >>> pairs.add(1, list(b"pug"), 5)
    >>> pairs.counts[ord("u"), ord("g")]
    15
    >>> bytes(pairs.most_frequent())
    b'ug'
    """

    def __init__(self):
        self.counts: Counter[Pair] = Counter()
        self.words_with: defaultdict[Pair, set[int]] = defaultdict(set)

    def add(self, word: int, ids: list[int], times: int) -> None:
        """Count the pairs of word number `word`, spelled `ids`, which occurs `times` times."""
        for pair in pairwise(ids):
            self.counts[pair] += times
            self.words_with[pair].add(word)

    def remove(self, ids: list[int], times: int) -> None:
        """Take back what `add` counted for this spelling."""
        for pair in pairwise(ids):
            self.counts[pair] -= times
            if not self.counts[pair]:
                del self.counts[pair]

    def most_frequent(self) -> Pair:
        """The pair counted most often; among equals the smallest, as (left id, right id)."""
        highest = max(self.counts.values())
        return min(pair for pair, times in self.counts.items() if times == highest)


def learn_merges(word_counts: dict[str, int], n_merges: int) -> list[Pair]:
    """Up to `n_merges` pairs to merge, in order; merge i makes token 256 + i.

    `word_counts` says how often each pre-token occurs. Overlapping pairs count each time ("aaa"
    holds (a, a) twice). When every word is a single token there is nothing left to merge, and the
    list ends early.

    >>> learn_merges({"hug": 10, "pug": 5}, 2)
    [(117, 103), (104, 256)]
    """
    words = [list(word.encode("utf-8")) for word in word_counts]
    times = list(word_counts.values())
    pairs = PairCounts()
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


class BPETokenizer:
    """Byte-level BPE. Ids 0 to 255 are bytes, then one id a merge, then the special tokens.

    Args:
        merges: the pair of ids that each merge joins, in order; merge i makes token 256 + i.
        special_tokens: texts that are one token each and never merge with anything, such as
            "<|endoftext|>". In a text to encode they are recognised wherever they occur, also in
            text that a user typed; all other text is plain text.
        byte_order: `byte_order[i]` is the byte of token i. GPT-2 has an order of its own.

    Attributes:
        tokens: a list of the bytes of every token, by id.
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
        special_tokens: Sequence[str] = (),
        byte_order: Sequence[int] = range(256),
    ):
        check_merges(merges)
        check_special_tokens(special_tokens)
        if sorted(byte_order) != list(range(256)):
            raise ValueError("byte_order must hold each of the bytes 0 to 255 exactly once")
        self.byte_order = bytes(byte_order)
        self.merges = [(left, right) for left, right in merges]
        self.special_ids = {token: 256 + len(merges) + i for i, token in enumerate(special_tokens)}
        self.tokens = [bytes([byte]) for byte in self.byte_order]
        for left, right in self.merges:
            self.tokens.append(self.tokens[left] + self.tokens[right])
        self.tokens += [token.encode("utf-8") for token in special_tokens]
        self._id_of_byte = bytes.maketrans(self.byte_order, bytes(range(256)))
        self._id_of_pair = {pair: 256 + i for i, pair in enumerate(self.merges)}

    @classmethod
    def train(
        cls, text: str, vocab_size: int, special_tokens: Sequence[str] = ()
    ) -> "BPETokenizer":
        """Learn merges from `text` until the vocabulary holds `vocab_size` tokens.

        The most frequent pair is merged first; ties go to the smallest (left id, right id), so the
        same text always gives the same tokenizer. Special tokens in `text` are borders and are not
        counted. If the text has no pair left to merge, training stops early and `vocab_size` of the
        result is smaller than asked for. Raises ValueError if `vocab_size` has no room for the 256
        bytes and the special tokens, for an empty or repeated special token, and for a lone
        surrogate.
        """
        check_text(text)
        check_special_tokens(special_tokens)
        smallest = 256 + len(special_tokens)
        if operator.index(vocab_size) < smallest:
            raise ValueError(
                f"vocab_size {vocab_size} is too small: the 256 bytes and {len(special_tokens)} "
                f"special tokens already take {smallest}; ask for at least that"
            )
        word_counts = Counter(split_with_special(text, special_tokens))
        for token in special_tokens:
            del word_counts[token]
        return cls(learn_merges(word_counts, vocab_size - smallest), special_tokens)

    @property
    def vocab_size(self) -> int:
        """How many tokens there are: bytes, merges and special tokens."""
        return len(self.tokens)

    def encode(self, text: str) -> np.ndarray:
        """The token ids of `text`: int32 of shape (N,).

        Special tokens of this tokenizer are recognised in `text`; decode(encode(text)) == text for
        every text. Raises ValueError for a lone surrogate.
        """
        check_text(text)
        words = list(split_with_special(text, self.special_ids))
        ids_of = {word: self._encode_word(word) for word in set(words)}
        ids_of |= {token: [special_id] for token, special_id in self.special_ids.items()}
        return np.fromiter(chain.from_iterable(ids_of[word] for word in words), dtype=np.int32)

    def decode(self, ids: ArrayLike) -> str:
        """The text of a flat sequence of ids.

        Ids that stop in the middle of a character give U+FFFD there. Raises IndexError for an id
        outside [0, vocab_size).
        """
        ids_N = check_ids(ids, self.vocab_size)
        pieces = [self.tokens[token_id] for token_id in ids_N.tolist()]
        return b"".join(pieces).decode("utf-8", errors="replace")

    def token_bytes(self, token_id: int) -> bytes:
        """The bytes that token `token_id` stands for. Raises IndexError for an unknown id."""
        return self.tokens[check_ids([token_id], self.vocab_size)[0]]

    def merge_steps(self, word: str) -> list[list[bytes]]:
        """How one pre-token is encoded: its bytes, then its pieces after each merge.

        Raises ValueError for a text of several pre-tokens.

        >>> for pieces in BPETokenizer.train("hug hug hug pug", 258).merge_steps("hugs"):
        ...     print(pieces)
        [b'h', b'u', b'g', b's']
        [b'h', b'ug', b's']
        [b'hug', b's']
        """
        check_text(word)
        if len(split(word)) > 1:
            raise ValueError(f"{word!r} is several pre-tokens; pass one of {split(word)}")
        return [[self.tokens[i] for i in ids] for ids in self._merge_steps(word)]

    def _encode_word(self, word: str) -> list[int]:
        *_, ids = self._merge_steps(word)
        return ids

    def _merge_steps(self, word: str) -> Iterator[list[int]]:
        """The ids of `word` before any merge and after each: of the pairs present, the one that was
        learned first is merged, everywhere in the word, until no pair is in the table."""
        ids = list(word.encode("utf-8").translate(self._id_of_byte))
        yield ids
        while len(ids) > 1:
            pair = min(pairwise(ids), key=lambda pair: self._id_of_pair.get(pair, self.vocab_size))
            if pair not in self._id_of_pair:
                return
            ids = merge_pair(ids, pair, self._id_of_pair[pair])
            yield ids

    def save(self, path: str | Path) -> None:
        """Write the tokenizer to `path`, replacing a file there in one step."""
        fields = {
            "special_tokens": list(self.special_ids),
            "byte_order": list(self.byte_order),
            "merges": self.merges,
        }
        save_tokenizer_file(path, "bpe", fields)

    @classmethod
    def load(cls, path: str | Path) -> "BPETokenizer":
        """Read a tokenizer that `save` wrote.

        Raises FileNotFoundError without a file, ValueError if it is damaged or of another kind.
        """
        return load_tokenizer_file(path, {"bpe": cls.from_fields})

    @classmethod
    def from_fields(cls, fields: dict) -> "BPETokenizer":
        """The tokenizer whose arguments are the fields of a tokenizer.json."""
        return cls(fields["merges"], fields["special_tokens"], fields["byte_order"])

    @classmethod
    def from_gpt2(cls, vocab_json: str | Path, merges_txt: str | Path) -> "BPETokenizer":
        """GPT-2's own tokenizer, from its encoder.json (vocab.json) and vocab.bpe (merges.txt).

        Ids are GPT-2's. Tokens of `vocab_json` after the merges become special tokens. Raises
        FileNotFoundError without the files, ValueError if they do not belong together.
        """
        return cls(*read_gpt2_files(vocab_json, merges_txt))
