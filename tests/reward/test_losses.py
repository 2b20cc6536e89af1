"""The loss of learning from a reward, in a language whose stories are all enumerated."""

from dataclasses import replace
from types import SimpleNamespace

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

from autograd import gradcheck, log_softmax
from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs
from npgpt.reward.losses import policy_loss
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


@pytest.mark.parametrize("beta", [0.0, 0.1])
def test_the_gradient_of_the_loss_by_gradcheck(beta):
    rng = np.random.default_rng(0)
    logits, ids = rng.standard_normal((4, 3, 3)), rng.integers(0, 3, (4, 3))
    draw = SimpleNamespace(
        advantage_BT=rng.standard_normal((4, 3)), counted_BT=rng.integers(0, 2, (4, 3)) * 1.0,
        ref_BTV=np.log(rng.dirichlet(np.ones(3), (4, 3))))

    def policy(logits):
        all_BTV = log_softmax(logits)
        return policy_loss(all_BTV[np.arange(4)[:, None], np.arange(3), ids], all_BTV, draw, beta)

    gradcheck(policy, [logits])


# ---- a prompt and a judge for each row


def test_each_row_goes_on_from_its_own_prompt_with_the_models_probabilities():
    policy, count = model(1), 20_000
    prompts = [[END]] * count + [[END, 1]] * count
    drawn = draw_stories(policy, prompts, 2 * count, Verifier(), np.random.default_rng(0))
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


def test_the_tasks_of_a_step_are_those_it_was_drawn_for():
    policy = model(1)
    of = objective(policy, model(2))
    own = [([END], Verifier()), ([END, 1], Verifier()), ([END, 2], Verifier())]
    of.tasks = lambda count, seed, step: [
        own[i] for i in np.random.default_rng((seed, step)).integers(3, size=count)]
    for step in range(2):
        draw = of.sample(None, None, 4, seed=5, step=step)
        for b, (prompt, _) in enumerate(of.tasks(4, 5, step)):
            assert draw.idx_BT[b, : len(prompt)].tolist() == prompt
            assert draw.counted_BT[b].argmax() == len(prompt) - 1
