"""Byte pair encoding (Sennrich et al. 2016) on bytes, as in GPT-2 (Radford et al. 2019, sec. 2.2).

Training starts from the 256 bytes, counts which two tokens stand side by side most often, makes
that pair a new token, and repeats:

    "hug" x 10, "pug" x 5    h u g    p u g      most frequent pair: (u, g), 15 times
    after one merge          h ug     p ug       most frequent pair: (h, ug), 10 times
    after two                hug      p ug       and so on

Encoding replays the merges, in the order they were learned, on new text. Because it starts from
bytes, every text can be encoded, and decoding gives it back exactly. Merges never cross the
boundaries of the pre-tokens that `pretokenize.split` makes.

Tokens go by their *indices* here: 0 to 255 are the bytes, 256 + i is the token that merge i makes.
Their *ids*, which a model sees, are the same unless a file orders them differently.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

Pair = tuple[int, int]

# ---- learning merges


def merge_pair(ids: list[int], pair: Pair, new_id: int) -> list[int]:
    """Replace `pair` by `new_id` wherever it occurs, from left to right.

    >>> merge_pair([104, 117, 103, 117, 103], (117, 103), 256)
    [104, 256, 256]
    >>> merge_pair([97, 97, 97], (97, 97), 256)
    [256, 97]
    """
    left, right = pair
    merged = []
    for token in ids:
        if token == right and merged and merged[-1] == left:
            merged[-1] = new_id
        else:
            merged.append(token)
    return merged


class PairCounts:
    """Counts of the pairs of neighbouring tokens in a list of words that changes.

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
        self.counts: defaultdict[Pair, int] = defaultdict(int)
        self.words_with: defaultdict[Pair, set[int]] = defaultdict(set)

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
        """Return the pair with the highest count; of equally frequent ones the smallest."""
        highest = max(self.counts.values())
        return min([pair for pair, times in self.counts.items() if times == highest])


def learn_merges(word_counts: dict[bytes, int], n_merges: int) -> list[Pair]:
    """Return up to `n_merges` pairs to merge, in order; merge i makes token 256 + i.

    `word_counts` says how often each pre-token occurs. Overlapping pairs count each time ("aaa"
    holds (a, a) twice). Among equally frequent pairs the smallest (left, right) is merged. When
    every word is a single token there is nothing left to merge, and the list ends early.

    >>> learn_merges({b"hug": 10, b"pug": 5}, 2)
    [(117, 103), (104, 256)]
    """
    words = [list(word) for word in word_counts]
    times = list(word_counts.values())
    pairs = PairCounts()
    for word, ids in enumerate(words):
        pairs.add(word, ids, times[word])
    merges = []
    from tqdm import tqdm  # here: its import refuses some environments

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


# ---- encoding


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
        pair = min(set(pairwise(tokens)), key=lambda pair: token_of_pair.get(pair, never))
        if pair not in token_of_pair:
            return
        tokens = merge_pair(tokens, pair, token_of_pair[pair])
        yield tokens


def encode_word(word: bytes, token_of_pair: dict[Pair, int]) -> list[int]:
    """Return the tokens of one pre-token: the last of `merge_steps`."""
    for tokens in merge_steps(word, token_of_pair):  # noqa: B007
        pass  # a list of them all would take gigabytes for a long word
    return tokens
