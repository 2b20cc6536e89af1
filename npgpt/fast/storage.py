"""Quantised weights for generation: float32, bfloat16, or int8 with a scale for each output.

A token reads every weight once, so fewer bytes make generation faster. Rounding changes the model a
little. To make the change measurable, `use_storage` rounds the model's own float32 weights, so that
its loss is the loss of the rounded model; `Decoder` stores the same values in fewer bytes. The
matrices of the blocks and the output layer (and a tied embedding) are rounded; norms, biases and
positions are not.
"""

import numpy as np

from npgpt.gpt import GPT

DTYPES = {"fp32": np.float32, "bf16": np.uint16, "int8": np.int8}
STORAGE_FORMATS = tuple(DTYPES)
PLAIN = "plain"  # no compiled generation
COMPILED = 20_000_000  # parameters from which it saves more than compiling and copying cost


def use_storage(model, kind):
    """Round a GPT's weights in place to values that `kind` can store; return the model.

    kind   one of STORAGE_FORMATS, PLAIN, or None: fp32 for a large model, else PLAIN

    It then generates with the compiled decoder, unless `kind` is PLAIN. Raises ValueError for an
    unknown kind, and for a model that has float32 weights only.
    """
    kind = kind or ("fp32" if model.num_parameters() >= COMPILED else PLAIN)
    if kind not in (formats := (*STORAGE_FORMATS, PLAIN)):
        raise ValueError(f"weights={kind!r} is unknown; use one of: {', '.join(formats)}")
    if kind not in ("fp32", PLAIN):
        if not decodes(model):
            raise ValueError(
                f"weights={kind!r} is for a GPT; a {type(model).__name__} has float32: use fp32"
            )
        for name, weight in model.parameters().items():
            if is_matrix(name):
                weight_OI = weight.data if name == "wte.weight" else weight.data.T
                for o in range(0, len(weight_OI), 64):  # intermediate results fit in the cache
                    weight_OI[o : o + 64] = restored(*stored(weight_OI[o : o + 64], kind))
    model.storage = kind if kind != PLAIN and decodes(model) else None
    return model


def decodes(model):
    """Return whether the compiled decoder knows this model: a GPT itself, no subclass of it."""
    return type(model) is GPT


def is_matrix(name):
    """Return whether a GPT's parameter of this name is a matrix that generation multiplies with."""
    return name in ("wte.weight", "lm_head.weight") or (
        name.endswith(".weight") and name.split(".")[-2].startswith("c_")
    )


def stored(weight_OI, kind):
    """Return (the stored array (O, I), float32 scales (O,)) of a weight."""
    scale_O = np.ones(len(weight_OI), np.float32)
    if kind == "fp32":
        return weight_OI, scale_O
    weight_OI = np.ascontiguousarray(weight_OI)
    if kind == "bf16":
        bits = weight_OI.view(np.uint32)
        even = (bits >> 16) & 1  # round to nearest, ties to even
        return ((bits + (0x7FFF + even)) >> 16).astype(np.uint16), scale_O
    scale_O = np.abs(weight_OI).max(axis=1) / np.float32(127)
    scale_O[scale_O == 0] = 1  # for rows of zeros and of the smallest subnormals
    return np.rint(weight_OI / scale_O[:, None]).clip(-127, 127).astype(np.int8), scale_O


def fill_panels(panels_PIW, weight_OI, kind):
    """Store a weight as (panels, I, width) for `autograd.kernels.decode`; return its scales (O,).

    The last panel is padded with zeros.
    """
    width, scale_O = panels_PIW.shape[2], np.empty(len(weight_OI), np.float32)
    for panel_IW, first in zip(panels_PIW, range(0, len(weight_OI), width), strict=True):
        rows = slice(first, first + width)
        array, scale_O[rows] = stored(weight_OI[rows], kind)
        panel_IW[:, : len(array)], panel_IW[:, len(array) :] = array.T, 0
    return scale_O


def restored(array, scale_O):
    """Return a stored array as float32 (O, I)."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(np.float32) * scale_O[:, None]
