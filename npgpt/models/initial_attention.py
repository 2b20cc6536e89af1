"""Initial attention weights of models that predict hidden tokens: heads attend to neighbours.

A hidden token carries no information but its position. Until heads find its neighbours, the model
learns only token frequencies, and a short training would be spent on that. Initial weights
therefore make heads attend one or more positions away. They are trained like all others.
"""

import numpy as np

# The size of positions relative to initial token embeddings, and the score between a query and the
# key at its target position.
WAVES, PEAK = 2.0, 15.0
BIAS = 9.0  # this score in a model with relative position biases
# Radians per position of the fastest wave, which separates neighbours; its ratio to the slowest.
FASTEST, RANGE = 2.5, 30.0


def neighbours(n_head, causal=False):
    """Return each head's target offset: -1, 1, -2, 2, ... or, if causal, -1, -2, -3, ..."""
    return [-h - 1 if causal else (-1) ** (h + 1) * (h // 2 + 1) for h in range(n_head)]


def waves(T, C):
    """Return sines, then cosines, of the positions, (T, C), with mean square 1.

    An offset in position rotates each pair (sine, cosine) by a fixed angle. Source: Vaswani et al.,
    Attention Is All You Need, 2017, section 3.5.
    """
    angles = np.arange(T)[:, None] * _speeds(C)
    waves_TC = np.zeros((T, C))
    waves_TC[:, : C // 2], waves_TC[:, C // 2 : C // 2 * 2] = np.sin(angles), np.cos(angles)
    return 2**0.5 * waves_TC


def look_at_neighbours(rng, attention, D, std):
    """Draw queries and keys of an `Attention` with heads of D channels, for positions as `waves`.

    Each head gets a part of the waves. Its key is this part; its query at t is the same part
    rotated by the head's offset, so that it matches best the key at t + offset. Random weights of
    deviation `std` are added to both.
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
        random_CHD = std * rng.standard_normal((C, H, D))
        part.weight.data[...] = (weights_CHD + random_CHD).reshape(C, H * D)


def _speeds(C):
    """Return the radians per position of each of C // 2 waves."""
    return FASTEST * RANGE ** (-np.arange(C // 2) / max(1, C // 2))
