"""How attention begins in a model that finds what is hidden: heads look at neighbours.

A hidden token says nothing but where it is. Before heads find its neighbours, such a model can
learn no more than how often each token occurs, and most of a short training would go by. So the
initial weights make heads look a step or more away; they are trained as all others.
"""

import numpy as np

from npgpt.gpt import INIT_STD

# How many times the initial token embeddings the positions are, and the score, where nothing else
# is, between a query and the key that it looks for.
WAVES, PEAK = 2.0, 15.0
BIAS = 9.0  # the same where a bias of scores says how far away a key is
# Radians a position of the fastest wave, which tells neighbours apart; the slowest has a 30th.
FASTEST, RANGE = 2.5, 30.0


def neighbours(n_head, causal=False):
    """How far ahead each head looks: -1, 1, -2, 2, ... or, if causal, -1, -2, -3, ..."""
    return [-h - 1 if causal else (-1) ** (h + 1) * (h // 2 + 1) for h in range(n_head)]


def waves(T, C):
    """Sines, then cosines, of the positions, (T, C), of mean square 1.

    Then to go ahead is to turn each pair of them by an angle. Source: Vaswani et al., Attention Is
    All You Need, 2017, section 3.5.
    """
    angles = np.arange(T)[:, None] * _speeds(C)
    waves_TC = np.zeros((T, C))
    waves_TC[:, : C // 2], waves_TC[:, C // 2 : C // 2 * 2] = np.sin(angles), np.cos(angles)
    return 2**0.5 * waves_TC


def look_at_neighbours(rng, attention, D):
    """Draw queries and keys of an `Attention` with heads of D channels, for positions as `waves`.

    The heads share the waves out. A key is the head's part of them; the query at t is the same,
    turned ahead: it agrees most with the key whose position is so far ahead of t. Random weights
    are added to both.
    """
    H, C = attention.n_head, len(attention.k.weight.data)
    keys_CHD = np.zeros((C, H, D))
    half, wave = C // 2, np.arange(H * (D // 2))
    head, d = wave % H, wave // H
    keys_CHD[wave, head, d] = keys_CHD[half + wave, head, D // 2 + d] = (PEAK / D**0.5) ** 0.5
    queries_CHD = keys_CHD.copy()
    for h, ahead in enumerate(neighbours(H)):
        turn = ahead * _speeds(C)[:, None]
        sine, cosine = keys_CHD[:half, h], keys_CHD[half : 2 * half, h]
        queries_CHD[:half, h] = sine * np.cos(turn) - cosine * np.sin(turn)
        queries_CHD[half : 2 * half, h] = sine * np.sin(turn) + cosine * np.cos(turn)
    for part, weights_CHD in ((attention.q, queries_CHD), (attention.k, keys_CHD)):
        random_CHD = INIT_STD * rng.standard_normal((C, H, D))
        part.weight.data[...] = (weights_CHD + random_CHD).reshape(C, H * D)


def _speeds(C):
    """Radians a position, of C // 2 waves."""
    return FASTEST * RANGE ** (-np.arange(C // 2) / max(1, C // 2))
