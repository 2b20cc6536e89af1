"""The fit of a scaling law on losses made with known constants, and the almanac's entropy."""

import importlib
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("scipy", reason="of the extra 'studies'")
pytest.importorskip("pandas", reason="of the extra 'studies'")
EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.fixture(scope="module", autouse=True)
def _examples():
    sys.path.insert(0, str(EXAMPLES))
    yield
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def study():
    return importlib.import_module("09_scaling_laws")


CHINCHILLA = 1.69, 406.4, 410.7, 0.34, 0.28


def grid(budgets, sizes):
    """(C, N, D) of each size at each budget."""
    C, N = (x.ravel() for x in np.meshgrid(budgets, sizes, indexing="ij"))
    return C, N, C / (6 * N)


def test_published_constants_come_back_from_losses_made_with_them():
    from scaling_law import Law, fit

    law = Law(*CHINCHILLA)
    _, N, D = grid(np.geomspace(6e18, 3e21, 9), np.geomspace(7e7, 1.6e10, 20))
    assert fit(N, D, law.loss(N, D)) == pytest.approx(law, rel=1e-5)
    assert fit(N, D, law.loss(N, D), 1.69) == pytest.approx(law, rel=1e-5)


@pytest.mark.slow
def test_planted_constants_are_in_their_intervals():
    from scaling_law import Law, bootstrap, interval

    law = Law(0.8, 6.0, 60.0, 0.35, 0.4)
    C, N, D = grid(np.geomspace(1e11, 6.4e12, 4), np.geomspace(3e3, 1e6, 6))
    covered = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.003, len(N))
        L = law.loss(N, D) * np.exp(noise)
        middle, *samples = bootstrap(N, D, L, samples=60, seed=seed)
        for true, found in zip(law, zip(*samples, strict=True), strict=True):
            low, high = interval(found)
            covered.append(low < true < high)
        assert abs(middle.E / 0.8 - 1) < 0.05
    assert np.mean(covered) > 0.8  # 95 % if there were more than 24 runs


def test_an_error_of_one_run_moves_nothing():
    from scaling_law import Law, fit

    law = Law(*CHINCHILLA)
    _, N, D = grid(np.geomspace(6e18, 3e21, 5), np.geomspace(7e7, 1.6e10, 8))
    L = law.loss(N, D)
    L[7] *= 1.5
    np.testing.assert_allclose(fit(N, D, L).loss(N, D), law.loss(N, D), rtol=2e-3)


def test_errors_of_a_fitted_log_excess_add_up_to_zero():
    from scaling_law import Law, fit

    law = Law(*CHINCHILLA)
    _, N, D = grid(np.geomspace(6e18, 3e21, 5), np.geomspace(7e7, 1.6e10, 8))
    above = law.loss(N, D) - law.E
    off = np.where(np.arange(len(N)) % 2, 1.1, 1 / 1.1)
    found = fit(N, D, law.E + above * off, law.E, excess=True)
    errors = np.log((found.loss(N, D) - law.E) / (above * off))
    assert errors.sum() == pytest.approx(0, abs=1e-4)  # A and B have a common factor
    assert np.abs(errors).max() < 0.15


def test_the_best_size_is_that_of_the_least_excess(study):
    from scaling_law import Law

    law, rows = Law(0.7, 300, 300, 0.5, 0.5), []
    for C in (1e11, 4e11, 1.6e12):
        for N in (C / 6) ** 0.5 * np.geomspace(0.5, 2, 5):
            rows.append((C, N, N / 2, law.loss(N, C / 6 / N) - law.E))
    cells = study.pd.DataFrame(rows, columns=["flops", "N", "blocks", "excess"])
    sizes, power = study.best_sizes(cells, "N")
    assert sizes == pytest.approx((cells.flops.unique() / 6) ** 0.5)
    assert power == pytest.approx(law.beta / (law.alpha + law.beta))
    assert study.best_sizes(cells, "blocks")[0] == pytest.approx(np.array(sizes) / 2)


def test_the_rates_and_trials_are_the_registered_ones(study):
    from laboratory import key

    assert [study.rate(C) for C in (1e11, 4e11, 1.6e12, 6.4e12, 2.6e13)] == [
        0.024, 0.014, 0.008, 0.0046, 0.0026]
    stored = {key(row["settings"]) for row in study.kept(study.RESULTS)}
    ahead = study.trial(study.PREDICTED[1], study.PREDICTED[0])
    asked = {"predict": study.PREDICTED[0], "channels": study.PREDICTED[1]}
    assert stored == {key(trial) for trial in (*study.trials(), asked, ahead)}


def test_a_prediction_is_exact_where_the_law_is(study):
    E, rows = 0.7, []
    for flops in (1e9, 4e9, 1.6e10):
        for channels in (8, 12, 16, 24):
            N = 1000.0 * channels
            D = flops / (6 * N)
            loss = E + 3 / N**0.3 + 20 / D**0.4
            rows.append({"settings": study.trial(channels, flops), "result": {
                "parameters": N, "tokens": D, "loss": loss, "entropy": E, "excess": loss - E}})
    found = study.predicted({"predict": 6.4e10, "channels": 32}, rows)
    exact = 3 / found["N"] ** 0.3 + 20 / found["D"] ** 0.4
    for name, tolerance in zip(study.FITS, (1e-3, 0.05, 1e-3), strict=True):
        assert found[name][0] == pytest.approx(exact, rel=tolerance)


@pytest.mark.slow
def test_the_almanacs_entropy_is_that_of_what_it_writes():
    from almanac import ALMANAC, LONGEST, Almanac, tokens

    almanac = Almanac(**ALMANAC)
    told = almanac.stories(20_000, seed=3)
    nats = -np.array([almanac.grammar.log_probability(story) for story in told])
    length = np.array([len(almanac.tokenizer.encode(story)) for story in told])
    assert length.max() <= LONGEST
    assert almanac.mean_length == pytest.approx(17.5)
    assert list(length) == [tokens(story) for story in told]
    assert length.mean() == pytest.approx(almanac.mean_length, abs=4 * length.std() / 20_000**0.5)
    entropy, error = almanac.entropy * almanac.mean_length, nats.std() / 20_000**0.5
    assert abs(nats.mean() - entropy) < 4 * error < 0.02 * entropy
    assert all(almanac.form.parse(story) for story in told[:100])
    assert almanac.tokenizer.decode(almanac.ids(3, seed=3)) == "\n" + "".join(told[:3])


@pytest.mark.slow
def test_in_an_even_choice_of_stories_everybody_is_met_as_often_as_is_expected():
    from almanac import ALMANAC, Almanac

    almanac = Almanac(**ALMANAC)
    people, count = almanac.grammar.lists["person"], 4000

    leads = {person.lead for person in people}

    def misses(even):
        """Return the error of the number of meetings, for each of the first 20 people."""
        told = almanac.stories(count, seed=1, even=even)
        met = Counter(o.lead for story in told for o in almanac.grammar.parse(story)
                      if o.lead in leads)
        expected = [person.probability * met.total() for person in people[:20]]
        return np.abs(np.array([met[person.lead] for person in people[:20]]) - expected)

    assert misses(even=True).max() < 3 < 10 < misses(even=False).max()
