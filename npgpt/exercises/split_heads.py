"""From channels to heads."""

SECTION = "Attention Mechanism"
TASK = """
The C channels of a position are the heads side by side: the first D of them are head 0, the next
D are head 1, and so on. Attention needs separate heads, as (B, H, T, D). Split them.
"""
RETURNS = ("heads",)
WHERE = "npgpt.gpt.CausalSelfAttention.heads"
HINTS = (
    "Two steps: C becomes two axes, then axes change places.",
    "A reshape keeps the order of entries: (B, T, C) can become (B, T, H, D), not (B, H, T, D).",
    "x.reshape(B, T, H, C // H), and then swap axes 1 and 2.",
)


def split_heads(x_BTC, H):
    """Return (B, H, T, D) with D = C / H.    x (B, T, C)"""
    B, T, C = x_BTC.shape
    return x_BTC.reshape(B, T, H, C // H).swapaxes(1, 2)


def cases(rng):
    yield {"x_BTC": rng.permutation(12.0 + rng.random(12)).reshape(1, 3, 4), "H": 2}
    yield {"x_BTC": rng.normal(size=(2, 3, 6)), "H": 3}


FAULTS = {
    "it is reshaped at once, which mixes positions up with heads": lambda x_BTC, H:
        x_BTC.reshape(len(x_BTC), H, x_BTC.shape[1], -1),
    "a head takes every H-th channel, and not D neighbours": lambda x_BTC, H:
        x_BTC.reshape(*x_BTC.shape[:2], -1, H).transpose(0, 3, 1, 2),
    "the axes of heads and positions are not swapped": lambda x_BTC, H:
        x_BTC.reshape(*x_BTC.shape[:2], H, -1),
    "the last two axes are swapped, too": lambda x_BTC, H:
        split_heads(x_BTC, H).swapaxes(2, 3),
    "the heads are in the opposite order": lambda x_BTC, H: split_heads(x_BTC, H)[:, ::-1],
    "positions are in the opposite order": lambda x_BTC, H: split_heads(x_BTC, H)[:, :, ::-1],
}
