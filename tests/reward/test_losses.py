"""Losses of learning from a reward, in a language so small that every story is enumerated.

Stories are up to three tokens of 0, 1 and 2 long, and 0 ends one: fifteen in all. So the expected
gradient of each estimator is a sum over all groups of stories that could be drawn, and what it
should be is a finite difference of a sum over all stories.
"""

from dataclasses import replace
from itertools import combinations_with_replacement, permutations, product
from types import SimpleNamespace

import numpy as np
import pytest

from autograd import Tensor, gradcheck, log_softmax
from npgpt import GPT, GPTConfig
from npgpt.reward.draws import PAD, Rewarded, draw_stories, frozen_log_probs
from npgpt.reward.losses import advantages, dpo_loss, policy_loss
from npgpt.reward.settings import RewardConfig
from npgpt.reward.verify import Verdict

CONFIG = GPTConfig(vocab_size=3, block_size=3, n_layer=1, n_head=1, n_embd=4)
REWARD = RewardConfig(reward="grammar")
END = 0
STORIES = sorted({(*ids[: ids.index(END)], END) if END in ids else ids
                  for ids in product(range(3), repeat=3)})
RIGHT = {(1, 2, 0), (2, 0), (2, 2, 1)}


class Verifier:
    tokens = (b"0", b"1", b"2")

    def ended(self, written):
        return written.endswith(b"0")

    def __call__(self, ids):
        ids = tuple(ids)
        if ids in RIGHT:
            return Verdict(1.0, True)
        begin = [right[: len(ids)] for right in RIGHT]
        right = max(n for n in range(len(ids) + 1) if any(ids[:n] == b[:n] for b in begin))
        return Verdict(0.0, False, min(right, len(ids) - 1))


def model(seed):
    made = GPT(CONFIG, seed=seed, dtype=np.float64)
    for weight in made.parameters().values():  # far from uniform
        weight.data += 0.5 * np.random.default_rng(seed).standard_normal(weight.shape)
    return made


def rows(stories):
    return np.array([(END, *ids, *[PAD] * (3 - len(ids))) for ids in stories])


ALL = rows(STORIES)
COUNTED = ALL[:, 1:] != PAD


@pytest.fixture
def policy():
    return model(1)


@pytest.fixture(scope="module")
def reference():
    return model(2)


def nats(of):
    return frozen_log_probs(of, ALL)[0] * COUNTED


def objective(policy, reference, **switches):
    return Rewarded(None, policy, reference, Verifier(), [END], replace(REWARD, **switches))


def gradient(policy, loss):
    for weight in policy.parameters().values():
        weight.grad = None
    loss.backward()
    return np.concatenate([weight.grad.ravel() for weight in policy.parameters().values()])


def expected(policy, reference, N=1, **switches):
    """Return the mean gradient of the loss over all groups of N stories, in any order."""
    of, total = objective(policy, reference, **switches), 0.0
    pi = np.exp(nats(policy).sum(axis=1))
    assert abs(pi.sum() - 1) < 1e-12
    for group in combinations_with_replacement(range(len(STORIES)), N):
        loss, orders = of.judged(ALL[list(group)]).loss(policy), len({*permutations(group)})
        total = total + orders * pi[list(group)].prod() * gradient(policy, loss)
    return total


def differences(policy, f):
    """Return the gradient of f() with respect to the policy's weights, by central differences."""
    found = []
    for weight in policy.parameters().values():
        for i in np.ndindex(weight.shape):
            before, ends = weight.data[i], []
            for h in (1e-5, -1e-5):
                weight.data[i] = before + h
                ends.append(f())
            weight.data[i] = before
            found.append((ends[0] - ends[1]) / 2e-5)
    return np.array(found)


RIGHT_S = np.array([ids in RIGHT for ids in STORIES])


def validity(policy):
    return np.exp(nats(policy).sum(axis=1))[RIGHT_S].sum()


@pytest.mark.parametrize("switches", [{}, {"reward_credit": "token"}], ids=str)
@pytest.mark.parametrize("N", [1, 2])
def test_the_policy_gradient_is_that_of_the_validity(policy, reference, N, switches):
    exact = differences(policy, lambda: validity(policy))
    plain = expected(policy, reference, N, reward_advantage="none", **switches)
    np.testing.assert_allclose(-plain, exact, atol=1e-8)
    # Each story is part of its own baseline, which takes 1 / N of the gradient.
    based = expected(policy, reference, N, **switches)
    np.testing.assert_allclose(-based, (1 - 1 / N) * exact, atol=1e-8)


