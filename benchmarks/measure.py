"""How times are compared: in turn, as ratios.

A clock on a shared machine tells little. Other programs come and go, the processor changes its
frequency, and a time of yesterday was measured on another machine. What lasts is a ratio of two
times that were taken one right after the other. So:

- All that is compared runs in turn: ours, peer, ours, peer, ... Each round gives one ratio;
  reported are the median of these and the smallest and largest of them.
- Each library has a process of its own; `benchmarks.players` says why.
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

from benchmarks.players import OURS, Player, missing

PAUSE, WAKE = 0.04, 0.1  # seconds


@dataclass(frozen=True)
class Effort:
    """How long to measure: seconds for all players of a row together, and bounds of rounds.

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


class Contest(contextlib.ExitStack):
    """Us and peers, ready to be measured: `with Contest(threads, peers, effort) as contest:`.

    Peers that are not installed are left out, and get rows that say so.
    """

    def __init__(self, threads, peers, effort):
        super().__init__()
        self.threads, self.effort = threads, effort
        self.absent = {peer: missing(peer) for peer in peers if missing(peer)}
        self.players = {
            name: self.enter_context(Player(name, threads))
            for name in (OURS, *peers)
            if name not in self.absent
        }

    def compare(self, what, task, *, flops=None, peers=None, **settings):
        """A Comparison with each peer (or those of `peers`), of a task of the players' modules."""
        times = self.times(task, peers=peers, **settings)
        ours = times.pop(OURS)
        return [
            compared(what, peer, ours, theirs, flops=flops) for peer, theirs in times.items()
        ] + [
            Comparison(what, peer, statistics.median(ours), flops=flops, note=note)
            for peer, note in self.absent.items()
            if peers is None or peer in peers
        ]

    def times(self, task, *, peers=None, **settings):
        """name -> seconds a call, by round; us first."""
        playing = [
            player for name, player in self.players.items()
            if name == OURS or peers is None or name in peers
        ]  # fmt: skip
        return interleaved(playing, task, settings, self.effort)


def interleaved(players, task, settings, effort=FULL):
    """Let players do a task in turn: name -> seconds a call, by round.

    All lists have the same length, and their entries of one index belong to one round.
    """
    seconds = {player.name: player.prepare(task, settings) for player in players}
    counts = {name: max(1, math.ceil(effort.block / max(s, 1e-6))) for name, s in seconds.items()}
    a_round = sum(counts[name] * s for name, s in seconds.items())
    rounds = min(effort.most, max(effort.least, int(effort.seconds / a_round)))
    times = {player.name: [] for player in players}
    for _ in range(rounds):
        for player in players:
            time.sleep(PAUSE)
            name = player.name
            times[name].append(player.time(counts[name], WAKE if effort.block else 0.0))
    return times


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
