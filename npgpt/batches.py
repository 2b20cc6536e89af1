"""A text as token ids, and batches: windows cut out of that long row.

A window of T tokens x = ids[i : i + T] has the targets y = ids[i + 1 : i + 1 + T]. At every
position the target is the token that follows, so one window trains T predictions.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from npgpt.config import check_range, check_settings
from npgpt.support.metrics import bits_per_byte, bytes_per_token
from npgpt.support.progress import progress

MAX_STORY_TOKENS = 1000  # more than any story of the tales has
IGNORE_INDEX = -1  # a masked target, which `autograd.cross_entropy` ignores


@dataclass(frozen=True)
class TextSource:
    """The text of a run. entropy_rate in nats per character, None if unknown."""

    name: str
    characters: int | None
    sha256: str
    entropy_rate: float | None

    def __post_init__(self):
        check_settings(self)
        check_range(
            "TextSource", characters=self.characters or 0, entropy_rate=self.entropy_rate or 0
        )


@dataclass(frozen=True)
class Dataset:
    """A text as token ids, its tokenizer, and how an architecture learns it and writes."""

    source: TextSource
    tokenizer: Any
    train_ids: Any  # an array of ids, or a `npgpt.data.tokens.TokenFile`
    val_ids: Any
    objective: Any  # an `Objective`
    write: Callable  # a function of `npgpt.models.writing`
    contents: str = ""  # the files of the text, for a person
    template: Any = None  # of conversations, whose `Conversations` are in place of ids

    @property
    def validates(self):
        """True unless the conversations are few, and all of them are trained on."""
        return not self.template or self.val_ids is not self.train_ids

    def shape(self, config):
        """Return a model's config with the length of a batch's rows as its block_size."""
        return replace(config, block_size=self.train_ids.width) if self.template else config

    @progress("computing the grammar's loss")
    def grammar_loss(self, block_size, **sampled):
        """Return the `GrammarLoss` on the targets that `npgpt.train.evaluate` samples from val_ids.

        None if no grammar wrote the text.
        """
        if not (self.template or self.source.entropy_rate):
            return None
        return self.objective.grammar_loss(
            self.val_ids, block_size, before=self.train_ids, **sampled
        )

    def bits_per_byte(self, loss):
        """Return a loss in bits per byte of the text; None unless each token is a target."""
        if not self.objective.every_token:
            return None
        return bits_per_byte(loss, self.bytes_per_token)

    @cached_property
    def bytes_per_token(self):
        return bytes_per_token(self.val_ids, self.tokenizer)


def split_text(text, train_fraction):
    """Return (training text, validation text): the first `train_fraction` of it, and the rest.

    Validation takes the tail, not random parts, so that no window overlaps the training text.

    >>> split_text("abcdefghij", 0.9)
    ('abcdefghi', 'j')
    """
    cut = int(len(text) * train_fraction)
    return text[:cut], text[cut:]


def sample_batch(ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
    """Return inputs and targets, (B, T) int64 each, of `batch_size` windows at random positions.

    rows   a slice of the batch, for one of its micro-batches

    The positions are a function of (seed, step) alone: a resumed run sees the same batches. Raises
    ValueError for a text shorter than block_size + 1 tokens.
    """
    check_length(ids_N, block_size, "training")
    rng = np.random.default_rng((seed, step))
    starts_B = rng.integers(0, len(ids_N) - block_size, batch_size)[rows]
    return _windows(ids_N, starts_B, block_size)


def check_length(ids_N, block_size, name):
    """Raise ValueError unless a window of block_size tokens and its targets fit."""
    if len(ids_N) <= block_size:
        most = f", or --block-size {len(ids_N) - 1} at most" if len(ids_N) > 1 else ""
        raise ValueError(f"the {name} text has {len(ids_N)} tokens, but one window takes "
                         f"block_size + 1 = {block_size + 1}: give more text{most}")


def _windows(ids_N, starts_B, T):
    ids_BT1 = ids_N[starts_B[:, None] + np.arange(T + 1)]
    return ids_BT1[:, :-1].astype(np.int64), ids_BT1[:, 1:].astype(np.int64)


# ---- objectives


class Batch(NamedTuple):
    """The arguments of a model's loss, for a batch or some rows of it."""

    inputs: tuple[np.ndarray, ...]  # int64 token ids: (B, T) for a GPT
    targets_BT: np.ndarray  # the right token at each position, or -1 where the loss is masked
    masks: dict[str, np.ndarray]  # by argument, (B, T) int64: 1 for a token, 0 for padding
    step_targets: int = 0  # number of targets in the complete batch of a step

    @property
    def n_targets(self):
        """The number of targets in these rows that are not masked."""
        return int((self.targets_BT >= 0).sum())

    def loss(self, model):
        """Return the model's mean loss on these rows, a Tensor."""
        return model.loss(*self.inputs, self.targets_BT, **self.masks)


def sampled_rows(lengths, max_tokens, seed):
    """Return the indices of rows, drawn by `seed`, with about so many tokens; of all for None."""
    if max_tokens is None:
        return range(len(lengths))
    order = np.random.default_rng(seed).permutation(len(lengths))
    read = np.cumsum(np.take(lengths, order))
    return sorted(order[: 1 + np.searchsorted(read, max_tokens)])


