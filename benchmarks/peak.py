"""The processor's peak: multiply-adds in float32, on all threads.

The loop below does nothing else. Each element goes through eight multiply-adds between one read and
one write, so that memory does not count; elements do not depend on one another, so that the
processor always has a vector to work on. Longer chains and more elements are slower: the processor
looks only some hundred instructions ahead for work that can start.
"""

import time

import numba
import numpy as np

CHAIN, ELEMENTS = 8, 128


@numba.njit(parallel=True, fastmath={"contract"}, error_model="numpy")
def _multiply_add(rounds, threads, x, y):
    total = np.zeros(threads, np.float32)
    for thread in numba.prange(threads):
        total[thread] = _one_thread(rounds, x, y)
    return total


@numba.njit(fastmath={"contract"}, error_model="numpy")
def _one_thread(rounds, x, y):
    a = np.ones(ELEMENTS, np.float32)
    for _ in range(rounds):
        for i in range(ELEMENTS):
            z = a[i]
            for _ in range(CHAIN):
                z = z * x + y
            a[i] = z
    return a[0]


def peak_flops(threads, seconds=0.5):
    """Return the best FLOPs a second that the loop reached in this time."""
    x, y = np.float32(0.999), np.float32(0.001)
    _multiply_add(1, threads, x, y)
    rounds, best, end = 50_000, 0.0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        _multiply_add(rounds, threads, x, y)
        best = max(best, 2 * CHAIN * ELEMENTS * rounds * threads / (time.perf_counter() - start))
    return best
