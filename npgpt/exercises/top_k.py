"""Sampling: top-k."""

import numpy as np

TASK = """
Top-k: only the k most probable tokens stay, in the same proportions, and all other tokens get
probability 0. The result sums to 1 again. Of equal probabilities the lower id goes first.
"""
RETURNS = "p"
WHERE = "npgpt.sampling.Sampling"
HINTS = """
Find the ids of the k largest probabilities; np.argsort sorts upwards.
np.argsort(-p, kind='stable')[:k] are these ids; of equals the lower id is first.
Zeros, with p in the places of these ids, divided by their sum.
"""


def top_k(p_V, k):
    """Return probabilities (V,).    p (V,) probabilities, k from 1 to V"""
    ids_K = np.argsort(-p_V, kind="stable")[:k]
    kept_V = np.zeros(len(p_V))
    kept_V[ids_K] = p_V[ids_K]
    return kept_V / kept_V.sum()


def cases(rng):
    yield {"p_V": np.array([0.1, 0.4, 0.2, 0.3]), "k": 2}
    yield {"p_V": np.array([0.25, 0.3, 0.2, 0.25]), "k": 2}
    for k in (1, 3, 6):
        yield {"p_V": rng.dirichlet(np.ones(6)), "k": k}


FAULTS = {
    "all tokens that are as probable as the last one stay, and nothing is divided by the sum":
        {"kept_V[ids_K] = p_V[ids_K]": "kept_V = np.where(p_V >= p_V[ids_K[-1]], p_V, 0)",
         " / kept_V.sum()": ""},
    "only the k that stay are returned: the result has an entry for each of the V tokens":
        {"return kept_V / kept_V.sum()": "return p_V[ids_K] / p_V[ids_K].sum()"},
    "of equal probabilities the higher id stays; np.argsort(-p, kind='stable') keeps the lower":
        {'np.argsort(-p_V, kind="stable")[:k]': 'np.argsort(p_V, kind="stable")[-k:]'},
    "the result is not divided by its sum": {" / kept_V.sum()": ""},
    "the k least probable stay": {"-p_V": "p_V"},
    "one token too many stays": {"[:k]": "[: k + 1]"},
    "all tokens that are as probable as the last one stay, more than k":
        {"kept_V[ids_K] = p_V[ids_K]": "kept_V = np.where(p_V >= p_V[ids_K[-1]], p_V, 0)"},
    "the probabilities are sorted, and no longer at the ids of their tokens":
        {"kept_V[ids_K] =": "kept_V[: len(ids_K)] ="},
}
