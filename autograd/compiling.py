"""The listener that is notified of each compiled kernel, and a clock that leaves compiling out.

It is apart from the compiler, which takes long to import.
"""

import time
from contextlib import contextmanager, nullcontext

# A function of a kernel's name and its folder of compiled code, or None; it returns a context
# manager, which is open while the kernel is compiled.
listener = None
_compiling = [0.0]  # seconds so far


def stopwatch():
    """Return seconds, for differences: of a clock that stands still while kernels are compiled."""
    return time.perf_counter() - _compiling[0]


@contextmanager
def notified(kernel, folder):
    """While open, let the listener know that a kernel is compiled, and stop the clock."""
    started = stopwatch()
    try:
        with listener(kernel, folder) if listener else nullcontext():
            yield
    finally:
        _compiling[0] = time.perf_counter() - started  # a kernel in a kernel is counted once
