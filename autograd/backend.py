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

if os.environ.get("AUTOGRAD_BACKEND") != "numpy":
    process.prepare_for_kernels()


def __getattr__(attribute):
    """`name`, of the backend, or its function of this name; kept here for the next time.

    Raises ValueError for an unknown backend: here and not at the import, so that a program can say
    it in its own way.
    """
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    globals()[attribute] = _name() if attribute == "name" else getattr(_module(), attribute)
    return globals()[attribute]


def _name():
    name = os.environ.get("AUTOGRAD_BACKEND", "numba")
    if name not in ("numba", "numpy"):
        raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: numba, numpy")
    return name


def _module():
    if _name() == "numba":
        from autograd import kernels as module
    else:
        from autograd import reference as module
    return module
