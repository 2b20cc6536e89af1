"""Autoregressive generation: predict a token, append it, predict the next.

This file holds the loop, for one text token by token (`stream`) or for a whole batch of texts
(`generate`); how a token is chosen is in `sampling.py`, what is kept of a context between two
tokens in `cache.py`.

The model comes in as `next_logits`, a callable from token ids to the logits of the token that
follows the last of them. It never sees more than `block_size` tokens, so a text of any length can
be continued: the model forgets its beginning. Where a GPT's tokens move to other positions, all of
them have to be computed again. So the window does not slide by one token at each: when it is full,
it moves on by half of itself, and the model sees the last half to whole of block_size tokens. That
costs one position more for each token, on average (`window_start`).

Each row of a batch draws from a random generator of its own, spawned from the seed by the row's
index (`numpy.random.SeedSequence.spawn`). So a row's text depends on the seed, the row's index
and the row's prompt, and not on which other rows are generated beside it; and row 0 draws what
`stream` draws from the same seed.
"""

from collections.abc import Iterable
from numbers import Integral
from typing import NamedTuple

import numpy as np


def window_start(length, block_size):
    """How many of a text's first tokens the model does not see, when the text has `length` tokens.

    >>> [window_start(length, 4) for length in range(3, 10)]
    [0, 0, 2, 2, 4, 4, 6]
    """
    step = max(1, block_size // 2)
    return -(-max(0, length - block_size) // step) * step


def stream(next_logits, prompt_T, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Continue one prompt: an iterator over at most `max_new_tokens` new token ids, each an int.

    next_logits: maps token ids (B, T), T <= block_size, to logits (B, V); here B = 1. If it has an
        attribute `takes_rows`, it takes a list of B arrays (T,) of any lengths instead.
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
    found = columns(
        next_logits, [prompt_T], max_new_tokens, sampling, block_size=block_size, seed=seed,
        stop=stop,
    )  # fmt: skip
    return (int(column.next_B[0]) for column in found)


def generate(next_logits, prompt, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Continue a prompt (T,), B prompts of one length (B, T), or a list of prompts of any lengths:
    the prompt and what follows.

    The result is int64, of the prompt's rank, with up to max_new_tokens more columns; or a list of
    such rows. The arguments and errors are those of `stream`.

    A row that draws a stop token is finished: it repeats that token until the last row is.
    Generation ends when every row has finished.
    """
    prompts, rank = _prompts(prompt)
    found = columns(
        next_logits, prompts, max_new_tokens, sampling, block_size=block_size, seed=seed, stop=stop
    )
    new = [column.next_B for column in found]
    new_BN = np.stack(new, axis=1) if new else np.zeros((len(prompts), 0), np.int64)
    texts = [np.concatenate(row) for row in zip(prompts, new_BN, strict=True)]
    return texts[0] if rank == 1 else np.stack(texts) if rank == 2 else texts


class Column(NamedTuple):
    """The next token of every row.

    next_B       the tokens
    logits_BV    what they were drawn from, before any setting of sampling
    finished_B   rows that end before these tokens; whoever sets one ends its row after these
    """

    next_B: np.ndarray
    logits_BV: np.ndarray
    finished_B: np.ndarray


def columns(next_logits, prompts, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """An iterator over a `Column` for each new token; `prompts` is a list of arrays of token ids.

    The arguments, which are checked at once, are those of `stream`.
    """
    _check_count("max_new_tokens", max_new_tokens, at_least=0)
    _check_count("block_size", block_size, at_least=1)
    if seed is not None:
        _check_count("seed", seed, at_least=0)
    stop_ids = _stop_ids(stop)
    row_seeds = np.random.SeedSequence(seed).spawn(len(prompts))
    rngs = [np.random.default_rng(row_seed) for row_seed in row_seeds]

    def loop():
        finished_B = np.zeros(len(prompts), dtype=bool)
        contexts = [prompt[window_start(len(prompt), block_size) :] for prompt in prompts]
        for _ in range(max_new_tokens):
            logits_BV = _logits(next_logits, contexts)
            next_B = np.array([context[-1] for context in contexts])
            for b in np.flatnonzero(~finished_B):  # a finished row repeats its stop token
                next_B[b] = sampling.draw(logits_BV[b], rngs[b], contexts[b])
            yield Column(next_B, logits_BV, finished_B)
            finished_B |= np.isin(next_B, stop_ids)
            if finished_B.all():
                return
            contexts = [np.append(*pair) for pair in zip(contexts, next_B, strict=True)]
            contexts = [context[window_start(len(context), block_size) :] for context in contexts]

    return loop()


def _logits(next_logits, contexts):
    """One row of logits for each context; those of one length are asked for together."""
    if getattr(next_logits, "takes_rows", False):
        return _checked(next_logits(contexts), len(contexts))
    lengths = np.array([len(context) for context in contexts])
    logits = [None] * len(contexts)
    for length in dict.fromkeys(lengths.tolist()):
        rows = np.flatnonzero(lengths == length)
        found = next_logits(np.stack([contexts[b] for b in rows]))
        for b, logits_V in zip(rows, _checked(found, len(rows)), strict=True):
            logits[b] = logits_V
    return np.stack(logits)


def _checked(logits, B):
    """The logits as an array, one row for each context."""
    logits = np.asarray(logits)
    if logits.ndim != 2 or len(logits) != B:
        raise ValueError(
            f"next_logits returned shape {logits.shape} for {B} contexts: "
            f"return ({B}, V), the logits after the last position only"
        )
    return logits


def _prompts(prompt):
    """(prompts as a list of arrays (T,), the rank of the result: 1, 2, or 3 for a list)."""
    if isinstance(prompt, (list, tuple)) and prompt and all(map(_is_sequence, prompt)):
        rows = [_token_ids(row) for row in prompt]
        if len({row.shape for row in rows}) > 1 and all(row.ndim == 1 for row in rows):
            return rows, 3
    prompt = _token_ids(prompt)
    return list(np.atleast_2d(prompt)), prompt.ndim


def _is_sequence(row):
    return isinstance(row, (list, tuple, np.ndarray))


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
        raise ValueError(
            f"the prompt has shape {prompt.shape}: give token ids (T,) or (B, T), or a list of "
            "such rows"
        )
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
