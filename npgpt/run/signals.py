"""Ctrl-C, SIGTERM and SIGHUP as a request to stop after the current step."""

import os
import signal
import threading
from contextlib import contextmanager, suppress

HANG_UP = getattr(signal, "SIGHUP", None)  # the terminal was closed; Windows has no such signal
SIGNALS = tuple(filter(None, (signal.SIGINT, signal.SIGTERM, HANG_UP)))


class StopRequest:
    """A flag that is true once training has to stop, on all ranks from the same step on.

    received   signal numbers that this process received
    """

    def __init__(self, ranks=None):
        self.received, self.ranks = [], ranks
        if ranks:
            ranks.interrupted = self.received

    def __bool__(self):
        return self.ranks.stopping if self.ranks else bool(self.received)

    def exit_status(self):
        """Return 128 + the signal's number, as shells do; SIGTERM's if another rank received it."""
        return 128 + (self.received[0] if self.received else signal.SIGTERM)


@contextmanager
def stop_request(ranks=None):
    """Yield a `StopRequest`, set by the first Ctrl-C, SIGTERM or SIGHUP; a second ends at once.

    SIGHUP stays ignored if it was, as under nohup. Only the main thread of a program can receive
    signals; in other threads the request is never set.
    """
    request = StopRequest(ranks)
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number, frame):
        request.received.append(number)
        if len(request.received) > 1:
            signal.signal(number, before[number])
            signal.raise_signal(number)
        elif not ranks or ranks.rank == 0:
            with suppress(OSError):  # not print: a signal may come while something is printed
                os.write(2, b"\nstopping after this step, which is evaluated and saved\n")

    ignored = HANG_UP and signal.getsignal(HANG_UP) == signal.SIG_IGN
    numbers = [number for number in SIGNALS if not (ignored and number == HANG_UP)]
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
