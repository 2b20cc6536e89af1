"""A hunt: causal attention that runs, and is wrong."""

import numpy as np

TASK = """
A hunt. The function below is causal attention of one head: each position gets the average of the
values v up to it, weighted by a softmax of its scores. It runs, its results look fine, and it is
wrong in two places. Find and mend both. The shapes do not help; the definition does.
"""
RETURNS = "y"
WHERE = "autograd.reference.attention"
HINTS = """
Does each row of weights sum to 1? Look at what happens after the softmax.
Later positions have to be masked before the softmax, by a score of -inf, not after it.
The second fault: with D channels the scores are divided by sqrt(D), and k.shape[0] is not D.
"""


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


MASK = "    score_TS = np.where(np.tri(len(q_TD), dtype=bool), score_TS, -np.inf)\n"
LATE_MASK = "    a_TS = np.where(np.tri(len(q_TD), dtype=bool), a_TS, 0)\n"
TOO_LATE = {MASK: "", "    return": f"{LATE_MASK}    return"}
PLANTED = {"shape[1]": "shape[0]"} | TOO_LATE
FAULTS = {
    "nothing was changed yet": PLANTED,
    "the softmax still sums over positions that are masked only afterwards": TOO_LATE,
    "the scores are still divided by the root of the number of positions": {"shape[1]": "shape[0]"},
    "nothing is masked": {MASK: ""},
    "masked scores are 0 and not -inf: e^0 is 1, so they still have weight": {"-np.inf": "0"},
    "masked scores are 0 and not -inf, and the root is still of the number of positions":
        {"-np.inf": "0", "shape[1]": "shape[0]"},
    "the mask is the wrong way round: it hides what came before":
        {"score_TS, -np.inf": "-np.inf, score_TS"},
}
