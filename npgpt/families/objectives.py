"""The objectives of BERT and T5, which find hidden tokens or spans of a text.

    MaskedTokens       tokens hidden here and there, found from both sides: BERT
    SpanCorruption     short spans cut out of a text, written one after another: T5

As `npgpt.batches.NextToken`, an objective turns token ids into a `Batch`, as a function of
(seed, step) alone. These two read passages: the text between two blank lines, such as a story of
the tales, or a part of it if it is longer than the model reads. For these the best possible loss on
the very same draws is known, where the grammar of the tales derives the passage
(`npgpt.families.floors`).

Sources: Devlin et al., BERT, 2018, section 3.1; Raffel et al., T5, 2020, section 3.1.4.
"""

from itertools import pairwise

import numpy as np

from npgpt.batches import NOT_COUNTED, Batch, Floor, check_length
from npgpt.io.tokens import SAMPLE
from npgpt.words import WordTokenizer

PAD, MASK = "<pad>", "<mask>"
SENTINELS = tuple(f"<extra_id_{i}>" for i in range(32))  # the published names
HIDDEN_SHARE = 0.15
LONGEST_SPAN = 5  # each length from 1 on is as likely, so the mean is 3


class Denoising:
    """The parts that both share. tokenizer: one with the objective's special tokens.

    Raises ValueError if it lacks one.
    """

    left_to_right, every_token, asked_share = False, False, HIDDEN_SHARE

    def __init__(self, tokenizer):
        missing = [token for token in self.special_tokens if token not in tokenizer.special_ids]
        if missing:
            raise ValueError(
                f"the vocabulary has no {missing[0]}, which hides what a model of this kind is to "
                "find: train on the text itself, which makes a vocabulary that has it, and not on "
                "token files; or use --arch gpt"
            )
        self.tokenizer = tokenizer
        self.words = isinstance(tokenizer, WordTokenizer)
        self.special = [tokenizer.special_ids[token] for token in self.special_tokens]
        every = np.arange(tokenizer.vocab_size)
        self.ordinary = np.setdiff1d(every, [*tokenizer.special_ids.values()])
        ends = [len(token) - len(token.rstrip(b"\n")) for token in tokenizer.tokens]
        self.line_ends_V = np.array(ends)
        self.only_ends_V = self.line_ends_V == [len(token) for token in tokenizer.tokens]
        self.begins_line_V = np.array([token[:1] == b"\n" for token in tokenizer.tokens])

    def check_stride(self, stride):
        """Raise ValueError for a stride in an evaluation, since nothing is read twice."""
        if stride is not None:
            raise ValueError(
                "a stride is for models that continue a text: leave it out, or give 0"
            )

    def prompt(self, text):
        """The token ids of a text in which special tokens stand for what a model is to find.

        Where words are tokens, the space before one is part of what it stands for. Raises
        ValueError if there are none, or not as the model knows them.
        """
        for token in self.special_tokens if self.words else ():
            text = text.replace(f" {token}", token)
        ids_T = self.tokenizer.encode(text, allowed_special=self.special_tokens)
        found = [token for token in ids_T.tolist() if token in self.special]
        pad, *known = self.special
        if not found or found != self.as_given(found, known):
            raise ValueError(f"this model {self.purpose}; not {text[:60]!r}")
        return ids_T

    def asked_of(self, ids_N):
        """About how many targets a text has."""
        return round(self.asked_share * len(ids_N))

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """The `Batch` of a step, or some rows of it: the passages after random positions.

        Raises ValueError if the text is not longer than block_size.
        """
        check_length(ids_N, block_size, "training")
        positions = np.random.default_rng((seed, step)).integers(
            0, len(ids_N) - block_size, batch_size
        )
        drawn = []
        for b, position in enumerate(positions):
            rng = np.random.default_rng((seed, step, b))
            row = self._passage_after(ids_N[position : position + 2 * block_size], block_size)
            drawn.append((row, self.hide(len(row), rng), rng))
        asked = sum(self.count(hidden) for _, hidden, _ in drawn)
        return self.batch(drawn[rows])._replace(asked=asked)

    def example(self, ids_N, block_size, seed):
        """Token ids to let a model write from: a passage with some of it hidden."""
        row = self.rows(ids_N, block_size, max_tokens=1, seed=seed)[0]
        return self.batch([(*row, None)]).inputs[0][0]

    def evaluation(self, ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
        """The batches in which a text, or a part drawn by `seed`, is evaluated.

        All that is chosen is hidden there, the same tokens of a passage each time. Raises
        ValueError for a stride, and for a text of no token.
        """
        self.check_stride(stride)
        rows = self.rows(ids_N, block_size, max_tokens=max_tokens, seed=seed)
        for first in range(0, len(rows), batch_size):
            yield self.batch([(*row, None) for row in rows[first : first + batch_size]])

    def floor(self, ids_N, block_size, entropy_rate, *, max_tokens=None, seed=0):
        """The `Floor` on the very draws of `evaluation`: what the best predictor loses there.

        It is exact for the passages that the grammar of the tales derives. None if there are none,
        or if the entropy_rate is not known.
        """
        if not entropy_rate:
            return None
        rows = self.rows(ids_N, block_size, max_tokens=max_tokens, seed=seed)
        found = [(self.surprise(row, hidden), self.count(hidden)) for row, hidden in rows]
        known = [pair for pair in found if pair[0] is not None]
        if not known:
            return None
        nats, asked = (sum(column) for column in zip(*known, strict=True))
        return Floor("best possible loss on these draws", nats / asked, len(known) / len(rows))

    def rows(self, ids_N, block_size, *, max_tokens=None, seed=0):
        """The passages of a text, or some drawn by `seed`, each with which tokens are hidden."""
        if not len(ids_N):
            raise ValueError("no token to evaluate on; give a text of 1 or more")
        spans = self._spans(ids_N, block_size)
        if max_tokens is not None:
            order = np.random.default_rng(seed).permutation(len(spans))
            read = np.cumsum([spans[i][1] - spans[i][0] for i in order])
            spans = [spans[i] for i in sorted(order[: 1 + np.searchsorted(read, max_tokens)])]
        return [
            (ids_N[a:b].astype(np.int64), self.hide(b - a, np.random.default_rng((seed, a))))
            for a, b in spans
        ]

    def _spans(self, ids_N, block_size):
        """(first, last + 1) of each passage, and of each part of those longer than block_size.

        What comes before the first blank line and after the last is left out, as it may be cut.
        """
        edges = []
        for start in range(0, len(ids_N), SAMPLE):
            before = max(0, start - 2)
            edges += (before + self._begins(ids_N[before : start + SAMPLE])).tolist()
        edges = edges if len(edges) > 1 else [0, len(ids_N)]
        return [
            (a, min(a + block_size, last))
            for first, last in pairwise(edges)
            for a in range(first, last, block_size)
        ]

    def _passage_after(self, ids_N, block_size):
        """The first passage that begins in a window, but for a window's beginning if none does."""
        edges = self._begins(ids_N)
        first = edges[0] if len(edges) and edges[0] <= block_size else 0
        last = edges[np.searchsorted(edges, first, "right") :][:1]
        end = min([first + block_size, len(ids_N), *last])
        return ids_N[first:end].astype(np.int64)

    def _begins(self, ids_N):
        """Where in these ids passages begin: after a blank line, at what is no line end."""
        ends_N = self.line_ends_V[ids_N]
        blank_N = ends_N[1:] + self.only_ends_V[ids_N[1:]] * ends_N[:-1] > 1
        return 2 + np.flatnonzero(blank_N[:-1] & ~self.begins_line_V[ids_N[2:]])


class MaskedTokens(Denoising):
    """Tokens that are hidden here and there, found from both sides.

    15 % are chosen, one at least. In training 80 % of them are the mask token, 10 % a token drawn
    at random, and 10 % stay, so that a model has to look at visible tokens too; in an evaluation
    all are hidden.
    """

    special_tokens = (PAD, MASK)
    target = "hidden token"
    purpose = (
        f"fills in what is hidden: write {MASK} for each hidden token, such as a character in "
        f"sm{MASK}ll, or where words are tokens, a word in a {MASK} dog"
    )

    def as_given(self, found, known):
        """What special tokens a prompt with so many of them has."""
        return known * len(found)

    def hide(self, length, rng):
        """Which tokens are chosen, (length,) bool."""
        hidden_T = np.zeros(length, bool)
        hidden_T[rng.permutation(length)[: max(1, round(HIDDEN_SHARE * length))]] = True
        return hidden_T

    def count(self, hidden_T):
        """How many targets a row has."""
        return int(hidden_T.sum())

    def batch(self, rows):
        """The `Batch` of triples (ids, which are chosen, random generator; None to hide all)."""
        pad, _ = self.special
        given = [self._hidden(*row) for row in rows]
        targets = [np.where(hidden_T, ids_T, NOT_COUNTED) for ids_T, hidden_T, _ in rows]
        targets_BT = _padded(targets, NOT_COUNTED)
        return Batch((_padded(given, pad),), targets_BT, {"mask_BT": _mask(given)})

    def _hidden(self, ids_T, hidden_T, rng):
        ids_T, (_, mask) = ids_T.copy(), self.special
        if rng is None:
            ids_T[hidden_T] = mask
            return ids_T
        lot_T = rng.random(len(ids_T))
        ids_T[hidden_T & (lot_T < 0.8)] = mask
        random_T = hidden_T & (lot_T >= 0.9)
        ids_T[random_T] = rng.choice(self.ordinary, int(random_T.sum()))
        return ids_T

    def surprise(self, ids_T, hidden_T):
        """Nats that the best predictor loses on a story; None if the grammar does not derive it."""
        from npgpt import tales  # which other objectives do not need
        from npgpt.families import floors

        where, story = np.flatnonzero(hidden_T).tolist(), self.tokenizer.pieces(ids_T)
        found = floors.hidden_log_probabilities(
            tales.GRAMMAR, story, where, self.tokenizer.write
        )
        return None if found is None else -sum(found)


class SpanCorruption(Denoising):
    """Spans of 1 to 5 tokens cut out of a text, written one after another.

        text      A shy small dog.
        source    A s<extra_id_0>mall d<extra_id_1>.
        targets   <extra_id_0>hy s<extra_id_1>og<extra_id_2>

    The next sentinel ends a span, and the one that the source lacks all of them. 15 % is hidden on
    average: spans do not touch, and begin as often after each visible token. Spans for which there
    is no sentinel left stay visible.
    """

    special_tokens = (PAD, *SENTINELS)
    left_to_right = True
    asked_share = HIDDEN_SHARE * 4 / 3  # with a sentinel each span, of 3 tokens in the mean
    target = "token of the spans"
    purpose = (
        f"rewrites hidden spans: write {SENTINELS[0]}, {SENTINELS[1]} and so on to "
        f"{SENTINELS[-2]}, each once and in this order, as in a {SENTINELS[0]} dog"
    )

    def as_given(self, found, known):
        """What special tokens a prompt with so many of them has."""
        return known[:-1][: len(found)]

    def hide(self, length, rng):
        """Which tokens are in spans, (length,) bool."""
        visible = rng.geometric(_BEGINS, len(SENTINELS) - 1)
        visible[0] -= 1  # a text may begin with a span
        spans = rng.integers(1, LONGEST_SPAN + 1, len(visible))
        edges = np.cumsum(np.stack([visible, spans], axis=1).ravel())
        return np.searchsorted(edges, np.arange(length), "right") % 2 == 1

    def count(self, hidden_T):
        """How many targets a row has: the hidden tokens, a sentinel each span, and the last."""
        return int(hidden_T.sum()) + len(_runs(hidden_T)) + 1

    def batch(self, rows):
        """The `Batch` of triples (ids, which are in spans, anything)."""
        pad, *sentinels = self.special
        pairs = [self._cut(ids_T, hidden_T, sentinels) for ids_T, hidden_T, _ in rows]
        sources, targets = zip(*pairs, strict=True)
        targets_BT = _padded(targets, NOT_COUNTED)
        inputs = _padded([np.append(pad, target[:-1]) for target in targets], pad)
        return Batch((_padded(sources, pad), inputs), targets_BT, {"mask_BS": _mask(sources)})

    def _cut(self, ids_T, hidden_T, sentinels):
        source, target, before = [], [], 0
        for sentinel, (first, last) in zip(sentinels, _runs(hidden_T), strict=False):
            source += [*ids_T[before:first], sentinel]
            target += [sentinel, *ids_T[first:last]]
            before = last
        closing = sentinels[len(_runs(hidden_T))]
        return np.array([*source, *ids_T[before:]]), np.array([*target, closing])

    def surprise(self, ids_T, hidden_T):
        """Nats that the best predictor loses on a story; None if the grammar does not derive it."""
        from npgpt import tales
        from npgpt.families import floors

        spans, story = _runs(hidden_T), self.tokenizer.pieces(ids_T)
        found = floors.spans_log_probability(
            tales.GRAMMAR, story, spans, LONGEST_SPAN, self.tokenizer.write
        )
        return None if found is None else -found


# The share that is hidden is the mean span, 3, over that and the mean distance, 1 / _BEGINS.
_BEGINS = HIDDEN_SHARE / (1 - HIDDEN_SHARE) / ((1 + LONGEST_SPAN) / 2)

def _runs(hidden_T):
    """(first, last + 1) of each run of hidden tokens."""
    edges = np.flatnonzero(np.diff(hidden_T, prepend=False, append=False))
    return [*zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def _padded(rows, value):
    """Rows of ids, made as long as the longest: (B, T) int64."""
    padded_BT = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for b, row in enumerate(rows):
        padded_BT[b, : len(row)] = row
    return padded_BT


def _mask(rows):
    return _padded([np.ones(len(row)) for row in rows], 0)
