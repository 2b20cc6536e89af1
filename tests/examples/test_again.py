"""What is trained again is compared arm by arm with the first runs of the same seeds."""

import sys
from pathlib import Path

import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pytest.importorskip("pandas", reason="of the extra 'studies'")
sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))

import again
from laboratory import key


def runs(*excesses, **settings):
    return {key(settings | {"seed": seed}): {"excess": x} for seed, x in enumerate(excesses, 1)}


def test_a_mean_outside_the_interval_of_the_first_runs_is_seen():
    first = runs(1.0, 1.1, 1.2, rate=1) | runs(2.0, 2.1, 2.2, rate=2)
    trials = [{"rate": rate, "seed": seed} for rate in (1, 2) for seed in (1, 2, 3)]
    second = runs(1.0, 1.1, 1.3, rate=1) | runs(2.4, 2.4, 2.4, rate=2)
    lines, found = again.compared(trials, first, second)
    assert lines["held"].tolist() == [True, False]  # 2.1 ± 4.30 * 0.1 / √3 ends at 2.35
    assert lines["again"].tolist() == pytest.approx([3.4 / 3, 2.4])
    assert (found["again"] == found["first"]).sum() == 2


def test_runs_that_diverged_are_left_out_and_one_alone_has_no_interval():
    first, second = runs(1.0, None, rate=1), runs(1.0, 1.5, rate=1)
    lines, found = again.compared([{"rate": 1, "seed": s} for s in (1, 2)], first, second)
    assert len(found) == 1 and not len(lines)


def test_of_a_family_each_counted_number_is_compared():
    result = {"word": {"left": {"nats": 1.0, "share": 0.5}}, "go on": {"whole": 0.25}}
    assert again.numbers(result) == {"word left nats": 1.0, "go on whole": 0.25}
