"""Autoregressive generation: predict a token, append it, predict the next.

`stream` continues one text token by token, `generate` a batch of texts; `sampling.py` chooses a
token. The model is passed as a `decoder`: a callable that maps contexts, a list of arrays (T,) of
token ids, to the logits (B, V) of the next token of each.

A decoder never sees more than `block_size` tokens, so the beginning of a longer text is forgotten.
When the window moves, the position of every token changes, and a GPT has to compute all of them
again. So a full window moves by half its length, and not by one token (`window_start`). On average
this costs one more position for each token.

Each row of a batch has its own random generator, spawned from the seed by the row's index. So the
text of a row does not depend on the other rows, and row 0 samples the same tokens as `stream` does
from the same seed.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np


class KVCache:
    """The keys and values (B, H, S, D) of the S tokens read so far, for each layer.

    In a causal model a later token cannot change the keys and values of an earlier token. So they
    are stored, and a step of generation computes the new position only.

    longest   the largest S: memory for it is allocated at the first token
    length    S before a forward pass; its caller sets it afterwards
    """

    def __init__(self, longest):
        self.longest, self.length, self.layers = longest, 0, {}

    def extend(self, layer, k_BHTD, v_BHTD):
        """Add the keys and values of T new tokens to a layer; return all of its S + T."""
        B, H, T, D = k_BHTD.shape
        if layer not in self.layers:  # all of it at once: to grow is to copy what was read
            self.layers[layer] = np.empty((2, B, H, self.longest, D), k_BHTD.dtype)
        kv, end = self.layers[layer], self.length + T
        kv[..., self.length : end, :] = k_BHTD, v_BHTD
        return kv[..., :end, :]


class CachedLogits:
    """A decoder that computes only the tokens it has not seen.

    forward   maps (new token ids (B, T), KVCache of the tokens before) to logits (B, V)

    A context that does not continue the previous one is computed afresh, as when the window has
    moved and each token has a new position. Contexts of equal length are a batch.
    """

    def __init__(self, forward, block_size):
        self.forward, self.block_size = forward, block_size
        self.groups = {}  # indices of contexts -> (token ids read, KVCache)

    def __call__(self, contexts):
        """Return logits (B, V) for B contexts (T,)."""
        lengths = [len(context) for context in contexts]
        groups, logits = {}, []
        for length in dict.fromkeys(lengths):
            rows = tuple(b for b, other in enumerate(lengths) if other == length)
            context_BT = np.stack([contexts[b] for b in rows])
            read_BT, cache = self._continued(rows, context_BT)
            logits.append(self.forward(context_BT[:, read_BT.shape[1] :], cache))
            cache.length = length
            groups[rows] = context_BT, cache
        self.groups = groups
        order = np.argsort(np.concatenate(list(groups)))  # groups are by length; rows as they came
        return np.concatenate(logits)[order]

    def _continued(self, rows, context_BT):
        """Return (ids already read, their cache): none, and a new one, if these do not follow."""
        if rows in self.groups:
            read_BT, cache = self.groups[rows]
            S = read_BT.shape[1]
            if context_BT.shape[1] > S and np.array_equal(context_BT[:, :S], read_BT):
                return read_BT, cache
        return context_BT[:, :0], KVCache(self.block_size)


def window_start(length, block_size):
    """Return the position where the window begins in a text of `length` tokens.

    >>> [window_start(length, 4) for length in range(3, 10)]
    [0, 0, 2, 2, 4, 4, 6]
    """
    # Half is a compromise: a longer step forgets more at once, a shorter one computes more often.
    step = max(1, block_size // 2)
    return -(-max(0, length - block_size) // step) * step


def stream(decoder, prompt_T, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Return an iterator over the ids that continue one prompt: at most `max_new_tokens` ints.

    decoder    maps a list of one array (T,) of token ids, T <= block_size, to logits (1, V)
    prompt_T   at least one integer token id
    sampling   a `npgpt.sampling.Sampling`
    seed       a non-negative int for the same tokens each time, None for new ones
    stop       a token id or a collection of them: the first one sampled is yielded, and is the last

    Arguments are checked before the iterator is returned. Raises ValueError for an empty prompt, a
    negative max_new_tokens or seed; TypeError for token ids that are not integers.
    """
    steps = decoding_steps(
        decoder, [_token_ids(prompt_T, 1)], max_new_tokens, sampling, block_size=block_size,
        seed=seed, stop=stop,
    )
    return (int(step.next_B[0]) for step in steps)


