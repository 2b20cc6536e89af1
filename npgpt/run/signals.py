"""Ctrl-C, SIGTERM and SIGHUP as a request to stop, of all ranks after the same step."""

import os
import signal
import threading
from contextlib import contextmanager, suppress

HANG_UP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal
SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANG_UP)))


@contextmanager
def stop_request(ranks):
    """Add each Ctrl-C, SIGTERM or SIGHUP to `ranks.interrupted`; a second one ends at once."""

    def note(number, frame):
        ranks.interrupted.append(number)
        if len(ranks.interrupted) > 1:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        elif ranks.is_main:
            with suppress(OSError):  # not print: a signal may come while something is printed
                os.write(2, b"\nstopping after this step, which is evaluated and saved "
                            b"(a second one: at once)\n")

    with _handled(note) as before:
        yield


@contextmanager
def like_ctrl_c():
    """Raise KeyboardInterrupt, with the exit status, at SIGTERM and SIGHUP, too."""

    def interrupt(number, frame):
        raise KeyboardInterrupt(128 + number)

    with _handled(interrupt):
        yield


@contextmanager
def _handled(handler):
    """Yield the handlers of the signals that `handler` replaces in a block.

    SIGHUP stays ignored if it was, as under nohup. Only the main thread of a program can receive
    signals; in other threads this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield {}
        return
    ignored = HANG_UP and signal.getsignal(HANG_UP) == signal.SIG_IGN
    numbers = [number for number in SIGNALS if not (ignored and number == HANG_UP)]
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield before
    finally:
        for number, former in before.items():
            signal.signal(number, former)
