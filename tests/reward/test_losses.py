"""The loss of learning from a reward, in a language whose stories are all enumerated."""

from dataclasses import replace

import numpy as np
import pytest
from enumerated_stories import (
    ALL,
    COUNTED,
    END,
    RIGHT,
    Verifier,
    differences,
    expected,
    gradient,
    model,
    nats,
    validity,
)

from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs
from npgpt.reward.settings import RewardConfig

REWARD = RewardConfig(reward="grammar")


@pytest.fixture
def policy():
    return model(1)


@pytest.fixture(scope="module")
def reference():
    return model(2)


def objective(policy, reference, **switches):
    return Rewarded(None, policy, reference, Verifier(), [END], replace(REWARD, **switches))


@pytest.mark.parametrize("switches", [{}, {"reward_credit": "token"}], ids=str)
def test_the_policy_gradient_is_that_of_the_validity(policy, reference, switches):
    exact = differences(policy, lambda: validity(policy))
    found = expected(policy, objective(policy, reference, **switches), N=2)
    # Each story is part of its own baseline, which takes 1 / N of the gradient.
    np.testing.assert_allclose(-found, (1 - 1 / 2) * exact, atol=1e-8)


def test_a_kl_penalty_pulls_as_its_theory_says(policy, reference):
    with_kl, without = (
        expected(policy, objective(policy, reference, reward_kl=beta)) for beta in (1.0, 0.0))
    pi = np.exp(nats(policy).sum(axis=1))
    weight = pi[:, None] * COUNTED  # a prefix is shared by stories, whose pi add up to its own

    def penalty():
        own, ref = (frozen_log_probs(m, ALL)[1] for m in (policy, reference))
        return (weight * (np.exp(own) * (own - ref)).sum(axis=-1)).sum()

    np.testing.assert_allclose(with_kl - without, differences(policy, penalty), atol=1e-8)


def test_credit_by_token_ends_at_the_first_wrong_one(policy, reference):
    draw = objective(policy, reference, reward_credit="token").judged(
        np.array([(END, 1, 2, 0), (END, 1, 1, 0)]))
    assert (draw.advantage_BT != 0).tolist() == [[True] * 3, [True, True, False]]


# ---- a prompt and a judge for each row


def test_each_row_goes_on_from_its_own_prompt_with_the_models_probabilities():
    policy, count = model(1), 20_000
    prompts = [[END]] * count + [[END, 1]] * count
    drawn = draw_stories(policy, prompts, Verifier(), np.random.default_rng(0))
    pi = np.exp(nats(policy).sum(axis=1))
    begun = ALL[:, 1] == 1
    for rows, p in ((drawn[:count], pi), (drawn[count:], np.where(begun, pi, 0) / pi[begun].sum())):
        found = {tuple(ids): 0 for ids in ALL.tolist()}
        for ids in rows.tolist():
            found[tuple(ids)] += 1
        z = (np.array([*found.values()]) - count * p) / np.sqrt(np.maximum(count * p * (1 - p), 1))
        assert abs(z).max() < 4


def test_what_is_asked_does_not_count_and_each_row_has_its_judge():
    policy, reference = model(1), model(2)
    of = objective(policy, reference)
    of.advantages = lambda reward_B, *_: reward_B  # of one story there is no mean of others
    rows = np.array([(END, 1, 2, 0), (END, 1, 2, 0), (END, 2, 0, PAD)])

    class Other(Verifier):
        def __call__(self, ids):
            return super().__call__((1, *ids))

    tasks = [([END], Verifier()), ([END, 1], Other()), ([END], Verifier())]
    draw = of.judged(rows, tasks=tasks)
    assert draw.counted_BT.tolist() == [[1, 1, 1], [0, 1, 1], [1, 1, 0]]
    assert draw.valid_B.tolist() == [1, 1, 1] and {(1, 2, 0), (2, 0)} <= RIGHT
    found = gradient(policy, of.judged(rows[1:2], tasks=tasks[1:2]).loss(policy))
    whole, first = (gradient(policy, of.judged(rows[:1, :n]).loss(policy)) for n in (4, 2))
    assert not first.any()  # a story that was cut off has no reward
    by_first = of.judged(rows[:1])
    by_first.counted_BT[:, 1:] = by_first.advantage_BT[:, 1:] = 0
    np.testing.assert_allclose(found + gradient(policy, by_first.loss(policy)), whole, atol=1e-12)