def generate(decoder, prompt, max_new_tokens, sampling, *, block_size, seed=None, stop=None):
    """Return a prompt (T,), B prompts (B, T), or a list of prompts of any lengths, continued.

    The result is int64 and has the rank of the prompt, with up to max_new_tokens more columns. If
    the prompt is a list of rows, so is the result. The arguments and errors are as in `stream`.

    A row that samples a stop token is finished: it repeats that token until all rows are finished.
    """
    try:
        prompt = np.asarray(prompt)
    except ValueError:  # rows of different lengths
        prompts = [_token_ids(row, 1) for row in prompt]
    else:
        prompt = _token_ids(prompt, 1, 2)
        prompts = list(np.atleast_2d(prompt))
    steps = decoding_steps(
        decoder, prompts, max_new_tokens, sampling, block_size=block_size, seed=seed, stop=stop
    )
    new = [step.next_B for step in steps]
    new_BN = np.stack(new, axis=1) if new else np.zeros((len(prompts), 0), np.int64)
    texts = [np.concatenate(row) for row in zip(prompts, new_BN, strict=True)]
    if isinstance(prompt, np.ndarray):
        return np.stack(texts) if prompt.ndim == 2 else texts[0]
    return texts


class Step(NamedTuple):
    """The next token of every row."""

    next_B: np.ndarray  # token ids
    logits_BV: np.ndarray  # the model's logits, before any setting of sampling
    finished_B: np.ndarray  # rows that ended before this step; a caller may set an entry to end one


def decoding_steps(
    decoder, prompts, max_new_tokens, sampling, *, block_size, seed=None, stop=None
):
    """Return an iterator over a `Step` for each new token; `prompts` is a list of arrays (T,).

    The remaining arguments are as in `stream`; they are checked at once.
    """
    if max_new_tokens < 0:
        raise ValueError(f"max_new_tokens={max_new_tokens}: give an integer >= 0")
    stops = [] if stop is None else list(stop) if isinstance(stop, Iterable) else [stop]
    if any(isinstance(token, str) for token in stops):
        raise TypeError(f"stop={stop!r}: give token ids (tokenizer.encode)")
    # One generator for all rows would sample for a row what depends on how many rows go on.
    rngs = [np.random.default_rng(row) for row in np.random.SeedSequence(seed).spawn(len(prompts))]

    def loop():  # inside, because a generator's own body begins at its first step, checks included
        finished_B = np.zeros(len(prompts), dtype=bool)
        contexts = prompts
        for _ in range(max_new_tokens):
            contexts = [context[window_start(len(context), block_size) :] for context in contexts]
            logits_BV = np.asarray(decoder(contexts))
            next_B = np.array([context[-1] for context in contexts])
            for b in np.flatnonzero(~finished_B):  # a finished row repeats its stop token
                next_B[b] = sampling.sample(logits_BV[b], rngs[b], contexts[b])
            yield Step(next_B, logits_BV, finished_B)
            # After the step is shown, so that a stop token is part of the text, if only its last.
            finished_B |= np.isin(next_B, stops)
            if finished_B.all():
                return
            # A copy of every context for each token, which beside the model costs nothing.
            contexts = [np.append(*pair) for pair in zip(contexts, next_B, strict=True)]

    return loop()


def _token_ids(prompt, *ranks):
    """Return a copy of a prompt as int64. Raises an error unless its rank is one of `ranks`."""
    prompt = np.asarray(prompt)
    if prompt.ndim not in ranks or prompt.size == 0:
        raise ValueError(
            f"the prompt has shape {prompt.shape}: give one token id or more, (T,), or to generate "
            "also (B, T) or a list of rows (T,)"
        )
    if not np.issubdtype(prompt.dtype, np.integer):
        raise TypeError(
            f"the prompt has dtype {prompt.dtype}: give integer token ids, tokenizer.encode(text)"
        )
    return prompt.astype(np.int64)
