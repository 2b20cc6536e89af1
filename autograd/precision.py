"""The precision of matrix products: a setting of the thread, for float32 arrays.

"bfloat16" rounds the operands of each product to 8 bits of precision, and multiplies and adds them
in float32 (`autograd.kernels.bf16.matmul`). Weights, activations and gradients stay float32. An op
reads the setting in its forward, and its backward uses the same. Products of float64 arrays, on
which gradients are checked, are float64 always.
"""

import functools
import time
import warnings
from contextlib import contextmanager
from contextvars import ContextVar

import numpy as np

from autograd import backend

PRECISIONS = ("float32", "bfloat16")
SIDE, SECONDS = 512, 0.02  # of the matrices that are multiplied to compare both; how long
_setting = ContextVar("precision", default="float32")


def set_matmul_precision(precision):
    """Compute products of float32 arrays in "float32" (the default) or "bfloat16" from now on, in
    this thread: another one, also one that it starts, has the default.

    Warns where a product in bfloat16, measured at the first use, is no faster than in float32: the
    processor may have no instruction for it, or one of half the rate. Raises ValueError for any
    other name.
    """
    if precision not in PRECISIONS:
        raise ValueError(f"matmul precision {precision!r} is unknown; use one of: {PRECISIONS}")
    if precision == "bfloat16" and backend.name == "numba" and (times := bfloat16_time()) >= 1:
        warnings.warn(
            f"products in bfloat16 take {times:.2f} times as long as in float32 on this processor; "
            "float32 is the faster setting here",
            RuntimeWarning,
            stacklevel=2,
        )
    _setting.set(precision)


@functools.cache
def bfloat16_time():
    """Return how many times as long a product takes in bfloat16 as in float32, on this machine.

    By the clock of the process: other programs would make either look slow.
    """
    x = np.ones((1, SIDE, SIDE), np.float32)
    kinds = backend.bf16.matmul, backend.matmul
    fastest = [_seconds(product, x) for product in kinds for _ in range(2)][1::2]  # compiled first
    end = time.process_time() + SECONDS
    while time.process_time() < end:
        fastest = list(map(min, fastest, [_seconds(product, x) for product in kinds]))
    return fastest[0] / fastest[1]


def _seconds(product, x):
    start = time.process_time()
    product(x, x)
    return time.process_time() - start


def matmul_precision():
    """Return the precision that `set_matmul_precision` has set."""
    return _setting.get()


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
