"""Progress of work that takes long: a bar, or in a pipe, a file or a notebook a line."""

import sys
from contextlib import contextmanager
from threading import Event, Thread

from autograd import compiling

SECONDS = 2  # until the work is named


def note(text, *_):
    """Print a note, or a warning, on standard error."""
    print(f"note    {text}", file=sys.stderr)


@contextmanager
def progress(what, total=None):
    """Yield a function that counts tokens up to about `total`, and show the count meanwhile.

    A thread shows it, as a single unit may take long; kernels let other threads run.
    """
    done, over = [0], Event()

    def count(tokens):
        done[0] += tokens

    def show():
        if over.wait(SECONDS):
            return
        from tqdm import tqdm  # here: it refuses strange variables of the environment

        with tqdm(desc=what, total=total, unit="token", unit_scale=True, leave=False, disable=None,
                  bar_format=None if total else "{desc}  {elapsed}", initial=done[0]) as bar:
            if bar.disable:
                print(f"{what} ...", file=sys.stderr, flush=True)
            while not (bar.disable or over.wait(0.2)):
                bar.n = done[0]
                bar.refresh()

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()


@contextmanager
def announced(file):
    """While open, say on a file, once, that kernels are compiled and where they are kept.

    Of processes that share a terminal, all but one can set `autograd.compiling.listener` to None.
    """
    said = []

    def compiled(kernel, folder):
        if not said:
            from tqdm import tqdm

            said.append(tqdm.write(f"compiling kernels, once; kept in {folder}", file=file))
            file.flush()
        return progress(f"kernel {kernel}")

    compiling.listener = compiled
    try:
        yield
    finally:
        compiling.listener = None
