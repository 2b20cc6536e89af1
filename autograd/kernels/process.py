"""Settings of the process that kernels need; they are made when the first kernel is called."""

import ctypes
import os
import sys


def prepare():
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
