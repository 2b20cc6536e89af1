"""Generation by each architecture: continue a text, fill in hidden tokens, rewrite hidden spans.

A writer, the field `write` of a `Architecture`, is a function
(model, tokenizer, idx_T, max_new_tokens, *, seed=None, **sampling). It checks its arguments and
returns an iterator over token ids: the tokens that follow a text, or the text with its gaps filled.
`idx_T` comes from an objective's `prompt`; `sampling` holds settings of `npgpt.sampling.Sampling`.
"""

import numpy as np

from npgpt.objectives.denoising import MASK, PAD, SENTINELS
from npgpt.sampling import Sampling


def continue_text(model, tokenizer, idx_T, max_new_tokens, *, seed=None, **sampling):
    """Return an iterator over the tokens that follow a text."""
    return model.stream(idx_T, max_new_tokens, seed=seed, **sampling)


def fill_masks(model, tokenizer, idx_T, max_new_tokens, *, seed=None, **sampling):
    """Return an iterator over the text with a token drawn for each mask, from left to right.

    Each draw sees the tokens drawn before it.

    max_new_tokens   the number of masks to fill in; later ones stay
    """
    mask, draw = tokenizer.special_ids[MASK], _drawing(tokenizer, seed, sampling)
    idx_T = np.array(idx_T, np.int64)
    for t in np.flatnonzero(idx_T == mask)[:max_new_tokens]:
        with model.evaluating():
            idx_T[t] = draw(model(idx_T[None])[0].data[0, t])
    return iter(idx_T.tolist())


def write_spans(model, tokenizer, idx_T, max_new_tokens, *, seed=None, **sampling):
    """Return an iterator over the text with the model's words in the place of each sentinel.

    max_new_tokens   the most tokens that the decoder writes, sentinels included
    """
    sentinels = [tokenizer.special_ids[token] for token in SENTINELS]
    draw, given = _drawing(tokenizer, seed, sampling), np.array([idx_T], np.int64)
    with model.evaluating():
        encoded = model.encode(given)

    def ids():
        written = [tokenizer.special_ids[PAD]]
        for token in given[0].tolist():
            if token not in sentinels[:-1]:
                yield token
                continue
            written.append(token)
            following = sentinels[sentinels.index(token) + 1]  # ends the span
            while len(written) < max_new_tokens:
                with model.evaluating():
                    x_BTC = model.decode(np.array([written]), encoded)
                    token = draw(model.head(x_BTC[:, -1]).data[0], following)
                if token == following:
                    break
                written.append(token)
                yield token

    return ids()


def _drawing(tokenizer, seed, sampling):
    """Return a function that draws a token from logits; special tokens only if `allowed`."""
    sampling, rng = Sampling(**sampling), np.random.default_rng(seed)
    special = list(tokenizer.special_ids.values())

    def draw(logits_V, *allowed):
        logits_V = logits_V.copy()
        logits_V[np.setdiff1d(special, allowed)] = -np.inf
        return sampling.sample(logits_V, rng)

    return draw
