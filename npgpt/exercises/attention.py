"""Attention: the whole forward, several heads at once."""

import numpy as np

from npgpt.exercises.causal_mask import causal_mask
from npgpt.exercises.scores import scores

TASK = """
The whole of causal attention, for H heads at once: scores; -inf where a position must not read; a
softmax over the positions s; and for each position t the average of the values, weighted by it.
Return the weights, too: backward needs them. A score can be large; e^1000 overflows.
"""
HELPERS = (causal_mask, scores)
RETURNS = "y a"
WHERE = "autograd.reference.attention"
HINTS = """
np.where(causal_mask(T), scores(q, k), -np.inf) masks all heads: the mask is broadcast.
Softmax over the last axis: subtract its largest score, e^, divide by the sum.
y = a @ v, for each head: (T, T) times (T, D).
"""


def attention(q_HTD, k_HTD, v_HTD):
    """Return y (H, T, D), weights a (H, T, T).    q, k, v (H, T, D)"""
    score_HTT = np.where(causal_mask(q_HTD.shape[1]), scores(q_HTD, k_HTD), -np.inf)
    e_HTT = np.exp(score_HTT - score_HTT.max(axis=2, keepdims=True))
    a_HTT = e_HTT / e_HTT.sum(axis=2, keepdims=True)
    return a_HTT @ v_HTD, a_HTT


def cases(rng):
    for H, T, D, scale in ((1, 3, 3, 1), (2, 4, 2, 1), (2, 2, 3, 30)):
        qkv = scale * rng.normal(size=(3, H, T, D))
        yield dict(zip(("q_HTD", "k_HTD", "v_HTD"), qkv, strict=True))


FAULTS = {
    "masked scores are 0 and not -inf, as after a product with the mask: e^0 is 1, so positions "
    "that are hidden still get weight": {"-np.inf": "0"},
    "masked scores are -1 and not -inf, so positions that are hidden still get weight":
        {"-np.inf": "-1"},
    "0 times -inf is nan: choose between a score and -inf by np.where, without a product":
        {"np.where(causal_mask(q_HTD.shape[1]), scores(q_HTD, k_HTD), -np.inf)":
         "scores(q_HTD, k_HTD) * np.where(causal_mask(q_HTD.shape[1]), 1, -np.inf)"},
    "-inf is put in after the softmax; it belongs into the scores, before it":
        {"np.where(causal_mask(q_HTD.shape[1]), scores(q_HTD, k_HTD), -np.inf)":
         "scores(q_HTD, k_HTD)",
         "return a_HTT @ v_HTD":
         "a_HTT = np.where(causal_mask(q_HTD.shape[1]), a_HTT, -np.inf)\n    return a_HTT @ v_HTD"},
    "e^z is divided by the sum of everything; each row has its own sum":
        {"e_HTT.sum(axis=2, keepdims=True)": "e_HTT.sum()"},
    "e^z is divided by the sum over t, and not over s: the rows of weights do not sum to 1":
        {"e_HTT.sum(axis=2": "e_HTT.sum(axis=1"},
    "e^z is not divided by its sum: the rows of weights do not sum to 1":
        {" / e_HTT.sum(axis=2, keepdims=True)": ""},
    "the scores are divided by sqrt(D) twice: `scores` does it already":
        {"scores(q_HTD, k_HTD)": "scores(q_HTD, k_HTD) / np.sqrt(q_HTD.shape[2])"},
    "the weights are transposed before the average: row t has what t reads":
        {"return a_HTT @": "return a_HTT.swapaxes(1, 2) @"},
    "the weights are missing: return y, a": {", a_HTT\n": "\n"},
    "nothing is masked": {"causal_mask(q_HTD.shape[1])": "True"},
    "the mask is the wrong way round":
        {"causal_mask(q_HTD.shape[1])": "~causal_mask(q_HTD.shape[1])"},
    "weights are masked after the softmax, and their rows no longer sum to 1":
        {"np.where(causal_mask(q_HTD.shape[1]), scores(q_HTD, k_HTD), -np.inf)":
         "scores(q_HTD, k_HTD)",
         "e_HTT / e_HTT.sum(axis=2, keepdims=True)":
         "e_HTT / e_HTT.sum(axis=2, keepdims=True) * causal_mask(q_HTD.shape[1])"},
    "the softmax is taken over the positions t that read, and not over those that are read":
        {"axis=2": "axis=1"},
    "the products are not divided by sqrt(D)":
        {"scores(q_HTD, k_HTD)": "q_HTD @ k_HTD.swapaxes(1, 2)"},
    "e^z overflows: subtract the largest score of each row first":
        {" - score_HTT.max(axis=2, keepdims=True)": ""},
}
