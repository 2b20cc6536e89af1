"""The fit of a scaling law on losses made with known constants, and the almanac's entropy."""

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
    from scaling_law import Law, bootstrap, fit, interval

    law = Law(0.8, 6.0, 60.0, 0.35, 0.4)
    C, N, D = grid(np.geomspace(1e11, 6.4e12, 4), np.geomspace(3e3, 1e6, 6))
    covered = []
    for seed in range(10):
        noise = np.random.default_rng(seed).normal(0, 0.003, len(N))
        L = law.loss(N, D) * np.exp(noise)
        samples = list(bootstrap(N, D, L, samples=60, seed=seed))
        for true, found in zip(law, zip(*samples, strict=True), strict=True):
            low, high = interval(found)
            covered.append(low < true < high)
        assert abs(fit(N, D, L).E / 0.8 - 1) < 0.05
    assert np.mean(covered) > 0.8  # 95 % if there were more than 24 runs


def test_an_error_of_one_run_moves_nothing():
    from scaling_law import Law, fit

    law = Law(*CHINCHILLA)
    _, N, D = grid(np.geomspace(6e18, 3e21, 5), np.geomspace(7e7, 1.6e10, 8))
    L = law.loss(N, D)
    L[7] *= 1.5
    np.testing.assert_allclose(fit(N, D, L).loss(N, D), law.loss(N, D), rtol=2e-3)


def test_the_best_size_is_where_the_law_has_its_least_loss():
    from scaling_law import Law, lowest

    law = Law(*CHINCHILLA)
    for C in (1e18, 1e20, 5.76e23):
        N = np.geomspace(1e6, 1e13, 20_001)
        assert law.best_size(C) == pytest.approx(N[law.loss(N, C / 6 / N).argmin()], rel=1e-3)
    budgets = np.geomspace(1e18, 1e21, 4)
    found = [law.best_size(C) * np.geomspace(0.8, 1.25, 5) for C in budgets]
    sizes = [lowest(N, law.loss(N, C / 6 / N), 5)[0] for C, N in zip(budgets, found, strict=True)]
    power, _ = np.polyfit(np.log(budgets), np.log(sizes), 1)
    assert power == pytest.approx(law.exponent, abs=1e-3)
    larger = 2 * found[0]
    assert np.isnan(lowest(larger, law.loss(larger, budgets[0] / 6 / larger), 5)[0])


@pytest.mark.slow
def test_the_almanacs_entropy_is_that_of_what_it_writes():
    from almanac import ALMANAC, LONGEST, MEAN, Almanac, tokens

    almanac = Almanac(**ALMANAC)
    told = almanac.stories(20_000, seed=3)
    nats = -np.array([almanac.grammar.log_probability(story) for story in told])
    length = np.array([len(almanac.tokenizer.encode(story)) for story in told])
    assert length.max() <= LONGEST
    assert almanac.mean_length == pytest.approx(MEAN)
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