def test_the_standard_deviation_scales_it_by_what_the_binomial_says(policy, reference):
    exact, V = differences(policy, lambda: validity(policy)), validity(policy)
    scaled = expected(policy, reference, 2, reward_advantage="std")
    one_of_two = 2 * V * (1 - V)  # the only groups with a deviation, which is a half
    np.testing.assert_allclose(-scaled, exact * one_of_two / 2 / (V * (1 - V)), atol=1e-5)


def test_the_mean_over_a_storys_tokens_is_biased(policy, reference):
    per_story = np.array([(1.0 if ids in RIGHT else 0.0) / len(ids) for ids in STORIES])
    by_length = expected(policy, reference, reward_advantage="none", reward_length="mean")
    value = differences(policy, lambda: np.exp(nats(policy).sum(axis=1)) @ per_story)
    np.testing.assert_allclose(-by_length, value, atol=1e-8)


def prefix_kl(policy, reference, of):
    """Return sum over prefixes of their present probability times f(ln pi, ln pi_ref)."""
    pi = np.exp(nats(policy).sum(axis=1))
    weight = pi[:, None] * COUNTED  # a prefix is shared by stories, whose pi add up to its own

    def value():
        own, ref = (frozen_log_probs(m, ALL)[1] for m in (policy, reference))
        return (weight * of(own, ref)).sum()

    return value


def forward(own, ref):
    return (np.exp(ref) * (ref - own)).sum(axis=-1)


def reverse(own, ref):
    return (np.exp(own) * (own - ref)).sum(axis=-1)


@pytest.mark.parametrize(("estimator", "of"), [
    ("k1", lambda own, ref: 0.0 * own.sum(axis=-1)), ("k2", reverse), ("full", reverse),
    ("k3", forward),
])
def test_a_kl_in_the_loss_pulls_as_its_theory_says(policy, reference, estimator, of):
    """k1 has no mean gradient, k3 that of the forward KL, at each token."""
    with_kl, without = (
        expected(policy, reference, reward_advantage="none", reward_kl=beta,
                 reward_kl_estimator=estimator) for beta in (1.0, 0.0))
    exact = differences(policy, prefix_kl(policy, reference, of))
    np.testing.assert_allclose(with_kl - without, exact, atol=1e-8)


def test_a_kl_in_the_reward_is_that_of_whole_stories(policy, reference):
    found = expected(policy, reference, reward_advantage="none", reward_kl=0.3,
                     reward_kl_estimator="reward")

    def value():
        logp, ref = nats(policy).sum(axis=1), nats(reference).sum(axis=1)
        return validity(policy) - 0.3 * np.exp(logp) @ (logp - ref)

    np.testing.assert_allclose(-found, differences(policy, value), atol=1e-8)


def test_an_entropy_bonus_raises_the_entropy_at_each_token(policy, reference):
    with_bonus, without = (
        expected(policy, reference, reward_advantage="none", reward_entropy=eta)
        for eta in (1.0, 0.0))
    entropy = prefix_kl(policy, reference, lambda own, ref: -(np.exp(own) * own).sum(axis=-1))
    np.testing.assert_allclose(without - with_bonus, differences(policy, entropy), atol=1e-8)


def test_rejection_sampling_is_cross_entropy_of_the_right_stories(policy, reference):
    of = objective(policy, reference, reward_draws="start", reward_advantage="none")
    found = gradient(policy, of.judged(ALL).loss(policy))
    exact = differences(policy, lambda: -nats(policy)[RIGHT_S].sum() / len(ALL))
    np.testing.assert_allclose(found, exact, atol=1e-8)


def test_dpo_by_its_formula(policy, reference):
    of = objective(policy, reference, reward_loss="dpo", reward_kl=0.7)
    right, wrong = STORIES.index((2, 0)), STORIES.index((1, 1, 1))
    batch = ALL[[wrong, right, right]]  # the second right story has no partner

    def value():
        d = (nats(policy) - nats(reference)).sum(axis=1)
        return -np.log(1 / (1 + np.exp(-0.7 * (d[right] - d[wrong]))))

    loss = of.judged(batch).loss(policy)
    assert loss.item() == pytest.approx(value(), abs=1e-12)
    np.testing.assert_allclose(gradient(policy, loss), differences(policy, value), atol=1e-8)


def test_a_batch_without_a_pair_moves_nothing(policy, reference):
    of = objective(policy, reference, reward_loss="dpo", reward_kl=0.7)
    only_right = ALL[[STORIES.index(ids) for ids in sorted(RIGHT)]]
    assert not gradient(policy, of.judged(only_right).loss(policy)).any()


@pytest.mark.parametrize("drawn", [slice(None), RIGHT_S, ~RIGHT_S, slice(1)], ids=str)
def test_what_dpo_measures_is_of_the_stories_that_were_drawn(policy, reference, drawn):
    found = []
    for switches in ({}, {"reward_loss": "dpo", "reward_kl": 0.7}):
        of = objective(policy, reference, **switches)
        of.batch = of.judged(ALL[drawn])
        of.batch.loss(policy)
        found.append(of.measured)
    assert found[0] == found[1] and found[0]["valid"] == RIGHT_S[drawn].mean()


