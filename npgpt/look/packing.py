"""Weights in base64 with 16 or 8 bits each, and the rounded values that they stand for.

    fp16   each weight rounded to float16
    int8   each row of a matrix as integers from -127 to 127, with a scale for the row

Vectors, which are few, stay in float32.
"""

import base64

import numpy as np

from npgpt.fast.storage import stored

STORAGE_FORMATS = ("fp16", "int8")


def base64_of(array, dtype):
    """Return the bytes of an array, little-endian, as base64."""
    little = np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<"))
    return base64.b64encode(little.tobytes()).decode("ascii")


def pack(weights, kind):
    """Return two dicts by name: the array as an object for JSON, and the values as the page reads
    them, in float64.

    weights   name -> array
    kind      one of STORAGE_FORMATS. Raises ValueError for fp16 if a weight is too large for it.
    """
    packed, values = {}, {}
    for name, array in weights.items():
        packed[name], values[name] = _packed(name, array, kind if array.ndim == 2 else "fp32")
        packed[name]["shape"] = array.shape
    return packed, values


def _packed(name, array, kind):
    if kind == "int8":
        rounded, scale_R = stored(array, kind)
        text = {"data": base64_of(rounded, "i1"), "scale": base64_of(scale_R, "f4")}
        return {"kind": kind} | text, rounded * scale_R.astype(np.float64)[:, None]
    dtype = {"fp16": "f2", "fp32": "f4"}[kind]
    with np.errstate(over="ignore"):
        rounded = array.astype(dtype)
    if not np.isfinite(rounded).all():
        raise ValueError(f"{name} has weights above 65,504, too large for fp16: use --weights int8")
    return {"kind": kind, "data": base64_of(rounded, dtype)}, rounded.astype(np.float64)
