"""How times are compared: in turn, as ratios.

A clock on a shared machine tells little. Other programs come and go, the processor changes its
frequency, and a time of yesterday was measured on another machine. What lasts is a ratio of two
times that were taken one right after the other. So:

- All that is compared runs in turn: ours, baseline, baseline, ours, ... Each round gives one ratio;
  reported are their median and its 95 % interval.
- Each library has a process of its own; `benchmarks.runners` says why.
- A first round, not counted, compiles, fills caches and finds how many calls one timing needs to
  be long against the clock's own noise.
- Before each timing there is a pause, in which the waiting threads of the library before fall
  asleep (they spin for up to some 30 ms, on the processors that the next one needs). Then calls
  that are not timed: until the system has given each thread that woke up a processor of its own,
  threads take turns on one, and some systems need 100 ms for that.
"""

import contextlib
import math
import statistics
import time

from benchmarks.runners import Runner, missing

ROUNDS, SHORT_ROUNDS = 9, 6
PAUSE, WAKE, BLOCK = 0.04, 0.1, 0.01  # seconds; BLOCK is the least of one timing


class Contest(contextlib.ExitStack):
    """The processes that take turns: `with Contest({name: Runner(...)}, rounds) as contest:`."""

    def __init__(self, runners, rounds):
        super().__init__()
        self.rounds = rounds
        self.runners = {name: self.enter_context(runner) for name, runner in runners.items()}

    @classmethod
    def of(cls, names, threads, short):
        """Return the contest of the libraries that are installed."""
        runners = {name: Runner(name, threads) for name in names if not missing(name)}
        return cls(runners, SHORT_ROUNDS if short else ROUNDS)

    def timed(self, task, names=None, **settings):
        """Return {runner: a pair (seconds, CPU seconds) of a call for each round} of a task.

        names   the runners that do it; None: all
        """
        runners = {name: runner for name, runner in self.runners.items()
                   if names is None or name in names}
        counts = {name: math.ceil(BLOCK / max(runner.prepare(task, settings), 1e-6))
                  for name, runner in runners.items()}
        found = {name: [] for name in runners}
        for turn in range(self.rounds):
            for name in list(runners)[:: -1 if turn % 2 else 1]:
                time.sleep(PAUSE)
                found[name].append(runners[name].timed(counts[name], WAKE))
        return found


def beside(timed, ours, others, flops=None):
    """Return {name: cell of a table}: our time, and for each other its time over ours.

    timed   of `Contest.timed`; others that are not in it get no cell
    """
    seconds = statistics.median(wall for wall, _ in timed[ours])
    rate = f", {flops / seconds / 1e9:.0f} GFLOP/s" if flops else ""
    return {ours: duration(seconds) + rate} | {
        name: ratio(timed[name], timed[ours]) for name in others if name in timed
    }


def in_a_row(cells):
    """Return one cell for the cells of `beside`."""
    first, *others = cells.items()
    return "; ".join([first[1], *(f"{name} {shown(cell)}" for name, cell in others)])


def shown(cell):
    return cell if isinstance(cell, str) else "{:.2f} ({:.2f} – {:.2f})".format(*cell)


def ratio(theirs, ours, clock=0):
    """Return [median, low, high] of the rounds' ratios.    clock: 0 for seconds, 1 for CPU's"""
    return spread(b[clock] / a[clock] for a, b in zip(ours, theirs, strict=True))


def spread(values):
    """Return [median, low, high], with the 95 % interval of the median for any distribution.

    As many of n values lie below the median as of n coins show heads. So it lies between the k-th
    smallest and the k-th largest unless fewer than k coins show one side. Of fewer than 6 values
    even the smallest and the largest promise less.
    """
    values = sorted(values)
    n, tail, k = len(values), 0.0, 0
    while (tail := tail + math.comb(n, k) / 2**n) <= 0.025:
        k += 1
    k = max(k, 1)
    return [statistics.median(values), values[k - 1], values[-k]]


def duration(seconds):
    """Return a time in the unit that needs no zeros in front."""
    unit, scale = ("s", 1) if seconds >= 1 else ("ms", 1e3) if seconds >= 1e-3 else ("µs", 1e6)
    return f"{seconds * scale:.3g} {unit}"
