"""Who computes: the Numba kernels, or the NumPy twins they are checked against.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so that importing autograd compiles and loads nothing. Two
settings of the whole process are made here for the kernels, since they have to be made before
anything is loaded: how long waiting threads spin (GOMP_SPINCOUNT in the environment comes first),
and how much freed memory is kept.
"""

import ctypes
import importlib
import os
import sys


def _keep_freed_memory():
    """Let the C library keep up to 1 GB of freed memory for the next arrays, where it can be told.

    By default it gives large arrays back to the system at once, and the system clears every page
    before it hands it out again: in a training step, which makes and frees the same arrays again
    and again, a tenth of the time. For that no array may be a mapping of its own, which it is by
    default from some size on; only memory at the end of the heap can then go back.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of malloc.h
        mallopt(M_TRIM_THRESHOLD, 1 << 30)
        mallopt(M_MMAP_MAX, 0)


MODULES = {"numba": "autograd.kernels", "numpy": "autograd.reference"}

name = os.environ.get("AUTOGRAD_BACKEND", "numba")
if name not in MODULES:
    raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: {', '.join(MODULES)}")
if name == "numba":
    # A thread of OpenMP that waits for its next piece of work spins, by default for milliseconds.
    # With another program on the same cores that slows a training step by a factor of 20 to 50;
    # this many turns, some microseconds, still bridge the gap from one kernel to the next.
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    _keep_freed_memory()


def __getattr__(function):
    """Look up a kernel by name, and keep it here for the next time."""
    if function.startswith("__"):
        raise AttributeError(function)
    found = getattr(importlib.import_module(MODULES[name]), function)
    globals()[function] = found
    return found
