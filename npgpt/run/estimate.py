"""A limit of the machine: the speed of its memory."""

import time

import numpy as np

from autograd import backend


def read_bandwidth(size, seconds=0.2):
    """Return the bytes/s at which all threads read `size` bytes again and again, at best in this
    time; bytes that fit into a cache are read from there."""
    arrays = [np.ones(max(size // 4, 1), np.float32)]
    backend.sum_of_squares(arrays)  # compiles or loads the kernel, wakes its threads
    best, end = np.inf, time.perf_counter() + seconds
    while best == np.inf or time.perf_counter() < end:
        started = time.perf_counter()
        backend.sum_of_squares(arrays)
        best = min(best, time.perf_counter() - started)
    return arrays[0].nbytes / best
