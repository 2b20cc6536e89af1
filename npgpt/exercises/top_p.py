"""Sampling: top-p, the nucleus."""

import numpy as np

TASK = """
Top-p: the fewest most probable tokens stay whose probabilities together reach `share`, including
the token that reaches it. All other tokens get 0, and the result sums to 1 again. A sure model
leaves one token, an unsure one many.
"""
RETURNS = "p"
WHERE = "npgpt.sampling.Sampling"
HINTS = """
Sort the ids by probability, the largest first, and add up: np.cumsum.
A token stays if the sum before it has not reached the share yet.
before = np.cumsum(p[ids]) - p[ids]; ids[before < share] stay.
"""


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


FAULTS = {
    "the token that reaches the share is left out": {" - p_V[ids_V]": "", "< share": "<= share"},
    "one token more stays than is needed":
        {"ids_V[before_V < share]": "ids_V[: (before_V < share).sum() + 1]"},
    "the result is not divided by its sum": {" / kept_V.sum()": ""},
    "the probabilities are added up in the order of ids, without sorting":
        {'np.argsort(-p_V, kind="stable")': "np.arange(len(p_V))"},
    "each probability is compared with the share, and not their sum":
        {"before_V < share": "p_V[ids_V] >= share"},
    "each probability is compared with the share, and the result is not divided by its sum":
        {"before_V < share": "p_V[ids_V] >= share", " / kept_V.sum()": ""},
}