class GrammarLoss(NamedTuple):
    """The exact loss, on the targets of an evaluation, of the grammar that wrote the text."""

    nats: float  # per target
    targets: int
    share: float = 1.0  # of the passages: those that the grammar derives
    exact: bool = True  # False in parts of a text whose tokens have several characters
    window: float | None = None  # as `nats`, of the best reader of the model's window alone

    @property
    def least(self):
        """The least expected loss that what the model sees allows."""
        return self.nats if self.window is None else self.window


class Objective:
    """What a model learns: how token ids become a `Batch`. All objectives have these methods, and

    prompt         token ids of a text that the model is to go on from
    sample         the batch of a step, or some rows of it: a function of (seed, step)
    evaluation     the batches of an evaluation, in turn
    grammar_loss   the `GrammarLoss` on their targets, None where it is unknown
    """

    special_tokens = ()
    left_to_right = True  # no output of the model depends on later inputs
    every_token = True  # an evaluation has each token as a target, so its loss is the text's
    target = "token"
    columns, measured = (), {}  # measurements of a step beside the loss: names, name -> number
    picture = None  # draws a run in place of its loss, as `npgpt.reward.draws.draw_reward`

    def __init__(self, tokenizer=None):
        self.tokenizer = tokenizer

    def example(self, ids_N, block_size, seed):
        """Return token ids to generate from in an evaluation; None for the beginning of a text."""

    def quality(self, model, dataset):
        """Return what an evaluation measures beside the loss: name -> number."""
        return {}

    def check_stride(self, stride, block_size):
        """Raise ValueError for an evaluation stride that a window does not have."""
        most = block_size if self.every_token else 0
        if stride is not None and not 1 <= stride <= most:
            raise ValueError(f"a stride of {stride} targets, and windows of {block_size} tokens: "
                             f"use {most} at most, or 0")


class NextToken(Objective):
    """The objective of a GPT: predict the next token at every position of a window."""

    def prompt(self, text):
        """Return the token ids of a text for the model to continue."""
        return getattr(self.tokenizer, "templated", self.tokenizer.encode)(text)

    def grammar_loss(self, ids_N, block_size, *, before=(), **sampled):
        """Return the `GrammarLoss` on the targets of `evaluation`, for a text of the tales.

        before   ids of the text before, in which the first story may begin

        Return None if the grammar does not write the text. A token's loss is the sum over its
        characters: over a whole text that is exact. `window` is exact for characters and words; of
        byte pairs it leaves out what a token tells beyond its characters.
        """
        from npgpt import tales  # here: it makes the grammar, for tales only

        earlier = self.tokenizer.decode(before[-MAX_STORY_TOKENS:])
        text = self.tokenizer.decode(ids_N[:])
        nats_C = tales.surprisals(text, earlier)
        lengths_N = np.array([len(token) for token in self.tokenizer.tokens])[ids_N[:]]
        if nats_C is None or lengths_N.sum() != len(text):
            return None
        nats_N = np.add.reduceat(nats_C, np.cumsum(lengths_N) - lengths_N)
        batches = [*self.evaluation(np.arange(len(ids_N)), block_size, 64, **sampled)]
        targets = np.concatenate([b.targets_BT[b.targets_BT >= 0] for b in batches])
        windows = [(x_T[0], x_T[-1] + 2, y_T[y_T >= 0][0]) for b in batches
                   for x_T, y_T in zip(b.inputs[0], b.targets_BT, strict=True) if y_T.max() >= 0]
        ends = np.cumsum(lengths_N).tolist()
        tokens = [text[i:j] for i, j in pairwise([0, *ends])]
        least_N = tales.least_in_windows(
            tokens, nats_N, windows, earlier, getattr(self.tokenizer, "write", None))
        exact = len(text) == len(ids_N) or len(targets) == len(ids_N) - 1
        return GrammarLoss(float(nats_N[targets].mean()), len(targets), exact=exact,
                           window=float(least_N[targets].mean()))

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Batch` of a step, or some rows of it."""
        x_BT, y_BT = sample_batch(ids_N, block_size, batch_size, seed=seed, step=step, rows=rows)
        return Batch((x_BT,), y_BT, {}, batch_size * block_size)

    def evaluation(self, ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
        """Yield each `Batch` of an evaluation, in which each token but the first is a target once.

        stride       distance between the starts of windows; None for block_size. Targets of the
                     window before are masked by -1. So a smaller stride predicts each token after
                     the first window from more than block_size - stride tokens
        max_tokens   None for all windows; else a sample, by seed, with about that many targets

        The last window ends with the text, the last batch may have fewer windows. Raises ValueError
        for a text of fewer than 2 tokens or a stride outside 1..block_size.
        """
        self.check_stride(stride, block_size)
        stride, N = stride or block_size, len(ids_N)
        if N < 2:
            raise ValueError(
                f"{N} token(s) to evaluate on; the first only gives context, so give 2 or more"
            )
        T = min(block_size, N - 1)
        last = N - 1 - T
        starts = np.append(np.arange(0, last, stride), last)
        overlap = np.append(0, starts[:-1] + T) - starts  # targets shared with the one before
        if max_tokens is not None and len(starts) * stride > max_tokens:
            rng, count = np.random.default_rng(seed), -(-max_tokens // stride)
            sampled = np.sort(rng.choice(len(starts), count, replace=False))
            starts, overlap = starts[sampled], overlap[sampled]
        for b in range(0, len(starts), batch_size):
            x_BT, y_BT = _windows(ids_N, starts[b : b + batch_size], T)
            y_BT[np.arange(T) < overlap[b : b + batch_size, None]] = IGNORE_INDEX
            yield Batch((x_BT,), y_BT, {})


NEXT_TOKEN = NextToken()
