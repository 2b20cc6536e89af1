"""The compiler's waiting time, said: a kernel is compiled once, when it is first called."""

import time
from contextlib import contextmanager

from tqdm import tqdm

from autograd import compiling


@contextmanager
def announced(file):
    """While open, say on a file, once, that kernels are compiled and where they are kept.

    A terminal shows the kernel at hand, too, and how long compiling takes so far. Of processes
    that share a terminal, all but one can set `autograd.compiling.listener` to None.
    """
    started = []

    @contextmanager
    def shown(kernel, folder):
        if not started:
            tqdm.write(f"compiling kernels, once; kept in {folder}", file=file)
            file.flush()
        started.append(time.monotonic())
        passed = f"{started[-1] - started[0]:.0f} s: kernel {len(started)}, {kernel}"
        with tqdm(desc=passed, bar_format="{desc}", leave=False, disable=None):
            yield

    compiling.listener = shown
    try:
        yield
    finally:
        compiling.listener = None
