"""From channels to heads."""

TASK = """
The C channels of a position are the heads side by side: the first D of them are head 0, the next
D are head 1, and so on. Attention needs separate heads, as (B, H, T, D). Split them.
"""
RETURNS = "heads"
WHERE = "npgpt.gpt.CausalSelfAttention.heads"
HINTS = """
Two steps: C becomes two axes, then axes change places.
A reshape keeps the order of entries: (B, T, C) can become (B, T, H, D), not (B, H, T, D).
x.reshape(B, T, H, C // H), and then swap axes 1 and 2.
"""


def split_heads(x_BTC, H):
    """Return (B, H, T, D) with D = C / H.    x (B, T, C)"""
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, H, C // H).swapaxes(1, 2)


def cases(rng):
    yield {"x_BTC": rng.permutation(12.0 + rng.random(12)).reshape(1, 3, 4), "H": 2}
    yield {"x_BTC": rng.normal(size=(2, 3, 6)), "H": 3}


FAULTS = {
    "it is reshaped at once, which mixes positions up with heads":
        {"T, H, C // H).swapaxes(1, 2)": "H, T, C // H)"},
    "a head takes every H-th channel, and not D neighbours":
        {"H, C // H).swapaxes(1, 2)": "C // H, H).transpose(0, 3, 1, 2)"},
    "the axes of heads and positions are not swapped": {".swapaxes(1, 2)": ""},
    "the last two axes are swapped, too": {".swapaxes(1, 2)": ".transpose(0, 2, 3, 1)"},
    "the heads are in the opposite order": {".swapaxes(1, 2)": ".swapaxes(1, 2)[:, ::-1]"},
}
