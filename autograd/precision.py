"""The precision of matrix products: a setting of the process, for float32 arrays.

"bfloat16" rounds the operands of each product to 8 bits of precision, and multiplies and adds them
in float32 (`autograd.kernels.bf16.matmul`). Weights, activations and gradients stay float32. An op
reads the setting in its forward, and its backward uses the same. Products of float64 arrays, on
which gradients are checked, are float64 always.
"""

import warnings
from contextlib import contextmanager

import numpy as np

from autograd import backend

PRECISIONS = ("float32", "bfloat16")
_setting = {"precision": "float32"}


def set_matmul_precision(precision):
    """Compute products of float32 arrays in "float32" (the default) or "bfloat16" from now on.

    Warns where bfloat16 is slower than float32: the processor has no instructions for it. Raises
    ValueError for any other name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"matmul precision {precision!r} is unknown; use one of: {PRECISIONS}")
    if precision == "bfloat16" and not backend.bf16.MULTIPLIES_BFLOAT16:
        warnings.warn(
            "this processor has no instructions for bfloat16: products take longer than in "
            "float32, with the results of other processors; float32 is the faster setting here",
            RuntimeWarning,
            stacklevel=2,
        )
    _setting["precision"] = precision


def matmul_precision():
    """Return the precision that `set_matmul_precision` has set."""
    return _setting["precision"]


@contextmanager
def using_matmul_precision(precision):
    """Set the precision inside `with using_matmul_precision("bfloat16"):`, and restore it."""
    before = matmul_precision()
    set_matmul_precision(precision)
    try:
        yield
    finally:
        set_matmul_precision(before)


def products_for(x):
    """Return the backend of products of arrays like x: of rounded operands, or as they are."""
    rounds = x.dtype == np.float32 and matmul_precision() == "bfloat16"
    return backend.bf16 if rounds else backend