@pytest.mark.parametrize("switches", [
    {"reward_updates": 2}, {"reward_updates": 2, "reward_kl": 0.1, "reward_kl_estimator": "k3"},
    {"reward_kl": 0.1}, {"reward_entropy": 0.1}, {"reward_length": "mean"},
], ids=str)
def test_gradients_of_the_losses_by_gradcheck(switches):
    rng, config = np.random.default_rng(0), replace(REWARD, **switches)
    logits, ids = rng.standard_normal((4, 3, 3)), rng.integers(0, 3, (4, 3))
    at = np.arange(4)[:, None], np.arange(3), ids
    ref = np.log(rng.dirichlet(np.ones(3), (4, 3)))
    draw = SimpleNamespace(
        advantage_BT=rng.standard_normal((4, 3)), scale_BT=rng.random((4, 3)), ref_BT=ref[at],
        ref_BTV=ref, counted_BT=np.ones((4, 3)), valid_B=np.array([0, 1, 1, 0]),
        old_BT=log_softmax(Tensor(logits)).data[at] + rng.choice([-0.4, 0.1], (4, 3)))

    def policy(logits):
        all_BTV = log_softmax(logits)
        return policy_loss(all_BTV[at], all_BTV, draw, config)

    gradcheck(policy, [logits])
    with_beta = replace(config, reward_kl=0.5)
    gradcheck(lambda x: dpo_loss(log_softmax(x)[at], draw, with_beta), [logits])


def test_a_clipped_token_has_no_gradient():
    """Beyond 1 + eps with A > 0, and below 1 - eps with A < 0; the other sides count."""
    config = replace(REWARD, reward_updates=2)
    for rho, A, moves in ((1.3, 1, False), (1.3, -1, True), (0.7, 1, True), (0.7, -1, False),
                          (1.1, 1, True), (0.9, -1, True)):
        logp = Tensor(np.zeros((1, 1)), requires_grad=True)
        draw = SimpleNamespace(advantage_BT=np.array([[float(A)]]), scale_BT=np.ones((1, 1)),
                               old_BT=np.full((1, 1), -np.log(rho)))
        policy_loss(logp, None, draw, config).backward()
        assert logp.grad.item() == pytest.approx(-rho * A if moves else 0)


def test_advantages_of_one_reward_and_of_none():
    counted = np.ones((3, 2))
    np.testing.assert_allclose(
        advantages(np.array([1.0, 0, 0]), counted, "mean")[:, 0], [2 / 3, -1 / 3, -1 / 3])
    for kind in ("mean", "std"):
        assert not advantages(np.ones(3), counted, kind).any()


def test_stories_are_drawn_with_the_models_probabilities(policy):
    count = 40_000
    drawn = draw_stories(policy, [END], count, Verifier(), np.random.default_rng(0))
    found = {tuple(ids): 0 for ids in ALL.tolist()}
    for ids in drawn.tolist():
        found[tuple(ids)] += 1  # KeyError for what is no story
    pi = np.exp(nats(policy).sum(axis=1))
    z = (np.array(list(found.values())) - count * pi) / np.sqrt(count * pi * (1 - pi))
    assert abs(z).max() < 4


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
    of = objective(policy, reference, reward_advantage="none")
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
    by_first.counted_BT[:, 1:] = by_first.scale_BT[:, 1:] = by_first.advantage_BT[:, 1:] = 0
    np.testing.assert_allclose(found + gradient(policy, by_first.loss(policy)), whole, atol=1e-12)


@pytest.mark.parametrize("updates", [1, 3])
def test_the_tasks_of_a_step_are_those_it_was_drawn_for(updates):
    """A resumed run finds the stories of an earlier step, and has to know what was asked."""
    policy = model(1)
    of = objective(policy, model(2), reward_updates=updates)
    of.drawn = {"ids": np.full((4 * updates, 4), PAD), "old": np.zeros((4 * updates, 3))}
    own = [([END], Verifier()), ([END, 1], Verifier()), ([END, 2], Verifier())]
    of.tasks = lambda count, seed, step: [
        own[i] for i in np.random.default_rng((seed, step)).integers(3, size=count)]
    for step in range(2 * updates):
        draw = of.sample(None, None, 4, seed=5, step=step)
        whole = of.tasks(4 * updates, 5, step - step % updates)
        for b in range(4):
            prompt = whole[step % updates * 4 + b][0]
            assert draw.idx_BT[b, : len(prompt)].tolist() == prompt
            assert draw.counted_BT[b].argmax() == len(prompt) - 1
