"""Autoregressive generation: predict a token, append it, predict the next.

This file holds the loop, for one text token by token (`stream`) or for a whole batch of texts
(`generate`); how a token is chosen is in `sampling.py`, what is kept of a context between two
tokens in `cache.py`.

The model comes in as `next_logits`, a callable from token ids to the logits of the token that
follows the last of them. It never sees more than the last `block_size` tokens, so a text of any
length can be continued: the model forgets its beginning.

Each row of a batch draws from a random generator of its own, spawned from the seed by the row's
index (`numpy.random.SeedSequence.spawn`). So a row's text depends on the seed, the row's index
and the row's prompt, and not on which other rows are generated beside it; and row 0 draws what
`stream` draws from the same seed.
"""

from collections.abc import Iterable
from numbers import Integral

import numpy as np


def stream(next_logits, prompt_T, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Continue one prompt: an iterator over at most `max_new_tokens` new token ids, each an int.

    next_logits: maps token ids (B, T), T <= block_size, to logits (B, V); here B = 1.
    prompt_T: at least one integer token id.
    sampling: a `npgpt.generation.sampling.Sampling`.
    seed: a non-negative int for the same tokens each time, None for fresh ones.
    stop: a token id or a collection of them: the first one drawn is yielded, and is the last.

    Arguments are checked before the iterator is returned. Raises ValueError on an empty prompt, a
    negative max_new_tokens or seed, a block_size below 1, or logits of the wrong shape; TypeError
    on anything but integers for token ids and counts.
    """
    prompt_T = _token_ids(prompt_T)
    if prompt_T.ndim != 1:
        raise ValueError(f"stream continues one prompt, not {prompt_T.shape}: use generate")
    columns = _new_columns(
        next_logits, prompt_T[np.newaxis], max_new_tokens, sampling, block_size, seed, stop
    )
    return (int(next_B[0]) for next_B in columns)


def generate(next_logits, prompt, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Continue a prompt (T,), or B prompts of one length (B, T): the prompt and what follows.

    The result is int64, of the prompt's rank, with up to max_new_tokens more columns. The
    arguments and errors are those of `stream`.

    A row that draws a stop token is finished: it repeats that token until the last row is.
    Generation ends when every row has finished.
    """
    prompt = _token_ids(prompt)
    prompt_BT = np.atleast_2d(prompt)
    columns = _new_columns(
        next_logits, prompt_BT, max_new_tokens, sampling, block_size, seed, stop
    )
    text_BT = np.column_stack([prompt_BT, *columns])
    return text_BT if prompt.ndim == 2 else text_BT[0]


def _new_columns(next_logits, prompt_BT, max_new_tokens, sampling, block_size, seed, stop):
    """Check the arguments, then return an iterator over the next token of every row, (B,)."""
    _check_count("max_new_tokens", max_new_tokens, at_least=0)
    _check_count("block_size", block_size, at_least=1)
    if seed is not None:
        _check_count("seed", seed, at_least=0)
    stop_ids = _stop_ids(stop)
    row_seeds = np.random.SeedSequence(seed).spawn(len(prompt_BT))
    rngs = [np.random.default_rng(row_seed) for row_seed in row_seeds]

    def loop():
        context_BT = prompt_BT[:, -block_size:]
        finished_B = np.zeros(len(prompt_BT), dtype=bool)
        for _ in range(max_new_tokens):
            logits_BV = _checked(next_logits(context_BT), context_BT)
            next_B = context_BT[:, -1].copy()  # a finished row repeats its stop token
            for b in np.flatnonzero(~finished_B):
                next_B[b] = sampling.draw(logits_BV[b], rngs[b])
            yield next_B
            finished_B |= np.isin(next_B, stop_ids)
            if finished_B.all():
                return
            context_BT = np.column_stack([context_BT, next_B])[:, -block_size:]

    return loop()


def _checked(logits, context_BT):
    """The logits as an array, one row for each row of the context."""
    logits = np.asarray(logits)
    B, T = context_BT.shape
    if logits.ndim != 2 or len(logits) != B:
        raise ValueError(
            f"next_logits returned shape {logits.shape} for token ids of shape {context_BT.shape}: "
            f"return ({B}, V), the logits after the last position only"
        )
    return logits


def _token_ids(prompt):
    """The prompt as int64, (T,) or (B, T), in memory of its own."""
    prompt = np.asarray(prompt)
    if prompt.size == 0:
        raise ValueError(
            f"the prompt, of shape {prompt.shape}, has no token to continue: "
            "start from one, such as a newline's"
        )
    if not np.issubdtype(prompt.dtype, np.integer):
        raise TypeError(
            f"the prompt has dtype {prompt.dtype}: give integer token ids, tokenizer.encode(text)"
        )
    if prompt.ndim not in (1, 2):
        raise ValueError(f"the prompt has shape {prompt.shape}: give token ids (T,) or (B, T)")
    return prompt.astype(np.int64)


def _stop_ids(stop):
    """The stop tokens as an array: none, one or several."""
    if stop is None:
        stop = []
    ids = list(stop) if isinstance(stop, Iterable) else [stop]
    for token in ids:
        if not isinstance(token, Integral):
            raise TypeError(f"stop={stop!r}: give token ids (tokenizer.encode), not {token!r}")
    return np.array(ids, dtype=np.int64)


def _check_count(name, value, *, at_least):
    if not isinstance(value, Integral):
        raise TypeError(f"{name}={value!r}: give an integer >= {at_least}")
    if value < at_least:
        raise ValueError(f"{name}={value}: give an integer >= {at_least}")
