"""Times are compared by pairs of a round; medians have an interval that holds for any noise."""

import statistics

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.measure import beside, ratio, spread

SECONDS = st.floats(1e-6, 1e3)


@given(st.lists(st.tuples(SECONDS, SECONDS), min_size=1))
def test_a_ratio_pairs_the_times_of_one_round(pairs):
    ours, theirs = ([(wall, 1) for wall in side] for side in zip(*pairs, strict=True))
    middle, low, high = ratio(theirs, ours)
    ratios = [b / a for a, b in pairs]
    assert middle == statistics.median(ratios)
    assert min(ratios) <= low <= middle <= high <= max(ratios)
    assert ratio(theirs, ours, clock=1) == [1, 1, 1]


@pytest.mark.parametrize("n", [6, 9, 20])
def test_95_of_100_intervals_hold_the_median_and_hardly_more(n):
    rng = np.random.default_rng(0)
    held = [low <= 1 <= high for _, low, high in map(spread, rng.lognormal(size=(4000, n)))]
    assert 0.95 < np.mean(held) < 0.975


def test_who_is_absent_has_no_cell():
    cells = beside({"npgpt": [(0.002, 1)], "JAX": [(0.001, 1)]}, "npgpt", ("PyTorch", "JAX"), 1e6)
    assert cells == {"npgpt": "2 ms, 0 GFLOP/s", "JAX": [0.5, 0.5, 0.5]}
