"""The choice of backend: the Numba kernels, or the reference implementation that tests them.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so importing autograd compiles and loads nothing.
"""

import ctypes
import inspect
import os
import sys
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


def _prepare_for_kernels():
    """Set how a waiting thread waits, and let freed memory be used again.

    A thread of OpenMP that waits for work spins, by default for milliseconds: with another program
    on the same cores a training step takes 20 to 50 times as long. 5,000 spins, some microseconds,
    still bridge the gap between two kernels. GOMP_SPINCOUNT in the environment has precedence.

    By default the C library returns large arrays to the system, which clears each page before it
    hands it out again: a tenth of the time of a training step. So up to 1 GB of freed memory
    stays on the heap, because an array with a mapping of its own is always returned.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_MAX, 0)


if os.environ.get("AUTOGRAD_BACKEND") != "numpy":
    _prepare_for_kernels()


def __getattr__(attribute):
    """Return the backend's `name`, or its function of this name, and keep it as a global.

    Raises ValueError for an unknown backend: here and not at import, so that a program can report
    it in its own way.
    """
    if attribute.startswith("__"):
        raise AttributeError(attribute)
    globals()[attribute] = _name() if attribute == "name" else getattr(_module(_name()), attribute)
    return globals()[attribute]


@contextmanager
def using(name):
    """Compute with the backend "numba" or "numpy", whatever the environment says."""
    from autograd import reference

    module, own = _module(name), globals()
    names = [n for n, f in vars(reference).items() if inspect.isfunction(f) and n[0] != "_"]
    before = {n: own[n] for n in names if n in own}
    own.update((n, getattr(module, n)) for n in names)
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


def _module(name):
    if name == "numba":
        from autograd import kernels as module
    else:
        from autograd import reference as module
    return module
