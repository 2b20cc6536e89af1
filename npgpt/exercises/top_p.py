"""Sampling: top-p, the nucleus."""

import numpy as np

SECTION = "Text Generation"
TASK = """
Top-p: the fewest most probable tokens stay whose probabilities together reach `share`, including
the token that reaches it. All other tokens get 0, and the result sums to 1 again. A sure model
leaves one token, an unsure one many.
"""
RETURNS = ("p",)
WHERE = "npgpt.sampling.Sampling"
HINTS = (
    "Sort the ids by probability, the largest first, and add up: np.cumsum.",
    "A token stays if the sum before it has not reached the share yet.",
    "before = np.cumsum(p[ids]) - p[ids]; ids[before < share] stay.",
)


def top_p(p_V, share):
    """Return probabilities (V,).    p (V,) probabilities, share between 0 and 1"""
    ids_V = np.argsort(-p_V, kind="stable")
    before_V = np.cumsum(p_V[ids_V]) - p_V[ids_V]
    stay = ids_V[before_V < share]
    kept_V = np.zeros(len(p_V))
    kept_V[stay] = p_V[stay]
    return kept_V / kept_V.sum()


def cases(rng):
    yield {"p_V": np.array([0.15, 0.5, 0.05, 0.3]), "share": 0.7}
    yield {"p_V": np.array([0.01, 0.98, 0.01]), "share": 0.9}
    for share in (0.35, 0.6, 0.9):
        yield {"p_V": rng.dirichlet(np.ones(7)), "share": share}


def _kept(p_V, stays_V, scaled=True):
    kept_V = np.where(stays_V, p_V, 0)
    return kept_V / kept_V.sum() if scaled else kept_V


def _without_the_last(p_V, share):
    ids_V = np.argsort(-p_V, kind="stable")
    stays_V = np.zeros(len(p_V), bool)
    stays_V[ids_V[np.cumsum(p_V[ids_V]) <= share]] = True
    return _kept(p_V, stays_V)


def _one_more(p_V, share):
    count = int((top_p(p_V, share) > 0).sum()) + 1
    return _kept(p_V, np.argsort(np.argsort(-p_V, kind="stable")) < count)


FAULTS = {
    "the token that reaches the share is left out": _without_the_last,
    "one token more stays than is needed": _one_more,
    "the result is not divided by its sum": lambda p_V, share:
        _kept(p_V, top_p(p_V, share) > 0, scaled=False),
    "the probabilities are added up in the order of ids, without sorting": lambda p_V, share:
        _kept(p_V, np.cumsum(p_V) - p_V < share),
    "each probability is compared with the share, and not their sum": lambda p_V, share:
        _kept(p_V, p_V >= share),
    "the least probable are added up first": lambda p_V, share:
        _kept(p_V, [p_V[p_V < p].sum() < share for p in p_V]),
    "the tokens that stay are all equally probable": lambda p_V, share:
        (top_p(p_V, share) > 0) / (top_p(p_V, share) > 0).sum(),
}
