"""The laboratory stores trials and runs none twice."""

import json

import laboratory
import numpy as np
import pytest


def test_a_trial_is_run_once_and_what_a_crash_tore_is_run_again(tmp_path):
    path, calls = tmp_path / "a new folder" / "found.jsonl", []

    def measure(settings):
        calls.append(settings["seed"])
        return {"twice": 2 * settings["seed"]}

    laboratory.run([{"lr": 0.1, "seed": seed} for seed in range(3)], measure, path, workers=0)
    path.write_bytes(path.read_bytes()[:-20])
    reordered = [{"seed": seed, "lr": 0.1} for seed in (3, 2, 1)]
    laboratory.run(reordered, measure, path, workers=0)
    assert calls == [0, 1, 2, 3, 2]
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    assert [row["settings"]["seed"] for row in rows] == [0, 1, 3, 2]
    assert [of["twice"] for of in laboratory.results_of(path).values()] == [0, 2, 6, 4]
    assert rows[3]["made"]["versions"]["numpy"] == np.__version__


def test_a_number_that_is_none_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        laboratory.run([{"seed": 1}], lambda _: {"x": float("nan")}, tmp_path / "a.jsonl", 0)


@pytest.mark.slow
def test_trials_run_side_by_side_and_one_that_fails_leaves_the_others(tmp_path):
    path = tmp_path / "found.jsonl"
    trials = [{"n": 4}, {"n": 9}, {"n": -1}]
    with pytest.raises(ValueError, match="math domain"):
        laboratory.run(trials, root_of, path, workers=1)
    assert [of for of in laboratory.results_of(path).values()] == [2, 3]


def root_of(settings):
    import math

    return math.sqrt(settings["n"])
