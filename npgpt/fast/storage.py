"""Quantised weights for generation: float32, bfloat16, or codes of 8 bits.

The codes of int8 have a scale for each output. Those of q8 have one for each output and GROUP
inputs, and an offset, and so hold the weights of a quantised GGUF file exactly, those of Q4_1 two
in a byte: a `StoredWeight` takes no memory of its own.

A token reads every weight once, so fewer bytes make generation faster. Rounding changes the model a
little. To make the change measurable, `use_storage` rounds the model's own float32 weights, so that
its loss is the loss of the rounded model; `Decoder` stores the same values in fewer bytes. The
matrices of the blocks and the output layer (and a tied embedding) are rounded; norms, biases and
positions are not.
"""

import numpy as np

from autograd import Tensor
from npgpt.config import unhandled
from npgpt.gpt import GPT
from npgpt.models.llama import Llama

DTYPES = {"fp32": np.float32, "bf16": np.uint16, "int8": np.int8, "q8": np.int8}
GROUP = 32  # as in `autograd.kernels.decode`, which the NumPy backend does not load
STORAGE_FORMATS = tuple(DTYPES)
PLAIN = "plain"  # no compiled generation
BOTH = {"vocab_size", "block_size", "n_layer", "n_head", "n_embd", "tie_weights"}
HANDLED = {  # what `npgpt.fast.decoder` computes; with another setting a model takes the plain path
    GPT: BOTH | {"bias"}, Llama: BOTH | {"n_kv_head", "n_inner", "rope_base", "norm_eps"},
}
PRODUCTS = {  # the matrices of a block, of which the decoder multiplies those of a row at once
    GPT: (("attn.c_attn",), ("attn.c_proj",), ("mlp.c_fc",), ("mlp.c_proj",)),
    Llama: (("attn.q", "attn.k", "attn.v"), ("attn.o",), ("mlp.gate", "mlp.up"), ("mlp.c_proj",)),
}
COMPILED = 20_000_000  # parameters from which it saves more than compiling and copying cost


def use_storage(model, kind):
    """Round a model's weights in place to values that `kind` can store; return the model.

    kind   one of STORAGE_FORMATS, PLAIN, or None: fp32 for a large model, else PLAIN

    It then generates with the compiled decoder, unless `kind` is PLAIN. Raises ValueError for an
    unknown kind, and for a model that has float32 weights only.
    """
    kind = kind or ("fp32" if model.num_parameters() >= COMPILED else PLAIN)
    known, name = (*STORAGE_FORMATS, PLAIN), type(model).__name__
    if kind not in known:
        raise ValueError(f"weights={kind!r} is unknown; use one of: {', '.join(known)}")
    if kind not in ("fp32", PLAIN):
        if not decodes(model):
            raise ValueError(f"weights={kind!r} is for a GPT or a Llama with settings that the "
                             f"compiled decoder knows; this {name} has float32: use fp32")
        if kind not in formats(model):
            raise ValueError(f"weights={kind!r} has a scale for each {GROUP} inputs, and this "
                             f"{name} has layers with a number of inputs in between; use int8")
        for name, weight in model.parameters().items():
            if is_matrix(model, name) and not isinstance(weight, StoredWeight):
                weight_OI = weight.data if name == "wte.weight" else weight.data.T
                for o in range(0, len(weight_OI), 64):  # intermediate results fit in the cache
                    weight_OI[o : o + 64] = restored(*stored(weight_OI[o : o + 64], kind))
    model.storage = kind if kind != PLAIN and decodes(model) else None
    return model


class StoredWeight(Tensor):
    """A weight that stays in its file as codes of q8: float32 each time that it is read.

    held   its matrix, a `npgpt.loading.gguf.Packed`
    """

    __slots__ = ("held",)

    def __init__(self, held):
        self.held, self.requires_grad, self.grad = held, False, None
        self.node, self.output_index, self.version = None, 0, [0]

    shape, size = property(lambda x: x.held.shape), property(lambda x: x.held.size)
    dtype, ndim = property(lambda x: x.held.dtype), property(lambda x: x.held.ndim)

    @property
    def data(self):
        array = np.ascontiguousarray(self.held)
        array.flags.writeable = False  # what is written there would be lost
        return array

    def __reduce__(self):  # to copy and pickle
        return StoredWeight, (self.held,)


def decodes(model):
    """Return whether the compiled decoder knows this model's class, GPT or Llama and no subclass of
    them, and its settings.
    """
    return type(model) in HANDLED and not unhandled(model.config, HANDLED[type(model)])


