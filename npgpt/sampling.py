"""Sample the next token from one row of logits: greedy, temperature, top-k, top-p, min-p.

This file chooses a single token; `generate.py` repeats the choice.

The settings apply in this order:

1. repetition penalty r: for each token in the context, a logit above 0 is divided by r and one
   below 0 multiplied by r (Keskar et al., CTRL, 4.1);
2. temperature t: the probabilities are softmax(logits / t); at t = 0 the largest logit has all;
3. top-k: the k tokens with the largest logits stay, and the rest get probability zero;
4. top-p: the remaining probabilities are renormalised; of the tokens sorted by probability, the
   shortest prefix whose sum is at least p stays (nucleus sampling: Holtzman et al., "The Curious
   Case of Neural Text Degeneration", 3.1);
5. min-p: a token stays if it is at least m times as probable as the most probable one (Nguyen et
   al., "Turning Up the Heat", 2024).

Of two tokens that tie, the lower index goes first. Everything is computed in float64, whatever the
model's dtype: a running total in float32 over a large vocabulary loses the least likely tokens.
"""

import math
from dataclasses import dataclass
from typing import TypedDict

import numpy as np

FIRST_SORTED_TOKENS = 256  # tokens to sort in the first attempt to find the most probable ones
EPS = np.finfo(np.float64).eps


class SamplingKeywords(TypedDict, total=False):
    """The fields of `Sampling`, for type checkers of `generate` and `stream`."""

    temperature: float
    top_k: int | None
    top_p: float | None
    min_p: float | None
    repetition_penalty: float


@dataclass(frozen=True)
class Sampling:
    """The settings by which the next token is sampled; None leaves one out.

    Raises ValueError for a setting outside its range.
    """

    temperature: float = 1.0  # 0 for the most likely token, 1 for the model's own probabilities
    top_k: int | None = None  # number of tokens that stay; may exceed the vocabulary
    top_p: float | None = None  # total probability of the tokens that stay
    min_p: float | None = None  # lowest probability of one, as a share of the largest
    repetition_penalty: float = 1.0  # above 1 to make tokens of the context less likely

    def __post_init__(self):
        for name, fits, instead in (
            ("temperature", 0 <= self.temperature < math.inf, "a finite number > 0, or 0"),
            ("top_k", self.top_k is None or self.top_k >= 1, "an integer >= 1"),
            ("top_p", self.top_p is None or 0 < self.top_p <= 1, "0 < top_p <= 1"),
            ("min_p", self.min_p is None or 0 < self.min_p <= 1, "0 < min_p <= 1"),
            ("repetition_penalty", 0 < self.repetition_penalty < math.inf, "a finite number > 0"),
        ):
            if not fits:
                raise ValueError(f"{name}={getattr(self, name)!r}: use {instead}")

    def probabilities(self, logits_V, context=()):
        """Return the probabilities (V,), in float64, with which `sample` chooses each of V tokens.

        context   token ids to which the repetition penalty applies

        A logit of -inf has probability zero. Raises ValueError on logits that are not one row of
        numbers with a finite maximum.
        """
        ids_K, numerators_K = self._candidates(logits_V, context)
        probs_V = np.zeros(np.size(logits_V))
        probs_V[ids_K] = numerators_K / numerators_K.sum()
        return probs_V

    def sample(self, logits_V, rng, context=()):
        """Return one token id, an int; it costs one `rng.random()`, or none at temperature 0.

        Never one of probability zero. Arguments and errors are as in `probabilities`.
        """
        ids_K, numerators_K = self._candidates(logits_V, context)
        if self.temperature == 0:
            return int(ids_K[0])
        # The inverse of the cumulative distribution: the first token whose total is above the
        # point (side="right"), so its probability is not zero. There is one, as random() < 1.
        total_K = np.cumsum(numerators_K)
        return int(ids_K[np.searchsorted(total_K, rng.random() * total_K[-1], side="right")])

    def _candidates(self, logits_V, context):
        """Return (ids, ascending; numerators of their probabilities) of the remaining tokens."""
        logits_V = _checked(logits_V)
        if self.repetition_penalty != 1 and len(context):
            context, penalty = np.asarray(context), self.repetition_penalty
            logits_V, seen = logits_V.copy(), logits_V[context]
            logits_V[context] = np.where(seen > 0, seen / penalty, seen * penalty)
        if self.temperature == 0:
            return np.array([np.argmax(logits_V)]), np.ones(1)
        ids_K = np.arange(len(logits_V))
        if self.top_k is not None:
            ids_K = _largest(logits_V, self.top_k)
        logits_K = logits_V[ids_K]
        numerators_K = _unnormalised(logits_K, self.temperature)
        stays_K = np.ones(len(ids_K), bool)
        if self.top_p is not None and self.top_p < 1:
            stays_K[:] = False
            stays_K[_nucleus(self.top_p, logits_K, numerators_K)] = True
        if self.min_p is not None:
            stays_K &= numerators_K >= self.min_p - 4 * EPS  # the largest is 1; rounding in exp
        return ids_K[stays_K], numerators_K[stays_K]


