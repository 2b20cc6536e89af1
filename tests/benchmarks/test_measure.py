"""Times are compared by pairs of a round and medians of their ratios, of runners in processes."""

import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import runners
from benchmarks.measure import QUICK, Contest, compared
from benchmarks.runners import NUMPY, OURS

TIMES = st.floats(1e-6, 1e3)


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1))
def test_a_ratio_pairs_the_times_of_one_round(pairs):
    ours, theirs = zip(*pairs, strict=True)
    c = compared("x", "baseline", ours, theirs)
    ratios = sorted(b / a for a, b in pairs)
    assert (c.low, c.high) == (ratios[0], ratios[-1])
    assert c.ratio == statistics.median(ratios)
    assert (c.ours, c.theirs) == (statistics.median(ours), statistics.median(theirs))


@pytest.mark.slow
def test_a_contest_has_as_many_rounds_for_each_and_says_who_is_absent(monkeypatch):
    monkeypatch.setitem(runners.RUNNERS, "Absent", ("no_such_package", "runner_none", {}))
    sizes = {"form": "nn", "Z": 1, "M": 3, "N": 4, "K": 5}
    with Contest(1, (NUMPY, "Absent"), QUICK) as contest:
        times = contest.times("product", **sizes)
        assert list(times) == [OURS, NUMPY]
        assert len(times[OURS]) == len(times[NUMPY]) >= QUICK.least
        here, absent = contest.compare("tiny", "product", flops=120, **sizes)
    assert here.baseline == NUMPY and here.low <= here.ratio <= here.high
    assert absent.ratio is None and "pip install no_such_package" in absent.note
