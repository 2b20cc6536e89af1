"""Runs that are trained again are compared with the first ones, number by number of each arm."""

import json

import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pytest.importorskip("pandas", reason="of the extra 'studies'")

import again
from laboratory import key


def written(path, **arms):
    """Write a file of results.    arms: name -> the excess of each seed"""
    rows = [{"settings": {"arm": arm, "seed": seed}, "result": {"excess": x}}
            for arm, values in arms.items() for seed, x in enumerate(values, 1)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return again.runs_of(path, {key({"arm": arm, "seed": None}) for arm in "abc"})


def test_a_mean_outside_the_interval_of_the_first_runs_is_seen(tmp_path):
    first = written(tmp_path / "first", a=[1.0, 1.1, 1.2], b=[2.0, 2.1, 2.2], other=[1.0, 2.0])
    second = written(tmp_path / "second", b=[2.47, 2.47, 2.47], a=[1.4, 1.43, 1.43])
    assert len(first) == 6
    # 4.303 * 0.1 * (1/3 + 1/3)^0.5 = 0.351 about 1.1 and 2.1
    assert again.held(first, second).tolist() == [True, False]


def test_runs_that_diverged_are_left_out_and_one_alone_has_no_interval(tmp_path):
    first, second = (written(tmp_path / str(i), a=[1.0, None], c=[1.0, x, 1.2])
                     for i, x in enumerate((1.1, 9.0)))
    assert len(first) == 4
    assert again.held(first, second).tolist() == [False]
