"""The choice of backend: the Numba kernels, or the reference implementation that tests them.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so importing autograd compiles, loads and changes nothing.
`backend.bf16` has the functions that multiply once more, on operands rounded to bfloat16.
"""

import functools
import os
from contextlib import contextmanager
from contextvars import ContextVar

_used = ContextVar("backend", default=None)


def __getattr__(attribute):
    """Return the `name` of this thread's backend, its function of this name or `bf16`.

    Raises ValueError for an unknown backend: here and not at import, so that a program can report
    it in its own way.
    """
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    name = _used.get() or _name()
    return name if attribute == "name" else _part(name, attribute)


@contextmanager
def using(name):
    """Compute in this thread with "numba" or "numpy", whatever the environment says."""
    token = _used.set(name)
    try:
        yield
    finally:
        _used.reset(token)


@functools.cache
def _name():
    name = os.environ.get("AUTOGRAD_BACKEND", "numba")
    if name not in ("numba", "numpy"):
        raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: numba, numpy")
    return name


@functools.cache
def _part(name, attribute):
    if attribute == "bf16":
        if name == "numba":
            from autograd.kernels.bf16 import products as bf16
        else:
            from autograd import reference_bf16 as bf16
        return bf16
    if name == "numba":
        from autograd import kernels as module
    else:
        from autograd import reference as module
    return getattr(module, attribute)
