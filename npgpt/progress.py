"""Progress of work that takes long: a bar, or in a pipe, a file or a notebook some lines."""

import sys
from contextlib import contextmanager
from threading import Event, Thread

SECONDS = 2  # until the work is named
PIPE_SECONDS = 10  # between two lines in a pipe


@contextmanager
def progress(what, total=None, unit="token"):
    """Yield a function that counts units of work up to `total`, and show the count meanwhile.

    A thread shows it, as a single unit may take long; kernels let other threads run.
    """
    done, over = [0], Event()

    def count(units=1):
        done[0] += units

    def show():
        if over.wait(SECONDS):
            return
        from tqdm import tqdm  # here: it refuses strange variables of the environment

        form = None if total else "{desc}  {elapsed}"
        with tqdm(desc=what, total=total, unit=unit, unit_scale=True, leave=False, disable=None,
                  bar_format=form, initial=done[0]) as bar:
            while True:
                bar.n = done[0]
                if not bar.disable:
                    bar.refresh()
                else:
                    so_far = f": {bar.n:,} of {total:,} {unit}s" if total else " ..."
                    print(what + so_far, file=sys.stderr, flush=True)
                if over.wait(PIPE_SECONDS if bar.disable else 0.2):
                    return

    thread = Thread(target=show, daemon=True)
    thread.start()
    try:
        yield count
    finally:
        over.set()
        thread.join()
