"""How times are compared: in one process, in turn, as ratios.

A clock on a shared machine tells little. Other programs come and go, the processor changes its
frequency, and a time of yesterday was measured on another machine. What lasts is a ratio of two
times that were taken one right after the other. So:

- Everything that is compared runs in one process, in turn: ours, peer, ours, peer, ... Each round
  gives one ratio; reported are the median of these and the smallest and largest of them.
- A first round, not counted, compiles, fills caches and finds how many calls one timing needs to
  be long against the clock's own noise.
- Before each timing there is a pause, in which the waiting threads of the library before fall
  asleep (they spin for up to some 30 ms, on the cores that the next one needs), and for short
  functions a call that is not timed, which wakes the threads of this one.
- Python's garbage collector is off while the clock runs, and collects in the pauses.
"""

import contextlib
import gc
import math
import statistics
import time
from dataclasses import asdict, dataclass

OURS = "npgpt"
PAUSE = 0.04  # seconds
SHORT = 0.05  # seconds: what takes less is called once before it is timed


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for all contestants of a row together, and bounds of rounds.

    block   the least seconds of a timing: short functions are called several times for one
    """

    seconds: float
    least: int
    most: int
    block: float = 0.005


FULL = Effort(seconds=2.0, least=5, most=21)
QUICK = Effort(seconds=0.1, least=1, most=3, block=0.0)


@dataclass(frozen=True)
class Comparison:
    """One thing done by us and by a peer: medians of both, and the ratio peer / ours.

    what, peer         what was measured, and against whom
    ours, theirs       medians: seconds, or bytes where `unit` is "B"; theirs None if not measured
    ratio, low, high   median, smallest and largest of the rounds' ratios: above 1 we are ahead
    flops              of one call, if it is a number that means something
    note               why there is no measurement, and how to get one
    """

    what: str
    peer: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "s"
    flops: float | None = None
    note: str = ""

    def as_dict(self):
        return {key: value for key, value in asdict(self).items() if value not in (None, "")}


def interleaved(contestants, effort=FULL):
    """Run functions in turn: dict of name -> function to dict of name -> seconds a call, by round.

    All lists have the same length, and their entries of one index belong to one round.
    """
    calls = {name: _calls(function, effort) for name, function in contestants.items()}
    counts = {name: count for name, (count, _) in calls.items()}
    a_round = sum(count * seconds for count, seconds in calls.values())
    rounds = min(effort.most, max(effort.least, int(effort.seconds / a_round)))
    times = {name: [] for name in contestants}
    with _without_garbage_collection():
        for _ in range(rounds):
            for name, function in contestants.items():
                gc.collect()
                time.sleep(PAUSE)
                if calls[name][1] < SHORT:
                    function()
                times[name].append(_time(function, counts[name]))
    return times


def compare(what, contestants, effort=FULL, *, flops=None, missing=()):
    """The comparisons of `contestants[OURS]` with every other one, measured in one interleaving.

    missing   pairs (peer, note) that could not be measured: rows that say so
    """
    times = interleaved(contestants, effort)
    found = [
        compared(what, peer, times[OURS], times[peer], flops=flops)
        for peer in contestants
        if peer != OURS
    ]
    ours = statistics.median(times[OURS])
    return found + [
        Comparison(what, peer, ours, flops=flops, note=note) for peer, note in missing
    ]


def compared(what, peer, ours, theirs, **more):
    """The Comparison of two equally long lists, paired by index."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return Comparison(
        what, peer, statistics.median(ours), statistics.median(theirs),
        statistics.median(ratios), min(ratios), max(ratios), **more,
    )  # fmt: skip


def geometric_mean(ratios):
    """The mean for ratios: that of 2 and 1/2 is 1."""
    return math.exp(statistics.fmean(map(math.log, ratios)))


def _calls(function, effort):
    """(calls for one timing, seconds a call) of a function, which is warm afterwards."""
    function()
    seconds = _time(function, 1)
    if seconds < effort.block:
        seconds = _time(function, 3) / 3
    return max(1, math.ceil(effort.block / max(seconds, 1e-7))), seconds


def _time(function, count):
    start = time.perf_counter()
    for _ in range(count):
        function()
    return (time.perf_counter() - start) / count


@contextlib.contextmanager
def _without_garbage_collection():
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
