"""Batches: windows cut out of one long row of token ids.

A window of T tokens x = ids[i : i + T] has the targets y = ids[i + 1 : i + 1 + T]: at every
position the model is asked for the token that follows, so one window holds T questions.
"""

import numpy as np

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
