"""The training objectives of BERT and T5: predict hidden tokens or hidden spans of a text.

    MaskedTokens       random tokens hidden, predicted from both sides: BERT
    SpanCorruption     short spans cut out, written one after another: T5

These two read passages: the text between two blank lines, such as a story of
the tales, or a part of it if it exceeds the block size. Where the grammar of the tales derives the
passage, `npgpt.evaluation.grammar_loss` computes the loss of the grammar on the same draws.

Sources: Devlin et al., BERT, 2018, section 3.1; Raffel et al., T5, 2020, section 3.1.4.
"""

from itertools import pairwise

import numpy as np

from npgpt.batches import IGNORE_INDEX, Batch, GrammarLoss, Objective, check_length, sampled_rows
from npgpt.data.tokens import SAMPLE
from npgpt.tokenizers import WordTokenizer

PAD, MASK = "<pad>", "<mask>"
SENTINELS = tuple(f"<extra_id_{i}>" for i in range(32))  # the published names
HIDDEN_SHARE = 0.15
LONGEST_SPAN = 5  # lengths 1 to 5 are equally likely, so the mean is 3


class Denoising(Objective):
    """The base class of both. Raises ValueError for a tokenizer without their special tokens."""

    left_to_right = every_token = False

    def __init__(self, tokenizer):
        missing = [token for token in self.special_tokens if token not in tokenizer.special_ids]
        if missing:
            raise ValueError(f"the vocabulary has no {missing[0]}, which hides tokens: train on a "
                             "text, and not on token files, or use --arch gpt")
        super().__init__(tokenizer)
        self.special = [tokenizer.special_ids[token] for token in self.special_tokens]
        every = np.arange(tokenizer.vocab_size)
        self.ordinary = np.setdiff1d(every, [*tokenizer.special_ids.values()])
        ends = [len(token) - len(token.rstrip(b"\n")) for token in tokenizer.tokens]
        self.line_ends_V = np.array(ends)
        self.only_ends_V = self.line_ends_V == [len(token) for token in tokenizer.tokens]
        self.begins_line_V = np.array([token[:1] == b"\n" for token in tokenizer.tokens])

    def prompt(self, text):
        """Return the token ids of a text in which special tokens mark what to predict.

        With words as tokens, the space before a mark belongs to the hidden word. Raises ValueError
        for a text without marks, or with marks in an order that the model does not know.
        """
        if isinstance(self.tokenizer, WordTokenizer):
            for token in self.special_tokens:
                text = text.replace(f" {token}", token)
        marked = [token for token, i in self.tokenizer.special_ids.items() if i in self.special]
        encode = getattr(self.tokenizer, "templated", self.tokenizer.encode)
        ids_T = encode(text, allowed_special=marked)
        found = [token for token in ids_T.tolist() if token in self.special]
        _, *marks = self.special  # a mask is for any gap; sentinels come in order, the last unasked
        expected = marks * len(found) if len(marks) == 1 else marks[:-1]
        if not found or found != expected[: len(found)]:
            raise ValueError(f"this model {self.purpose}; not {text[:60]!r}")
        return ids_T

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Batch` of a step, or some rows of it: the passages after random positions."""
        check_length(ids_N, block_size, "training")
        positions = np.random.default_rng((seed, step)).integers(
            0, len(ids_N) - block_size, batch_size
        )
        drawn = []
        for b, position in enumerate(positions):
            rng = np.random.default_rng((seed, step, b))
            row = self._passage_after(ids_N[position : position + 2 * block_size], block_size)
            drawn.append((row, self.hide(len(row), rng), rng))
        step_targets = sum(self.count(hidden) for _, hidden, _ in drawn)
        return self.batch(drawn[rows])._replace(step_targets=step_targets)

    def example(self, ids_N, block_size, seed):
        """Return token ids for generation: a passage with parts hidden."""
        row = self.rows(ids_N, block_size, max_tokens=1, seed=seed)[0]
        return self.batch([(*row, None)]).inputs[0][0]

    def evaluation(self, ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
        """Yield the batches for evaluating a text, or passages of it drawn by `seed`.

        All chosen tokens are hidden, the same ones each time. Raises ValueError for a stride and
        for an empty text.
        """
        self.check_stride(stride, block_size)
        rows = self.rows(ids_N, block_size, max_tokens=max_tokens, seed=seed)
        for first in range(0, len(rows), batch_size):
            yield self.batch([(*row, None) for row in rows[first : first + batch_size]])

    def grammar_loss(self, ids_N, block_size, *, max_tokens=None, seed=0, **_):
        """Return the `GrammarLoss` on the draws of `evaluation`, for a text of the tales.

        It is the mean over the passages that the grammar derives; None if there are none.
        """
        rows = self.rows(ids_N, block_size, max_tokens=max_tokens, seed=seed)
        found = [(self.surprise(row, hidden), self.count(hidden)) for row, hidden in rows]
        derived = [pair for pair in found if pair[0] is not None]
        if not derived:
            return None
        nats, targets = (sum(column) for column in zip(*derived, strict=True))
        return GrammarLoss(nats / targets, targets, len(derived) / len(rows))

    def surprise(self, ids_T, hidden_T):
        """Return the grammar's loss in nats; None if it does not derive the story."""
        from npgpt.evaluation import grammar_loss as floors  # here: it makes the grammar, 5 ms

        story = self.tokenizer.token_texts(ids_T)
        found = self.log_probabilities(floors, floors.GRAMMAR, story, hidden_T)
        return None if found is None else -sum(found)

    def rows(self, ids_N, block_size, *, max_tokens=None, seed=0):
        """Return (ids, hidden) of the passages of a text, or of some drawn by `seed`."""
        if not len(ids_N):
            raise ValueError("no token to evaluate on; give a text of 1 or more")
        spans = self._spans(ids_N, block_size)
        sampled = sampled_rows([b - a for a, b in spans], max_tokens, seed)
        return [
            (ids_N[a:b].astype(np.int64), self.hide(b - a, np.random.default_rng((seed, a))))
            for a, b in (spans[i] for i in sampled)
        ]

    def _spans(self, ids_N, block_size):
        """Return the positions (first, last + 1) of each passage; a long one is cut to block_size.

        Text before the first blank line and after the last may be cut off, and is left out.
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
        """Return the first passage that begins in a window; without one, the window's start."""
        edges = self._begins(ids_N)
        first = edges[0] if len(edges) and edges[0] <= block_size else 0
        last = edges[np.searchsorted(edges, first, "right") :][:1]
        end = min([first + block_size, len(ids_N), *last])
        return ids_N[first:end].astype(np.int64)

    def _begins(self, ids_N):
        """Return the positions where passages begin: after a blank line, not at a line end."""
        ends_N = self.line_ends_V[ids_N]
        blank_N = ends_N[1:] + self.only_ends_V[ids_N[1:]] * ends_N[:-1] > 1
        return 2 + np.flatnonzero(blank_N[:-1] & ~self.begins_line_V[ids_N[2:]])


class MaskedTokens(Denoising):
    """Random tokens hidden, predicted from both sides.

    15 % are chosen, at least one. In training the mask token replaces 80 % of them and a random
    token 10 %; 10 % stay, so that visible tokens matter too. In an evaluation all are masked.
    """

    special_tokens = (PAD, MASK)
    target = "hidden token"
    purpose = (
        f"fills in what is hidden: write {MASK} for each hidden token, such as a character in "
        f"sm{MASK}ll, or where words are tokens, a word in a {MASK} dog"
    )

    def hide(self, length, rng):
        """Return the choice of tokens to predict, (length,) bool."""
        hidden_T = np.zeros(length, bool)
        hidden_T[rng.permutation(length)[: max(1, round(HIDDEN_SHARE * length))]] = True
        return hidden_T

    def count(self, hidden_T):
        """Return the number of targets of a passage."""
        return int(hidden_T.sum())

    def batch(self, rows):
        """Return the `Batch` of rows (ids_T, hidden_T, rng), whose hidden tokens are the targets.

        With an rng, some of them are a random token or stay; with None, all are masked.
        """
        pad, _ = self.special
        given = [self._hidden(*row) for row in rows]
        targets = [np.where(hidden_T, ids_T, IGNORE_INDEX) for ids_T, hidden_T, _ in rows]
        targets_BT = _padded(targets, IGNORE_INDEX)
        return Batch((_padded(given, pad),), targets_BT, {"mask_BT": _mask(given)})

    def _hidden(self, ids_T, hidden_T, rng):
        ids_T, (_, mask) = ids_T.copy(), self.special
        if rng is None:
            ids_T[hidden_T] = mask
            return ids_T
        uniform_T = rng.random(len(ids_T))
        ids_T[hidden_T & (uniform_T < 0.8)] = mask
        random_T = hidden_T & (uniform_T >= 0.9)
        ids_T[random_T] = rng.choice(self.ordinary, int(random_T.sum()))
        return ids_T

    def log_probabilities(self, floors, grammar, story, hidden_T):
        where = np.flatnonzero(hidden_T).tolist()
        return floors.hidden_log_probabilities(grammar, story, where, self.tokenizer.write)


class SpanCorruption(Denoising):
    """Spans of 1 to 5 tokens, cut out of a text and written one after another.

        text      A shy small dog.
        source    A s<extra_id_0>mall d<extra_id_1>.
        targets   <extra_id_0>hy s<extra_id_1>og<extra_id_2>

    The next sentinel ends a span; a sentinel that the source lacks ends the last. On average 15 %
    of the tokens are hidden. Spans do not touch, and begin after each visible token with equal
    probability. Spans beyond the last sentinel stay visible.
    """

    special_tokens = (PAD, *SENTINELS)
    left_to_right = True
    target = "token of the spans"
    purpose = (
        f"rewrites hidden spans: write {SENTINELS[0]}, {SENTINELS[1]} and so on to "
        f"{SENTINELS[-2]}, each once and in this order, as in a {SENTINELS[0]} dog"
    )

    def hide(self, length, rng):
        """Return the tokens that are in spans, (length,) bool."""
        visible = rng.geometric(_BEGINS, len(SENTINELS) - 1)
        visible[0] -= 1  # a text may begin with a span
        spans = rng.integers(1, LONGEST_SPAN + 1, len(visible))
        edges = np.cumsum(np.stack([visible, spans], axis=1).ravel())
        return np.searchsorted(edges, np.arange(length), "right") % 2 == 1

    def count(self, hidden_T):
        """Return the number of targets: hidden tokens, a sentinel for each span, the last one."""
        return int(hidden_T.sum()) + len(_runs(hidden_T)) + 1

    def batch(self, rows):
        """Return the `Batch` of rows (ids_T, hidden_T, _), whose hidden spans are the targets."""
        pad, *sentinels = self.special
        pairs = [self._cut(ids_T, hidden_T, sentinels) for ids_T, hidden_T, _ in rows]
        sources, targets = zip(*pairs, strict=True)
        targets_BT = _padded(targets, IGNORE_INDEX)
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

    def log_probabilities(self, floors, grammar, story, hidden_T):
        found = floors.spans_log_probability(
            grammar, story, _runs(hidden_T), LONGEST_SPAN, self.tokenizer.write
        )
        return None if found is None else [found]


# The probability that a span begins after a visible token. The hidden share is the mean span, 3,
# over the sum of the mean span and the mean distance, 1 / _BEGINS.
_BEGINS = HIDDEN_SHARE / (1 - HIDDEN_SHARE) / ((1 + LONGEST_SPAN) / 2)

def _runs(hidden_T):
    """Return (first, last + 1) of each run of hidden tokens."""
    edges = np.flatnonzero(np.diff(hidden_T, prepend=False, append=False))
    return [*zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)]


def _padded(rows, value):
    """Return rows padded with `value` to the longest, (B, T) int64."""
    padded_BT = np.full((len(rows), max(map(len, rows))), value, np.int64)
    for b, row in enumerate(rows):
        padded_BT[b, : len(row)] = row
    return padded_BT


def _mask(rows):
    return _padded([np.ones_like(row) for row in rows], 0)
