"""Attention with a cache, for generation."""

import numpy as np

from npgpt.exercises.scores import scores

TASK = """
To write one more token, only its own query is needed, but the keys and values of all positions. The
cache has those of earlier positions; append the new position's, and let its query attend to all.
There is no mask: nothing later is there yet.
"""
HELPERS = (scores,)
RETURNS = "y keys values"
WHERE = "npgpt.generate.KVCache"
HINTS = """
np.concatenate([keys, k], axis=1): the new key comes last.
scores(q, keys) is (H, 1, S + 1), for the one query of each head.
Softmax over the last axis, then weights @ values: (H, 1, D).
"""


def cached_attention(q_H1D, k_H1D, v_H1D, keys_HSD, values_HSD):
    """Return y (H, 1, D), and keys and values, (H, S + 1, D).    keys, values (H, S, D), S >= 0"""
    keys_HSD = np.concatenate([keys_HSD, k_H1D], axis=1)
    values_HSD = np.concatenate([values_HSD, v_H1D], axis=1)
    score_H1S = scores(q_H1D, keys_HSD)
    e_H1S = np.exp(score_H1S - score_H1S.max(axis=2, keepdims=True))
    return e_H1S / e_H1S.sum(axis=2, keepdims=True) @ values_HSD, keys_HSD, values_HSD


def cases(rng):
    for H, S, D in ((1, 2, 3), (2, 0, 2), (2, 3, 2)):
        q, k, v = rng.normal(size=(3, H, 1, D))
        keys, values = rng.normal(size=(2, H, S, D))
        yield {"q_H1D": q, "k_H1D": k, "v_H1D": v, "keys_HSD": keys, "values_HSD": values}


FAULTS = {
    "the new position does not read itself":
        {"    return ": "    e_H1S[:, :, -1] = 0\n    return "},
    "the new key and value come first in the cache":
        {"[keys_HSD, k_H1D]": "[k_H1D, keys_HSD]", "[values_HSD, v_H1D]": "[v_H1D, values_HSD]"},
    "the new key and value are not returned in the cache":
        {", keys_HSD, values_HSD\n": ", keys_HSD[:, :-1], values_HSD[:, :-1]\n"},
    "the query reads the old keys and values only: append the new ones first":
        {" - score_H1S.max(axis=2, keepdims=True)": "",
         "scores(q_H1D, keys_HSD)": "scores(q_H1D, keys_HSD[:, :-1])",
         "@ values_HSD,": "@ values_HSD[:, :-1],"},
    "new keys are joined along the axis of heads; positions are axis 1":
        {"[keys_HSD, k_H1D], axis=1": "[keys_HSD, k_H1D], axis=0",
         "[values_HSD, v_H1D], axis=1": "[values_HSD, v_H1D], axis=0"},
    "the weights are not divided by their sum": {" / e_H1S.sum(axis=2, keepdims=True)": ""},
    "the scores are not divided by sqrt(D)":
        {"scores(q_H1D, keys_HSD)": "q_H1D @ keys_HSD.swapaxes(1, 2)"},
}
