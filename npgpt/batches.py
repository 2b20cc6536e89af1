"""Batches: windows cut out of one long row of token ids.

A window of T tokens x = ids[i : i + T] has the targets y = ids[i + 1 : i + 1 + T]: at every
position the model is asked for the token that follows, so one window holds T questions.
"""

from typing import NamedTuple

import numpy as np

from npgpt.words import WordTokenizer

NOT_COUNTED = -1  # a target that `autograd.cross_entropy` ignores


def split_text(text, train_fraction):
    """(training text, validation text): the first `train_fraction` of the characters, and the rest.

    The tail, not random parts: a validation window must not overlap what was trained on.

    >>> split_text("abcdefghij", 0.9)
    ('abcdefghi', 'j')
    """
    cut = int(len(text) * train_fraction)
    return text[:cut], text[cut:]


def sample_batch(ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
    """Inputs and targets, (B, T) int64 each, of `batch_size` windows at random positions.

    The positions are a function of (seed, step) alone: there is no state to save, and a run that is
    continued sees the batches that it would have seen.

    rows   the rows of the batch that are wanted, if it is computed in micro-batches

    Raises ValueError if the text has no window: it needs block_size + 1 tokens.
    """
    check_length(ids_N, block_size, "training")
    rng = np.random.default_rng((seed, step))
    starts_B = rng.integers(0, len(ids_N) - block_size, batch_size)[rows]
    return _windows(ids_N, starts_B, block_size)


def evaluation_batches(ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
    """Batches (inputs, targets) that ask for every token but the first exactly once.

    stride       None: disjoint windows of block_size. Smaller: windows start `stride` apart and
                 only the last `stride` targets of each count (all of them in the first), so that
                 every other token is predicted from more than block_size - stride tokens.
    max_tokens   None for all windows; else as many, drawn at random by `seed`, as count about
                 so many tokens

    Targets that do not count are -1; the last batch may have fewer windows. Raises ValueError for
    a text of fewer than 2 tokens or a stride outside 1..block_size.
    """
    stride = block_size if stride is None else stride
    if not 1 <= stride <= block_size:
        raise ValueError(f"stride={stride}; use 1 to block_size={block_size}, or leave it out")
    if len(ids_N) < 2:
        raise ValueError(
            f"{len(ids_N)} token(s) to evaluate on; the first only gives context, so give 2 or more"
        )
    T = min(block_size, len(ids_N) - 1)
    last = len(ids_N) - 1 - T
    starts = np.append(np.arange(0, last, stride), last)
    asked_before = np.append(0, starts[:-1] + T) - starts  # targets that the window before asks for
    if max_tokens is not None and len(starts) * stride > max_tokens:
        drawn = np.random.default_rng(seed).choice(
            len(starts), -(-max_tokens // stride), replace=False
        )
        drawn.sort()
        starts, asked_before = starts[drawn], asked_before[drawn]
    for b in range(0, len(starts), batch_size):
        x_BT, y_BT = _windows(ids_N, starts[b : b + batch_size], T)
        y_BT[np.arange(T) < asked_before[b : b + batch_size, None]] = NOT_COUNTED
        yield x_BT, y_BT


def check_length(ids_N, block_size, name):
    """Raise ValueError unless a window of block_size tokens and its targets fit."""
    if len(ids_N) <= block_size:
        raise ValueError(
            f"the {name} text has {len(ids_N)} tokens, but one window takes block_size + 1 = "
            f"{block_size + 1}: give more text, or a smaller --block-size"
        )


def _windows(ids_N, starts_B, T):
    ids_BT1 = ids_N[starts_B[:, None] + np.arange(T + 1)]
    return ids_BT1[:, :-1].astype(np.int64), ids_BT1[:, 1:].astype(np.int64)

class Batch(NamedTuple):
    """What a model is called with.

    targets_BT   -1 for a position that does not count
    masks        name of the argument -> (B, T) int64: 1 for a token of the text, 0 for padding
    asked        targets that count in the whole batch of a step, of which this may be some rows
    """

    inputs: tuple[np.ndarray, ...]
    targets_BT: np.ndarray
    masks: dict[str, np.ndarray]
    asked: int = 0

    @property
    def counted(self):
        """The number of targets that count in these rows."""
        return int((self.targets_BT >= 0).sum())


class Floor(NamedTuple):
    """The loss that no model is expected to go below, in nats per target.

    share   of the draws for which it was computed; it is the mean over these
    """

    name: str
    nats: float
    share: float


class NextToken:
    """The objective of a GPT: the next token at every position of a window.

    `npgpt.families.objectives` has those of BERT and T5, with the same methods.
    """

    special_tokens = ()
    left_to_right = True  # no output of the model depends on later inputs
    every_token = True  # each is a target once, so the loss is the loss of the whole text
    target = "token"

    def __init__(self, tokenizer=None):
        self.tokenizer = tokenizer

    def check_stride(self, stride):
        """Accept any stride of an evaluation; other objectives take none."""

    def prompt(self, text):
        """Return the token ids of a text that a model is to continue."""
        return self.tokenizer.encode(text)

    def asked_of(self, ids_N):
        """Return about how many targets a text has."""
        return len(ids_N) - 1

    def floor(self, ids_N, block_size, entropy_rate, **draws):
        """Return the `Floor` of any text of this entropy in nats per character; None if it is not
        known, or if a token may be a word."""
        if not entropy_rate or isinstance(self.tokenizer, WordTokenizer):
            return None
        return Floor("entropy of the text", entropy_rate, 1.0)

    def sample(self, ids_N, block_size, batch_size, *, seed, step, rows=slice(None)):
        """Return the `Batch` of a step, or some rows of it."""
        x_BT, y_BT = sample_batch(ids_N, block_size, batch_size, seed=seed, step=step, rows=rows)
        return Batch((x_BT,), y_BT, {}, batch_size * block_size)

    def example(self, ids_N, block_size, seed):
        """Return None: a sample continues the beginning of a text, not a drawn passage."""

    def evaluation(self, ids_N, block_size, batch_size, stride=None, *, max_tokens=None, seed=0):
        """Yield the batches in which a text, or a part drawn by `seed`, is evaluated."""
        for x_BT, y_BT in evaluation_batches(
            ids_N, block_size, batch_size, stride, max_tokens=max_tokens, seed=seed
        ):
            yield Batch((x_BT,), y_BT, {})


NEXT_TOKEN = NextToken()
