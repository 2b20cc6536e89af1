"""Drawing the next token from one row of logits: greedy, temperature, top-k, top-p.

This file holds the choice of a single token and no loop; `generate.py` repeats it.

The settings combine in this order, whichever of them are given:

1. temperature t: probabilities are softmax(logits / t), and t = 0 puts them all on one token;
2. top-k: the k tokens with the largest logits stay, the others get probability zero;
3. top-p: of what top-k kept, renormalised, the fewest most probable tokens whose total reaches
   p stay (nucleus sampling: Holtzman et al., "The Curious Case of Neural Text Degeneration", 3.1).

Wherever two tokens tie, the one with the lower index goes first. Everything is computed in
float64, whatever the model's dtype: a running total in float32 over a large vocabulary no longer
notices the least likely tokens.
"""

import math
from dataclasses import dataclass
from numbers import Integral

import numpy as np


@dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    temperature   0 for the most likely token, 1 for the model's own probabilities
    top_k         how many tokens stay, None for all; may exceed the vocabulary
    top_p         the probability that the tokens which stay have together, None for all

    Raises ValueError, which says what to use instead, on a setting outside its range.
    """

    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None

    def __post_init__(self):
        temperature, top_k, top_p = self.temperature, self.top_k, self.top_p
        if not (math.isfinite(temperature) and temperature >= 0):
            raise ValueError(
                f"temperature={temperature}: use a finite number > 0, or 0 for the most likely "
                "token"
            )
        if top_k is not None and not (isinstance(top_k, Integral) and top_k >= 1):
            raise ValueError(f"top_k={top_k!r}: use an integer >= 1, or leave it out to keep all")
        if top_p is not None and not 0 < top_p <= 1:
            raise ValueError(
                f"top_p={top_p}: use a number with 0 < top_p <= 1, or leave it out to keep all"
            )

    def probabilities(self, logits_V):
        """The probabilities (V,), in float64, with which `draw` returns each of V tokens.

        A logit of -inf has probability zero. Raises ValueError on logits that are not one row of
        numbers with a finite maximum.
        """
        logits_V = _checked(logits_V)
        if self.temperature == 0:
            probs_V = np.zeros_like(logits_V)
            probs_V[np.argmax(logits_V)] = 1.0
            return probs_V
        probs_V = _unnormalised(logits_V, self.temperature)
        if self.top_k is not None or self.top_p is not None:
            order_V = np.argsort(-logits_V, kind="stable")  # most probable first, ties by index
            probs_V[order_V[self._kept(probs_V[order_V]) :]] = 0.0
        return probs_V / probs_V.sum()

    def draw(self, logits_V, rng):
        """One token id (an int), drawn with one call of `rng.random()`.

        At temperature 0 it is that of the largest logit (the first of equals), and `rng` is not
        used. A token of probability zero is never drawn. Raises what `probabilities` raises.
        """
        probs_V = self.probabilities(logits_V)
        if self.temperature == 0:
            return int(np.argmax(probs_V))
        # The inverse of the cumulative distribution. random() is below 1, so the point lies below
        # the last total; and side="right" finds the first token whose total is above the point,
        # which therefore adds something to the total of the tokens before it.
        total_V = np.cumsum(probs_V)
        return int(np.searchsorted(total_V, rng.random() * total_V[-1], side="right"))

    def _kept(self, sorted_V):
        """How many of these probabilities, the largest first, survive top-k and then top-p."""
        sorted_K = sorted_V[: self.top_k]
        if self.top_p is None or self.top_p == 1:
            return len(sorted_K)
        total_K = np.cumsum(sorted_K)
        # Of probabilities 0.5, 0.3, 0.2, two reach 0.8: rounding in exp must not ask for a third.
        rounding = len(sorted_K) * np.finfo(np.float64).eps
        return int(np.searchsorted(total_K, (self.top_p - rounding) * total_K[-1])) + 1


def _unnormalised(logits_V, temperature):
    """The numerators of softmax(logits / temperature), less the maximum, so that none overflows."""
    with np.errstate(over="ignore"):  # far below the maximum, -inf is the right exponent
        return np.exp((logits_V - logits_V.max()) / temperature)


def _checked(logits_V):
    """The logits as float64, or a ValueError that says which of them cannot be sampled from."""
    logits_V = np.asarray(logits_V, dtype=np.float64)
    if logits_V.ndim != 1 or logits_V.size == 0:
        raise ValueError(
            f"logits of shape {logits_V.shape}: give one row of V >= 1 logits, (V,): "
            "of a (B, T, V) array, the last position of one sequence is logits[b, -1]"
        )
    if not (logits_V < np.inf).all():
        token = int(np.argmin(logits_V < np.inf))
        raise ValueError(
            f"the logit of token {token} is {logits_V[token]}: the model has diverged (load an "
            "earlier checkpoint, or train with a lower learning rate); to force a token, give "
            "all others -inf instead"
        )
    if logits_V.max() == -np.inf:
        raise ValueError("every logit is -inf, which rules out all tokens: leave one finite")
    return logits_V
