"""A hunt: causal attention that runs, and is wrong."""

import numpy as np

SECTION = "Attention Mechanism"
TASK = """
A hunt. The function below is causal attention of one head: each position gets the average of the
values v up to it, weighted by a softmax of its scores. It runs, its results look fine, and it is
wrong in two places. Find and mend both. The shapes do not help; the definition does.
"""
RETURNS = ("y",)
WHERE = "autograd.reference.attention"
HINTS = (
    "Does each row of weights sum to 1? Look at what happens after the softmax.",
    "Later positions have to be masked before the softmax, by a score of -inf, not after it.",
    "The second fault: with D channels the scores are divided by sqrt(D), and k.shape[0] is not D.",
)


def planted(q_TD, k_TD, v_TD):
    """Return y (T, D).    q, k, v (T, D)"""
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[0])
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    a_TS = np.where(np.tri(len(q_TD), dtype=bool), a_TS, 0)
    return a_TS @ v_TD


def hunt_attention(q_TD, k_TD, v_TD):
    """Return y (T, D).    q, k, v (T, D)"""
    score_TS = q_TD @ k_TD.T / np.sqrt(k_TD.shape[1])
    score_TS = np.where(np.tri(len(q_TD), dtype=bool), score_TS, -np.inf)
    e_TS = np.exp(score_TS - score_TS.max(axis=1, keepdims=True))
    a_TS = e_TS / e_TS.sum(axis=1, keepdims=True)
    return a_TS @ v_TD


def cases(rng):
    for T, D in ((4, 2), (3, 5)):
        yield dict(zip(("q_TD", "k_TD", "v_TD"), 2 * rng.normal(size=(3, T, D)), strict=True))


def _softmax(x_TS):
    e_TS = np.exp(x_TS - x_TS.max(axis=1, keepdims=True))
    return e_TS / e_TS.sum(axis=1, keepdims=True)


def _attention(q_TD, k_TD, v_TD, divide=True, k=0, axis=1):
    score_TS = q_TD @ k_TD.T / (np.sqrt(q_TD.shape[axis]) if divide else 1)
    return _softmax(np.where(np.tri(len(q_TD), k=k, dtype=bool), score_TS, -np.inf)) @ v_TD


def _late_mask(q_TD, k_TD, v_TD):
    a_TS = _softmax(q_TD @ k_TD.T / np.sqrt(q_TD.shape[1]))
    return np.where(np.tri(len(q_TD), dtype=bool), a_TS, 0) @ v_TD


FAULTS = {
    "nothing was changed yet": planted,
    "the softmax still sums over positions that are masked only afterwards": _late_mask,
    "the scores are still divided by the root of the number of positions":
        lambda q_TD, k_TD, v_TD: _attention(q_TD, k_TD, v_TD, axis=0),
    "the scores are not divided at all": lambda q_TD, k_TD, v_TD:
        _attention(q_TD, k_TD, v_TD, divide=False),
    "nothing is masked": lambda q_TD, k_TD, v_TD:
        _attention(q_TD, k_TD, v_TD, k=len(q_TD)),
    "a position sees the one after it": lambda q_TD, k_TD, v_TD:
        _attention(q_TD, k_TD, v_TD, k=1),
    "masked scores are 0 and not -inf: e^0 is 1, so they still have weight":
        lambda q_TD, k_TD, v_TD:
        _softmax(np.tril(q_TD @ k_TD.T) / np.sqrt(q_TD.shape[1])) @ v_TD,
}