def formats(model):
    """Return the storage formats that a model's matrices can have; none if it is not decoded."""
    if not decodes(model):
        return ()
    grouped = all(
        weight.shape[name == "wte.weight"] % GROUP == 0
        for name, weight in model.parameters().items() if is_matrix(model, name)
    )
    return tuple(kind for kind in STORAGE_FORMATS if grouped or kind != "q8")


def is_matrix(model, name):
    """Return whether the parameter of this name is a matrix that generation multiplies with."""
    matrices = {f"{part}.weight" for row in PRODUCTS[type(model)] for part in row}
    return name in ("wte.weight", "lm_head.weight") or ".".join(name.split(".")[2:]) in matrices


def stored(weight_OI, kind):
    """Return (the stored array (O, I), its scales) of a weight.

    Scales are (O,) in float32; of q8 (O, I / GROUP, 2) in float16, each with an offset.
    """
    ones_O = np.ones(len(weight_OI), np.float32)
    if kind == "fp32":
        return weight_OI, ones_O
    weight_OI = np.ascontiguousarray(weight_OI)
    if kind == "bf16":
        bits = weight_OI.view(np.uint32)
        even = (bits >> 16) & 1  # round to nearest, ties to even
        return ((bits + (0x7FFF + even)) >> 16).astype(np.uint16), ones_O
    if kind == "int8":
        return _codes(weight_OI, np.float32)
    codes, scale = _codes(weight_OI.reshape(-1, GROUP), np.float16)
    scales = np.stack([scale, np.zeros_like(scale)], axis=1)
    return codes.reshape(weight_OI.shape), scales.reshape(len(weight_OI), -1, 2)


def _codes(weight_RI, dtype):
    """Return codes in int8 and a scale for each row: the largest weight has the code 127."""
    scale_R = (np.abs(weight_RI).max(axis=1) / np.float32(127)).astype(dtype)
    scale_R[scale_R == 0] = 1  # for rows of zeros and of the smallest subnormals
    codes = np.rint(weight_RI / scale_R[:, None].astype(np.float32))
    return codes.clip(-127, 127).astype(np.int8), scale_R


def fill_panels(panels_PIW, weight_OI, kind, given=None):
    """Store a weight as (panels, I, width) for `autograd.kernels.decode`; with half as many rows,
    two codes of a group in each byte.

    given   scales and offsets, (O, I / GROUP, 2), if the weight is codes already

    The last panel is padded with zeros. Return scales for each output (P * width,), and None or
    scales and offsets of groups, (panels, I / GROUP, 2, width) in float16.
    """
    (P, depth, width), I = panels_PIW.shape, weight_OI.shape[1]  # noqa: E741
    scale_O = np.ones(P * width, np.float32)
    groups_PG2W = np.zeros((P, I // GROUP, 2, width), np.float16) if kind == "q8" else None
    for p in range(P):
        part_OI = weight_OI[p * width : (p + 1) * width]
        array, scales = part_OI, None if given is None else given[p * width : (p + 1) * width]
        if given is None:
            array, scales = stored(part_OI, kind)
        rows_IW = array.T if depth == I else _in_half_bytes(array.T)
        panels_PIW[p, :, : len(array)], panels_PIW[p, :, len(array) :] = rows_IW, 0
        if groups_PG2W is None:
            scale_O[p * width : p * width + len(array)] = scales
        else:
            groups_PG2W[p, :, :, : len(array)] = scales.transpose(1, 2, 0)
    return scale_O, groups_PG2W


def _in_half_bytes(codes_IW):
    """Return codes (I / 2, W): a byte has those of the inputs i and, above, i + GROUP / 2."""
    low, high = codes_IW.reshape(-1, 2, GROUP // 2, codes_IW.shape[1]).swapaxes(0, 1)
    return (low | high << 4).reshape(-1, codes_IW.shape[1])


def restored(array, scales):
    """Return a stored array as float32 (O, I)."""
    if array.dtype == np.uint16:
        return (array.astype(np.uint32) << 16).view(np.float32)
    if scales.ndim == 1:
        return array.astype(np.float32) * scales[:, None]
    codes_OGI = array.reshape(*scales.shape[:2], GROUP).astype(np.float32)
    scale, offset = np.split(scales.astype(np.float32), 2, axis=2)
    return (codes_OGI * scale + offset).reshape(array.shape)
