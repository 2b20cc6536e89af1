"""The switches of the reward study, in a language whose stories are all enumerated."""

import numpy as np
import pytest

pytest.importorskip("pandas", reason="of the extra 'studies'")
from enumerated_stories import (
    ALL,
    END,
    RIGHT,
    RIGHT_S,
    STORIES,
    Verifier,
    differences,
    expected,
    gradient,
    model,
    nats,
    validity,
)
from reward_trials import Switched

from npgpt.reward.settings import RewardConfig


@pytest.fixture
def policy():
    return model(1)


def switched(policy, beta=0.0, **switches):
    config = RewardConfig(reward="grammar", reward_kl=beta)
    of = Switched(None, policy, model(2), Verifier(), [END], config)
    for name, value in switches.items():
        setattr(of, name, value)
    return of


def test_the_standard_deviation_scales_it_by_what_the_binomial_says(policy):
    exact, V = differences(policy, lambda: validity(policy)), validity(policy)
    scaled = expected(policy, switched(policy, advantage="std"), 2)
    one_of_two = 2 * V * (1 - V)  # the only groups with a deviation, which is a half
    np.testing.assert_allclose(-scaled, exact * one_of_two / 2 / (V * (1 - V)), atol=1e-5)


def test_a_kl_in_the_reward_is_that_of_whole_stories(policy):
    found = expected(policy, switched(policy, advantage="none", kl=0.3))
    reference = nats(model(2)).sum(axis=1)

    def value():
        logp = nats(policy).sum(axis=1)
        return validity(policy) - 0.3 * np.exp(logp) @ (logp - reference)

    np.testing.assert_allclose(-found, differences(policy, value), atol=1e-8)


def test_rejection_sampling_is_cross_entropy_of_the_right_stories(policy):
    of = switched(policy, advantage="none")
    found = gradient(policy, of.judged(ALL).loss(policy))
    exact = differences(policy, lambda: -nats(policy)[RIGHT_S].sum() / len(ALL))
    np.testing.assert_allclose(found, exact, atol=1e-8)


def test_dpo_by_its_formula(policy):
    of, reference = switched(policy, 0.7, pool=ALL), nats(model(2))
    right, wrong = STORIES.index((2, 0)), STORIES.index((1, 1, 1))
    batch = ALL[[wrong, right, right]]  # the second right story has no partner

    def value():
        d = (nats(policy) - reference).sum(axis=1)
        return -np.log(1 / (1 + np.exp(-0.7 * (d[right] - d[wrong]))))

    loss = of.judged(batch).loss(policy)
    assert loss.item() == pytest.approx(value(), abs=1e-12)
    np.testing.assert_allclose(gradient(policy, loss), differences(policy, value), atol=1e-8)
    only_right = ALL[[STORIES.index(ids) for ids in sorted(RIGHT)]]
    assert not gradient(policy, of.judged(only_right).loss(policy)).any()


@pytest.mark.parametrize("drawn", [slice(None), RIGHT_S, ~RIGHT_S, slice(1)], ids=str)
def test_what_is_measured_is_of_the_stories_that_were_drawn(policy, drawn):
    found = []
    for pool in None, ALL:
        of = switched(policy, pool=pool)
        of.batch = of.judged(ALL[drawn])
        of.batch.loss(policy)
        found.append(of.measured)
    assert found[0] == found[1] and found[0]["valid"] == RIGHT_S[drawn].mean()
