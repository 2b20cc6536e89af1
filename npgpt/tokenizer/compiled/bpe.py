"""The compiled twins of `bpe` and `pretokenize`, with texts, lists and dicts on the outside.

Everything here has the result of the plain functions: `word_counts` of `streams.count_words`,
`learn_merges` of `bpe.learn_merges`, and `Encoder` of `bpe.encode_word` for every pre-token.
The kernels are imported at the first use: importing npgpt compiles and loads nothing.
"""

import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
from tqdm import tqdm

MERGES_AT_A_TIME = 500  # between two updates of the progress bar


def word_counts(data: bytes, parts_P3: np.ndarray, pattern: str | None) -> Counter[bytes]:
    """How often each pre-token occurs in the parts of a text, given as for `Encoder.encode`."""
    from npgpt.tokenizer.compiled import kernels

    text_N = _padded(data)
    scanner = _scanner(pattern)
    room = len(data) // 16 + 1024
    while True:
        found = kernels.new_pieces(room)
        used = kernels.count_pieces(text_N, parts_P3, scanner, found)
        if used != kernels.FULL:
            break
        room *= 4
    starts, lengths = found.starts[:used], found.lengths[:used]
    words = map(data.__getitem__, map(slice, starts.tolist(), (starts + lengths).tolist()))
    return Counter(dict(zip(words, found.times[:used].tolist(), strict=True)))


def learn_merges(
    counts: dict[bytes, int], n_merges: int, byte_order: Sequence[int] = range(256)
) -> list[tuple[int, int]]:
    """`bpe.learn_merges`: up to `n_merges` pairs to merge, in order.

    Raises ValueError if the text has more different pairs than `most_pairs`.
    """
    from npgpt.tokenizer.compiled import kernels

    words = _linked(counts)
    places = len(words.symbol)
    rank_of = np.arange(256 + n_merges, dtype=np.int64)
    rank_of[list(byte_order)] = np.arange(256)
    merges_M2 = np.empty((n_merges, 2), np.int64)
    most = most_pairs(256 + n_merges)
    room = min(places // 4 + 1024, most)
    while True:
        pairs = kernels.new_pairs(room, places, 256 + n_merges, rank_of)
        learned = _learn(kernels, words, pairs, merges_M2)
        if learned != kernels.FULL:
            return [tuple(merge) for merge in merges_M2[:learned].tolist()]
        if room == most:
            raise ValueError(
                f"the text has more than {most} different pairs of tokens, too many to learn a "
                f"vocabulary of {256 + n_merges}; ask for a smaller one, or train on less text"
            )
        room = min(4 * room, most)
        words = _linked(counts)


def most_pairs(tokens: int) -> int:
    """How many pairs can have a number beside two tokens in the 63 bits of a table's word."""
    return 1 << 63 - 2 * (tokens - 1).bit_length()


def _learn(kernels, words, pairs, merges_M2):
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


def _linked(counts):
    """The words one behind the other, each place linked to its neighbours in the word."""
    from npgpt.tokenizer.compiled import kernels

    symbol = np.frombuffer(b"".join(counts), np.uint8).astype(np.int32)
    lengths = np.fromiter(map(len, counts), np.int64, len(counts))
    times = np.repeat(np.fromiter(counts.values(), np.int64, len(counts)), lengths)
    before = np.arange(-1, len(symbol) - 1, dtype=np.int32)
    after = np.arange(1, len(symbol) + 1, dtype=np.int32)
    stops = np.cumsum(lengths[lengths > 0])
    after[stops - 1] = -1
    before[np.concatenate([[0], stops[:-1]])[: len(stops)]] = -1
    return kernels.Words(symbol, before, after, times)


class Encoder:
    """The tables for encoding and decoding, built once for a tokenizer.

    Args:
        merges: pairs of token numbers: 0 to 255 are bytes, 256 + i is what merge i makes.
        spellings: the bytes of each of these tokens.
        ids: the id of each of these tokens.
        pattern: how text is cut, "gpt2", "cl100k" or None.
    """

    def __init__(self, merges, spellings, ids, pattern):
        from npgpt.tokenizer.compiled import kernels

        self._kernels = kernels
        self._scanner = _scanner(pattern)
        starts_V1, pool = flat(spellings)
        order_V = np.argsort(np.diff(starts_V1), kind="stable")
        merges_M2 = np.array(merges, np.int64).reshape(-1, 2)
        ids_V = np.array(ids, np.int32)
        self._vocabulary = kernels.build_vocabulary(merges_M2, ids_V, starts_V1, pool, order_V)
        self._of_thread = threading.local()

    def encode(self, data: bytes, parts_P3: np.ndarray) -> np.ndarray:
        """The ids of UTF-8 bytes: int32 of shape (N,).

        parts_P3: int64 rows (begin, stop, id or -1): the parts between special tokens, each with
        the id of the special token that follows. Several threads may encode at once.
        """
        if not hasattr(self._of_thread, "cache"):
            self._of_thread.cache = self._kernels.new_cache()
        ids_N = np.empty(len(data) + len(parts_P3) + 4, np.int32)
        dead_N = np.zeros(len(data) + 1, np.uint8)
        count = self._kernels.encode(
            _padded(data), parts_P3, self._scanner, self._vocabulary, self._of_thread.cache,
            dead_N, ids_N,
        )  # fmt: skip
        ids_N.resize(count, refcheck=False)  # gives back what was not needed, without a copy
        return ids_N


def flat(spellings: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """(starts, bytes) of texts one behind the other; the bytes are padded for the kernels."""
    starts_V1 = np.zeros(len(spellings) + 1, np.int64)
    np.cumsum([len(spelling) for spelling in spellings], out=starts_V1[1:])
    return starts_V1, _padded(b"".join(spellings))


def decode(ids_N: np.ndarray, starts_V1: np.ndarray, pool: np.ndarray) -> memoryview:
    """The bytes of int32 ids, whose spellings `flat` made."""
    from npgpt.tokenizer.compiled import kernels

    return kernels.decode(ids_N, starts_V1, pool).data


def _scanner(pattern):
    from npgpt.tokenizer.compiled import automaton, kernels

    return kernels.Scanner(*automaton.scanner_arrays(pattern))


def _padded(data):
    from npgpt.tokenizer.compiled import kernels

    return np.frombuffer(data + bytes(kernels.PADDING), np.uint8)
