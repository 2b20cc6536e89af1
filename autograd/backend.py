"""The choice of backend: the Numba kernels, or the reference implementation that tests them.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so importing autograd compiles, loads and changes nothing.
`backend.bf16` has the functions that multiply once more, on operands rounded to bfloat16.
"""

import inspect
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # what `__getattr__` finds, for editors to jump to
    from autograd.reference import (  # noqa: F401, I001
        adamw_, add_matmul_tn_, attention, attention_backward, cross_entropy,
        cross_entropy_backward, dropout, embedding, embedding_backward_, gelu, gelu_backward,
        gelu_exact, gelu_exact_backward, layer_norm, layer_norm_backward, linear, linear_backward,
        log_softmax, log_softmax_backward, matmul, matmul_nt, matmul_tn, rms_norm,
        rms_norm_backward, rotary, silu, silu_backward, softmax, softmax_backward, sum_of_squares,
    )


def __getattr__(attribute):
    """Return the backend's `name`, its function of this name or `bf16`, and keep it as a global.

    Raises ValueError for an unknown backend: here and not at import, so that a program can report
    it in its own way.
    """
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    globals()[attribute] = _name() if attribute == "name" else _part(_name(), attribute)
    return globals()[attribute]


@contextmanager
def using(name):
    """Compute with the backend "numba" or "numpy", whatever the environment says."""
    from autograd import reference

    own, functions = globals(), inspect.getmembers(reference, inspect.isfunction)
    names = ["bf16", *(n for n, _ in functions if n[0] != "_")]
    before = {n: own[n] for n in names if n in own}
    own.update((n, _part(name, n)) for n in names)
    try:
        yield
    finally:
        for n in names:
            del own[n]
        own.update(before)


def _name():
    name = os.environ.get("AUTOGRAD_BACKEND", "numba")
    if name not in ("numba", "numpy"):
        raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: numba, numpy")
    return name


def _part(name, attribute):
    if attribute == "bf16":
        return _module_of_bf16(name)
    if name == "numba":
        from autograd import kernels as module
    else:
        from autograd import reference as module
    return getattr(module, attribute)


def _module_of_bf16(name):
    if name == "numba":
        from autograd.kernels import bf16
    else:
        from autograd import reference_bf16 as bf16
    return bf16
