"""Who computes: the Numba kernels, or the reference implementation they are checked against.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so that importing autograd compiles and loads nothing.
"""

import os
from typing import TYPE_CHECKING

from autograd import process

if TYPE_CHECKING:  # what `__getattr__` finds, for editors to jump to
    from autograd.reference import (  # noqa: F401
        adamw_,
        add_matmul_tn_,
        attention,
        attention_backward,
        attention_masked,
        attention_masked_backward,
        cross_entropy,
        cross_entropy_backward,
        dropout,
        embedding,
        embedding_backward_,
        gelu,
        gelu_backward,
        gelu_exact,
        gelu_exact_backward,
        layer_norm,
        layer_norm_backward,
        linear,
        linear_backward,
        log_softmax,
        log_softmax_backward,
        matmul,
        matmul_nt,
        matmul_tn,
        rms_norm,
        rms_norm_backward,
        rotary,
        silu,
        silu_backward,
        softmax,
        softmax_backward,
        sum_of_squares,
    )

name = os.environ.get("AUTOGRAD_BACKEND", "numba")
if name not in ("numba", "numpy"):
    raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: numba, numpy")
if name == "numba":
    process.prepare_for_kernels()


def __getattr__(function):
    """The function of this name, kept here for the next time."""
    if function.startswith("__"):
        raise AttributeError(function)
    if name == "numba":
        from autograd import kernels as module
    else:
        from autograd import reference as module
    globals()[function] = getattr(module, function)
    return globals()[function]
