"""The statistics of the studies: by hand, by scipy's own tests, on planted effects and laws."""

import importlib

import numpy as np
import pytest

pytest.importorskip("pandas", reason="of the extra 'studies'")
import pandas as pd
from arms import Arm, difference, effects, near, one_arm, runs_of
from intervals import Interval, Law, Ratio, between, bootstrap, fit, lack_of_fit, ratio, student
from laboratory import key
from scipy import stats

again = importlib.import_module("again")


def test_an_interval_is_that_of_students_test():
    x = np.random.default_rng(1).normal(1, 2, 7)
    found = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert student([*x, np.nan]) == pytest.approx((x.mean(), found.low, found.high))
    y = np.exp(x)
    assert ratio(pd.Series(y), 1) == pytest.approx(student(x))
    assert f"{ratio(pd.Series([1.5] * 3), 1)}" == "+50 % (+50 % to +50 %)"
    assert f"{Interval(0.5, 0.25, 0.75):.0%}" == "50% (25% to 75%)"


@pytest.mark.parametrize(("low", "high", "word"), [
    (0.01, 2, "shown"), (-2, -0.01, "shown"), (-0.1, 0.2, "not shown beyond 22 %"),
    (-0.1, 0.29, "cannot be told"), (-0.42, 0.1, "cannot be told")])
def test_a_verdict_is_what_the_interval_says(low, high, word):
    assert Ratio(0.0, low, high).word == word


def test_an_effect_is_of_equal_seeds_at_the_best_rate_by_the_seed_that_chooses():
    base, arm = Arm("tales", "base", {}, (1.0,), ()), Arm("tales", "new", {"x": 1}, (1.0, 2.0, 4.0))
    found = [(base, seed, 1.0, x) for seed, x in ((1, 9.0), (2, 1.0), (3, 2.0))]
    found += [(arm, 1, rate, x) for rate, x in ((1.0, None), (2.0, 0.5), (4.0, 0.6))]
    found += [(arm, 2, 2.0, 2.0), (arm, 3, 2.0, 4.0), (arm, 2, 4.0, 0.1), (arm, 3, 4.0, 0.1)]
    results = {key(of.trial(seed, rate)): {"excess": x, "parameters": 5}
               for of, seed, rate, x in found}
    runs = runs_of([base, arm], results, (2, 3))
    assert effects([base, arm], runs)["tales"]["new"] == pytest.approx([np.log(2)] * 3)
    assert list(arm.trials(results, (2, 3)))[3:] == [arm.trial(s, 2.0) for s in (2, 3)]
    found = one_arm(runs["tales"]["new"])
    assert (found["rate"], found["n"], found["median"]) == (2.0, 2, 3.0)
    assert found["near"] == "x inf, x 1.2"
    assert len(list(arm.trials({}, (2, 3)))) == 3


def test_several_seeds_choose_by_their_geometric_mean():
    arm = Arm("rows", "a", {}, (1.0, 2.0), chosen_by=(1, 12))
    numbers = {(1, 1.0): 1.0, (12, 1.0): 9.0, (1, 2.0): 4.0, (12, 2.0): 4.0}
    tried = arm.tried({key(arm.trial(*at)): {"excess": x} for at, x in numbers.items()})
    assert tried.to_dict() == pytest.approx({1.0: 3.0, 2.0: 4.0})
    assert near(tried, 1.0) == "x 1.3"
    assert difference("post-norm, 4 blocks", "pre-norm, 4 blocks") == (
        "post-norm (beside pre-norm, 4 blocks)")


def test_a_mean_is_held_within_the_prediction_interval():
    x = pd.Series(np.linspace(-1, 1, 10))
    reach = stats.t.ppf(0.975, 9) * x.std() * (2 / 10) ** 0.5
    for times, inside in ((0.99, True), (1.01, False)):
        both = (values.groupby([0] * 10) for values in (x, x + times * reach))
        assert again.held(*both).tolist() == [inside]


def grid(budgets, sizes):
    """(N, D) of each size at each budget."""
    C, N = (x.ravel() for x in np.meshgrid(budgets, sizes, indexing="ij"))
    return N, C / (6 * N)


def test_published_constants_come_back_from_losses_made_with_them():
    law = Law(1.69, 406.4, 410.7, 0.34, 0.28)
    N, D = grid(np.geomspace(6e18, 3e21, 9), np.geomspace(7e7, 1.6e10, 20))
    assert fit(N, D, law.loss(N, D)) == pytest.approx(law, rel=1e-5)
    assert fit(N, D, law.loss(N, D), 1.69) == pytest.approx(law, rel=1e-5)
    assert fit(N, D, law.loss(N, D), 1.69, excess=True) == pytest.approx(law, rel=1e-5)


@pytest.mark.slow
def test_planted_constants_are_in_their_intervals():
    law, covered = Law(0.8, 6.0, 60.0, 0.35, 0.4), []
    N, D = grid(np.geomspace(1e11, 6.4e12, 4), np.geomspace(3e3, 1e6, 6))
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.003, len(N))
        _, *samples = bootstrap(N, D, law.loss(N, D) * np.exp(noise), samples=60, seed=seed)
        for true, some in zip(law, zip(*samples, strict=True), strict=True):
            _, low, high = between(0, some)
            covered.append(low < true < high)
    assert np.mean(covered) > 0.8  # 95 % if there were more than 24 runs


def test_a_misfit_is_that_of_an_analysis_of_variance():
    rng = np.random.default_rng(1)
    cells = [rng.normal(0, 1, n) for n in (3, 4, 5)]
    cells = [x - np.concatenate(cells).mean() for x in cells]  # one constant was fitted
    F, p = stats.f_oneway(*cells)
    found = lack_of_fit(np.concatenate(cells), np.repeat([0, 1, 2], (3, 4, 5)), 1)
    assert found == f"F(2, 9) = {F:.1f}, p = {p:.1g}"


@pytest.mark.slow
def test_the_stored_predictions_come_out_again():
    scaling = importlib.import_module("09_scaling_laws")
    results = again.study.results(scaling)
    (name, stored), = ((name, of) for name, of in results.items() if "predict" in name)
    found = scaling.measure(importlib.import_module("json").loads(name))
    for fitted in scaling.FITS:
        assert found[fitted] == pytest.approx(stored[fitted], rel=0.02)
