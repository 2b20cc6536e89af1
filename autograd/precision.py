"""In which precision matrix products are computed: a setting of the process, for float32 arrays.

With "bfloat16" the operands of each product are rounded to 8 bits of precision, and multiplied and
added up in float32 (`autograd.kernels.bf16.matmul`). Weights, activations, gradients and all else
stay float32. An op reads the setting in its forward, and its backward uses the same. Products of
float64 arrays, as gradients are checked with, are float64 always.
"""

import warnings
from contextlib import contextmanager

import numpy as np

from autograd import backend

PRECISIONS = ("float32", "bfloat16")
_setting = {"precision": "float32", "warned": False}


def set_matmul_precision(precision):
    """Compute products of float32 arrays in "float32" (the default) or "bfloat16" from now on.

    Warns, once, where bfloat16 is slower than float32: the processor has no instructions for it.
    Raises ValueError for another name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"matmul precision {precision!r} is unknown; use one of: {PRECISIONS}")
    if precision == "bfloat16" and not (_setting["warned"] or backend.MULTIPLIES_BFLOAT16):
        _setting["warned"] = True
        warnings.warn(
            "this processor has no instructions for bfloat16: products take longer than in "
            "float32, with the results of other processors; float32 is the faster setting here",
            RuntimeWarning,
            stacklevel=2,
        )
    _setting["precision"] = precision


def matmul_precision():
    """The precision that `set_matmul_precision` has set."""
    return _setting["precision"]


@contextmanager
def using_matmul_precision(precision):
    """`with using_matmul_precision("bfloat16"):` the setting inside; the one before is restored."""
    before = matmul_precision()
    set_matmul_precision(precision)
    try:
        yield
    finally:
        set_matmul_precision(before)


def in_bf16(x):
    """Whether a product with the array x is one of numbers rounded to bfloat16."""
    return x.dtype == np.float32 and matmul_precision() == "bfloat16"