def _largest(logits_V, k):
    """Return the ids of the k largest logits in ascending order; of equals the first."""
    if k >= len(logits_V):
        return np.arange(len(logits_V))
    kth = np.partition(logits_V, -k)[-k]
    above, equal = np.flatnonzero(logits_V > kth), np.flatnonzero(logits_V == kth)
    return np.sort(np.concatenate([above, equal[: k - len(above)]]))


def _nucleus(share, logits_K, numerators_K):
    """Return the indices of the most probable tokens, as few as reach a share of the total."""
    # Of probabilities 0.5, 0.3, 0.2, two reach 0.8: rounding in exp must not add a third.
    wanted = (share - len(logits_K) * EPS) * numerators_K.sum()
    some = FIRST_SORTED_TOKENS
    while True:  # sorting a complete large vocabulary takes longer than the model does
        largest = _largest(logits_K, some)
        largest = largest[np.argsort(-logits_K[largest], kind="stable")]
        total = np.cumsum(numerators_K[largest])
        if total[-1] >= wanted or some >= len(logits_K):
            return largest[: int(np.searchsorted(total, wanted)) + 1]
        some *= 8


def _unnormalised(logits_V, temperature):
    """Return the numerators of softmax(logits / temperature), scaled so that the largest is 1."""
    with np.errstate(over="ignore"):  # far below the maximum, -inf is the right exponent
        return np.exp((logits_V - logits_V.max()) / temperature)


def _checked(logits_V):
    """Return the logits as float64. Raises ValueError, naming the first, if one is unusable."""
    logits_V = np.asarray(logits_V, dtype=np.float64)
    if logits_V.ndim != 1 or logits_V.size == 0:
        raise ValueError(
            f"logits of shape {logits_V.shape}: give one row of V >= 1 logits, (V,): "
            "of a (B, T, V) array, the last position of one sequence is logits[b, -1]"
        )
    largest = logits_V.max()
    if not largest < np.inf:  # NaN is not, and is the maximum if there is one
        token = int(np.argmin(logits_V < np.inf))
        raise ValueError(
            f"the logit of token {token} is {logits_V[token]}: the model has diverged (load an "
            "earlier checkpoint); to force a token, give all others -inf instead"
        )
    if largest == -np.inf:
        raise ValueError("every logit is -inf, which rules out all tokens: leave one finite")
    return logits_V


def log_probabilities(logits_V, token, most):
    """Return (log-probability of `token`, [(token, log-probability)] of the `most` likeliest).

    They are the model's own, before any setting of sampling.
    """
    logits_V = _checked(logits_V)
    log_total = logits_V.max() + math.log(_unnormalised(logits_V, 1).sum())
    largest = _largest(logits_V, most) if most else np.array([], int)
    largest = largest[np.argsort(-logits_V[largest], kind="stable")]
    pairs = [(int(v), float(logits_V[v] - log_total)) for v in largest]
    return float(logits_V[token] - log_total), pairs
