"""Who computes: the Numba kernels, or the NumPy twins they are checked against.

`AUTOGRAD_BACKEND=numba` (the default) takes `autograd.kernels`: compiled, parallel, fast.
`AUTOGRAD_BACKEND=numpy` takes `autograd.reference`: slow, and readable in a debugger.
Both have the same functions with the same signatures. Ops write `backend.softmax(rows)`; the
module is imported at the first use, so that importing autograd compiles and loads nothing.
"""

import importlib
import os

# A thread of OpenMP that waits for its next piece of work spins, by default for milliseconds. With
# another program on the same cores that slows a training step by a factor of 20 to 50; this many
# turns, some microseconds, still bridge the gap from one kernel to the next.
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

MODULES = {"numba": "autograd.kernels", "numpy": "autograd.reference"}

name = os.environ.get("AUTOGRAD_BACKEND", "numba")
if name not in MODULES:
    raise ValueError(f"AUTOGRAD_BACKEND={name!r} is unknown; use one of: {', '.join(MODULES)}")


def __getattr__(function):
    """Look up a kernel by name, and keep it here for the next time."""
    if function.startswith("__"):
        raise AttributeError(function)
    found = getattr(importlib.import_module(MODULES[name]), function)
    globals()[function] = found
    return found
