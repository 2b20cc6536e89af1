"""The functions of `npgpt.tokenizers.byte_pair_encoding` that BPETokenizer calls, compiled.

Texts, lists and dicts become arrays for the kernels here, and arrays that turn out too small are
made larger. Importing this file loads the compiler, so
`npgpt.tokenizers.bpe_tokenizer.implementation` imports it at the first use.
"""

import functools
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

from npgpt.fast.tokenizer import automaton, kernels

MERGES_AT_A_TIME = 500  # between two updates of the progress bar


def count_pre_tokens(data: bytes, spans_P3: np.ndarray, pattern: str | None) -> Counter[bytes]:
    text_N = _padded(data)
    capacity = len(data) // 16 + 1024
    while True:
        found = kernels.new_pre_tokens(capacity)
        used = kernels.count_pre_tokens(text_N, spans_P3, automaton.scanner(pattern), found)
        if used != kernels.FULL:
            break
        capacity *= 4
    starts, stops = found.starts[:used], found.starts[:used] + found.lengths[:used]
    words = map(data.__getitem__, map(slice, starts.tolist(), stops.tolist()))
    return Counter(dict(zip(words, found.times[:used].tolist(), strict=True)))


def learn_merges(
    word_counts: dict[bytes, int], n_merges: int, byte_order: Sequence[int] = range(256)
) -> list[tuple[int, int]]:
    """Learn as the reference does. Raises ValueError for more distinct pairs than `most_pairs`."""
    n_tokens = 256 + n_merges
    rank_of = np.arange(n_tokens, dtype=np.int64)
    rank_of[list(byte_order)] = np.arange(256)
    merges_M2 = np.empty((n_merges, 2), np.int64)
    n_bytes = sum(map(len, word_counts))
    most = most_pairs(n_tokens)
    capacity = min(n_bytes // 4 + 1024, most)
    while True:
        pairs = kernels.new_pairs(capacity, n_bytes, n_tokens, rank_of)
        learned = _learn(_linked(word_counts), pairs, merges_M2)
        if learned != kernels.FULL:
            return [tuple(merge) for merge in merges_M2[:learned].tolist()]
        if capacity == most:
            raise ValueError(
                f"the text has more than {most} different pairs of tokens, too many to learn a "
                f"vocabulary of {n_tokens}; ask for a smaller one, or train on less text"
            )
        capacity = min(4 * capacity, most)


def most_pairs(n_tokens: int) -> int:
    """Return how many pairs can have an index beside two tokens in a table's word of 63 bits."""
    return 1 << 63 - 2 * (n_tokens - 1).bit_length()


def _learn(words, pairs, merges_M2):
    """Fill `merges_M2`; return the number of merges learned, or FULL."""
    if not kernels.count_pairs(words, pairs):
        return kernels.FULL
    total = len(merges_M2)
    with tqdm(total=total, desc="learning merges", leave=False, delay=1, disable=None) as bar:
        for start in range(0, total, MERGES_AT_A_TIME):
            part = merges_M2[start : start + MERGES_AT_A_TIME]
            learned = kernels.learn_merges(words, pairs, 256 + start, part)
            if learned != len(part):
                return learned if learned == kernels.FULL else start + learned
            bar.update(learned)
    return total


def _linked(word_counts):
    """Return the words end to end, each position linked to its neighbours in the word."""
    token = np.frombuffer(b"".join(word_counts), np.uint8).astype(np.int32)
    lengths = np.fromiter(map(len, word_counts), np.int64, len(word_counts))
    counts = np.fromiter(word_counts.values(), np.int64, len(word_counts))
    before = np.arange(-1, len(token) - 1, dtype=np.int32)
    after = np.arange(1, len(token) + 1, dtype=np.int32)
    stops = np.cumsum(lengths[lengths > 0])
    after[stops - 1] = -1
    before[np.concatenate([[0], stops[:-1]])[: len(stops)]] = -1
    return kernels.Words(token, before, after, np.repeat(counts, lengths))


class Codec:
    """The way from UTF-8 bytes to ids and back. Several threads may use it at once."""

    def __init__(self, merges, tokens, ids, pattern):
        self.merges, self.tokens, self.ids = merges, tokens, ids
        self.scanner = automaton.scanner(pattern)
        self.starts_V1, self.token_bytes = _joined(tokens)
        self.of_thread = threading.local()

    @functools.cached_property
    def vocabulary(self):
        """The tables that encoding reads, made at its first call; decoding needs none of them."""
        starts_V1, token_bytes = _joined([self.tokens[token_id] for token_id in self.ids])
        order_V = np.argsort(np.diff(starts_V1), kind="stable")
        merges_M2 = np.array(self.merges, np.int64).reshape(-1, 2)
        ids_V = np.array(self.ids, np.int32)
        return kernels.build_vocabulary(merges_M2, ids_V, starts_V1, token_bytes, order_V)

    def encode(self, data: bytes, spans_P3: np.ndarray) -> np.ndarray:
        return self._encode(data, spans_P3, self.scanner)

    def encode_word(self, word: bytes) -> np.ndarray:
        return self._encode(word, np.array([[0, len(word), -1]]), automaton.scanner(None))

    def _encode(self, data, spans_P3, scanner):
        if not hasattr(self.of_thread, "cache"):
            self.of_thread.cache = kernels.new_cache()
        ids_N = np.empty(len(data) + len(spans_P3) + 4, np.int32)
        dead_N = np.zeros(len(data) + 1, np.uint8)
        count = kernels.encode(
            _padded(data), spans_P3, scanner, self.vocabulary, self.of_thread.cache, dead_N, ids_N
        )
        ids_N.resize(count, refcheck=False)  # gives back what was not needed, without a copy
        return ids_N

    def decode(self, ids_N: np.ndarray) -> memoryview:
        return kernels.decode(ids_N, self.starts_V1, self.token_bytes).data


def _joined(tokens):
    """Return (the start of each token, the bytes of all tokens, padded for the kernels)."""
    starts_V1 = np.zeros(len(tokens) + 1, np.int64)
    np.cumsum([len(token) for token in tokens], out=starts_V1[1:])
    return starts_V1, _padded(b"".join(tokens))


def _padded(data):
    return np.frombuffer(data + bytes(kernels.PADDING), np.uint8)
