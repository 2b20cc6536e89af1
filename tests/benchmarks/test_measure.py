"""Times are compared by pairs of a round and medians of their ratios, of runners in processes."""

import statistics

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import compared

TIMES = st.floats(1e-6, 1e3)


@given(st.lists(st.tuples(TIMES, TIMES), min_size=1))
def test_a_ratio_pairs_the_times_of_one_round(pairs):
    ours, theirs = zip(*pairs, strict=True)
    c = compared("x", "baseline", ours, theirs)
    ratios = sorted(b / a for a, b in pairs)
    assert (c.low, c.high) == (ratios[0], ratios[-1])
    assert c.ratio == statistics.median(ratios)
    assert (c.ours, c.theirs) == (statistics.median(ours), statistics.median(theirs))
