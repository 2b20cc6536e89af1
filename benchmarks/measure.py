"""How times are compared: in turn, as ratios.

A clock on a shared machine tells little. Other programs come and go, the processor changes its
frequency, and a time of yesterday was measured on another machine. What lasts is a ratio of two
times that were taken one right after the other. So:

- All that is compared runs in turn: ours, baseline, ours, baseline, ... Each round gives one ratio;
  reported are the median of these and the smallest and largest of them.
- Each library has a process of its own; `benchmarks.runners` says why.
- A peer is measured at its best, or the number is worth nothing: PyTorch and JAX both as they are
  installed and tuned (`benchmarks.tuning`). A single number means the tuned one.
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
from dataclasses import asdict, dataclass

from benchmarks.runners import OURS, Runner, missing

PAUSE, WAKE = 0.04, 0.1  # seconds


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for all libraries of a row together, and bounds of rounds.

    block   the least seconds of a timing: short functions are called several times for one
    """

    seconds: float
    least: int
    most: int
    block: float = 0.01


FULL = Effort(seconds=1.0, least=5, most=9)
QUICK = Effort(seconds=0.1, least=1, most=2, block=0.0)


@dataclass(frozen=True)
class Comparison:
    """One thing done by us and by a baseline: medians of both, and the ratio baseline / ours.

    what, baseline     what was measured, and against whom
    ours, theirs       medians: seconds, or bytes where `unit` is "B"; theirs None if not measured
    ratio, low, high   median, smallest and largest of the rounds' ratios: above 1 we are ahead
    flops              of one call, if that means anything
    note               why there is no measurement, and how to get one
    """

    what: str
    baseline: str
    ours: float
    theirs: float | None = None
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    unit: str = "s"
    flops: float | None = None
    note: str = ""

    def as_dict(self):
        """Return the dict that --json prints: there the baseline's key is `peer`."""
        known = {key: value for key, value in asdict(self).items() if value not in (None, "")}
        return {"peer": known.pop("baseline")} | known


class Contest(contextlib.ExitStack):
    """Our process and the baselines': `with Contest(threads, baselines, effort) as contest:`.

    Baselines that are not installed are left out, and get rows that say so.
    """

    def __init__(self, threads, baselines, effort):
        super().__init__()
        self.threads, self.effort = threads, effort
        self.absent = {name: note for name in baselines if (note := missing(name))}
        self.runners = {
            name: self.enter_context(Runner(name, threads))
            for name in (OURS, *baselines)
            if name not in self.absent
        }

    def compare(self, what, task, *, flops=None, baselines=None, first=OURS, **settings):
        """Return a Comparison with each (given) baseline, of a task of the runners' modules.

        first   which runner the others are compared with, one of ours
        """
        times = self.times(task, baselines=baselines, **settings)
        ours = times.pop(first)
        return [
            compared(what, name, ours, theirs, flops=flops) for name, theirs in times.items()
        ] + [
            Comparison(what, name, statistics.median(ours), flops=flops, note=note)
            for name, note in self.absent.items()
            if baselines is None or name in baselines
        ]

    def times(self, task, **settings):
        """Let the runners do a task in turn: name -> seconds a call, by round; us first."""
        timed = self.timed(task, **settings)
        return {name: [seconds for seconds, _ in pairs] for name, pairs in timed.items()}

    def timed(self, task, *, baselines=None, **settings):
        """Return (seconds, CPU seconds) a call in the place of the seconds of `times`."""
        effort = self.effort
        runners = {
            name: runner for name, runner in self.runners.items()
            if name == OURS or baselines is None or name in baselines
        }
        seconds = {name: runner.prepare(task, settings) for name, runner in runners.items()}
        counts = {
            name: max(1, math.ceil(effort.block / max(s, 1e-6))) for name, s in seconds.items()
        }
        a_round = sum(counts[name] * s for name, s in seconds.items())
        rounds = min(effort.most, max(effort.least, int(effort.seconds / a_round)))
        times = {name: [] for name in runners}
        for _ in range(rounds):
            for name, runner in runners.items():
                time.sleep(PAUSE)
                times[name].append(runner.timed(counts[name], WAKE if effort.block else 0.0))
        return times


def compared(what, baseline, ours, theirs, **more):
    """Return the Comparison of two equally long lists, paired by index."""
    ratios = [b / a for a, b in zip(ours, theirs, strict=True)]
    return Comparison(
        what, baseline, statistics.median(ours), statistics.median(theirs),
        statistics.median(ratios), min(ratios), max(ratios), **more,
    )
