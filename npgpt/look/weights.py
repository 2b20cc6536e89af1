"""Weights as text in a page: 16 or 8 bits each, in base64; and the model that they make.

    fp16   each weight as the nearest float16
    int8   each row of a matrix as integers from -127 to 127, times a number of its own

Vectors, which are few, stay in float32.
"""

import base64

import numpy as np

KINDS = ("fp16", "int8")


def base64_of(array, dtype):
    """The bytes of an array, little-endian, as base64."""
    little = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def pack(weights, kind):
    """(name -> JSON of the packed array, name -> float64 array of what that stands for).

    weights   name -> array
    kind      one of KINDS. Raises ValueError for fp16 if a weight is too large for it.
    """
    packed, stored = {}, {}
    for name, array in weights.items():
        packed[name], stored[name] = _packed(name, array, kind if array.ndim == 2 else "fp32")
        packed[name]["shape"] = array.shape
    return packed, stored


def _packed(name, array, kind):
    if kind == "int8":
        largest_R1 = np.abs(array).max(axis=1, keepdims=True)
        scale_R1 = (largest_R1.astype(np.float64) / 127).astype(np.float32)
        scale_R1[scale_R1 == 0] = 1  # of zeros, and of what is next to nothing
        rounded = np.rint(array / scale_R1).clip(-127, 127).astype(np.int8)
        text = {"data": base64_of(rounded, "i1"), "scale": base64_of(scale_R1, "f4")}
        return {"kind": kind} | text, rounded * scale_R1.astype(np.float64)
    dtype = {"fp16": "f2", "fp32": "f4"}[kind]
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name} has weights above 65,504, too large for fp16: use --weights int8")
    return {"kind": kind, "data": base64_of(rounded, dtype)}, rounded.astype(np.float64)
