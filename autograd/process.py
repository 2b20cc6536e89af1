"""Settings of the whole process for the kernels' sake, made before anything is loaded."""

import ctypes
import os
import sys


def prepare_for_kernels():
    """What waiting threads do, and what becomes of freed memory.

    A thread of OpenMP that waits for work spins, by default for milliseconds. With another program
    on the same cores that slows a training step by a factor of 20 to 50; this many turns, some
    microseconds, still bridge the gap from one kernel to the next. GOMP_SPINCOUNT in the
    environment comes first.
    """
    os.environ.setdefault("GOMP_SPINCOUNT", "5000")
    _keep_freed_memory()


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
