"""Draws of one token from one row of logits: `npgpt.sampling`."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npgpt.sampling import Sampling, log_probabilities

# Few distinct values, so that ties are the rule; -inf is a token that is ruled out.
tied_values = st.sampled_from([-np.inf, -3.0, -1.0, 0.0, 0.5, 2.0])
any_values = st.floats(-50, 50)
logits_rows = arrays(np.float64, st.integers(1, 12), elements=tied_values | any_values).filter(
    lambda logits_V: logits_V.max() > -np.inf
)
top_ks = st.none() | st.integers(1, 15)


class FixedRandom:
    """A random generator that always returns one given number, such as an edge of [0, 1)."""

    def __init__(self, number):
        self.number = number

    def random(self):
        return self.number


def brute_force(logits_V, sampling, context=()):
    """Return the probabilities by the documented order, with sorted lists and exact sums."""
    temperature, top_k, top_p = sampling.temperature, sampling.top_k, sampling.top_p
    penalty = sampling.repetition_penalty
    logits_V = [
        x if v not in context else x / penalty if x > 0 else x * penalty
        for v, x in enumerate(logits_V)
    ]
    peak = max(logits_V)
    weight = [math.exp((logit - peak) / temperature) for logit in logits_V]
    tokens = sorted(range(len(logits_V)), key=lambda token: (-logits_V[token], token))
    tokens = tokens[:top_k]
    if top_p is not None:
        total = math.fsum(weight[token] for token in tokens)
        for n in range(1, len(tokens) + 1):
            if math.fsum(weight[token] for token in tokens[:n]) >= top_p * total - 1e-13 * total:
                tokens = tokens[:n]
                break
    if sampling.min_p is not None:
        tokens = [v for v in tokens if weight[v] >= sampling.min_p * (1 - 1e-13)]
    total = math.fsum(weight[token] for token in tokens)
    return [weight[v] / total if v in tokens else 0.0 for v in range(len(logits_V))]


# ---- the distribution


shares = st.none() | st.floats(0.001, 0.999)
DRAWN = {
    "temperature": st.sampled_from([0.1, 1.0, 3.0]), "top_k": top_ks, "top_p": shares,
    "min_p": shares, "repetition_penalty": st.sampled_from([1.0, 0.5, 1.3]),
}
samplings = st.builds(Sampling, **DRAWN)


@pytest.mark.parametrize("name", Sampling.__dataclass_fields__)
def test_every_setting_is_drawn_and_has_an_effect(name):
    def share(**given):
        return Sampling(**given).probabilities([0.5, 0.0], [0])[0]

    find(DRAWN[name], lambda x: share(**{name: x}) != share())


@given(logits_rows, samplings, st.lists(st.integers(0, 11), max_size=6))
def test_it_equals_the_documented_order_by_brute_force(logits_V, sampling, context):
    context, before_V = [v for v in context if v < len(logits_V)], logits_V.copy()
    probs_V = sampling.probabilities(logits_V, context)
    expected_V = brute_force(logits_V.tolist(), sampling, context)
    assert probs_V.tolist() == pytest.approx(expected_V, rel=1e-12, abs=1e-300)
    assert probs_V.dtype == np.float64 and probs_V.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_array_equal(logits_V, before_V)
    greedy = replace(sampling, temperature=0)
    assert probs_V[greedy.sample(logits_V, None, context)] == probs_V.max()


@pytest.mark.parametrize("tenths", [[1] * 10, [5, 3, 2], [7, 2, 1], [4, 3, 2, 1]])
def test_the_first_n_tokens_reach_their_own_total(tenths):
    logits_V = np.log(np.array(tenths) / 10)
    for n in range(1, len(tenths) + 1):
        kept = Sampling(top_p=sum(tenths[:n]) / 10).probabilities(logits_V) > 0
        assert kept.tolist() == [True] * n + [False] * (len(tenths) - n)


def test_top_p_of_one_keeps_even_a_token_that_no_sum_would_notice():
    assert (Sampling(top_p=1.0).probabilities([0.0, -80.0]) > 0).all()


@given(logits_rows, samplings)
def test_temperature_zero_is_one_for_the_first_of_the_largest_logits(logits_V, sampling):
    probs_V = replace(sampling, temperature=0).probabilities(logits_V)
    assert probs_V.tolist() == np.eye(len(logits_V))[np.argmax(logits_V)].tolist()


@pytest.mark.parametrize("temperature", [5e-324, 1e-6, 1e6, 1e308])
def test_no_temperature_overflows(temperature):
    probs_V = Sampling(temperature=temperature).probabilities([1e308, 0.0, -1e308, -np.inf])
    assert np.isfinite(probs_V).all() and probs_V.sum() == 1.0


@pytest.mark.parametrize("share", [0.5, 0.25, 0.1])
def test_a_token_at_the_border_of_min_p_stays(share):
    logits_V = np.log([0.4, 0.4 * share, 0.3 * share])
    assert (Sampling(min_p=share).probabilities(logits_V) > 0).tolist() == [True, True, False]
    assert Sampling(min_p=1.0).probabilities(np.zeros(3)) == pytest.approx([1 / 3] * 3)


@settings(max_examples=20)
@given(st.integers(0, 2**32), st.sampled_from([0.01, 0.5, 0.9, 0.999]), st.sampled_from([1e-3, 3]))
def test_top_p_of_a_large_vocabulary_is_that_of_sorting_it_whole(seed, top_p, spread):
    logits_V = np.random.default_rng(seed).standard_normal(3000).round(2) * spread
    expected_V = brute_force(logits_V.tolist(), Sampling(top_p=top_p))
    assert Sampling(top_p=top_p).probabilities(logits_V) == pytest.approx(np.array(expected_V))


@given(logits_rows, st.integers(0, 15))
def test_log_probabilities_are_the_models_own(logits_V, most):
    probs_V = Sampling().probabilities(logits_V)
    order = np.argsort(-logits_V, kind="stable")[:most]
    for token, prob in enumerate(probs_V):
        own, likeliest = log_probabilities(logits_V, token, most)
        assert own == pytest.approx(math.log(prob) if prob > 1e-300 else own, abs=1e-9)
        assert [v for v, _ in likeliest] == order.tolist()
    assert [p for _, p in likeliest] == [log_probabilities(logits_V, v, 0)[0] for v in order]


# ---- the draw


@given(logits_rows, samplings, st.lists(st.integers(0, 11), max_size=6))
def test_a_share_of_the_unit_interval_as_long_as_its_probability_draws_a_token(
    logits_V, sampling, context
):
    context = [v for v in context if v < len(logits_V)]
    probs_V = sampling.probabilities(logits_V, context)
    for token, end in enumerate(np.cumsum(probs_V)):
        for part in (0.01, 0.99) if probs_V[token] > 1e-9 else ():
            number = end - part * probs_V[token]
            assert sampling.sample(logits_V, FixedRandom(number), context) == token


def test_the_edges_of_the_unit_interval_are_the_first_and_the_last_possible_token():
    logits_V = [-np.inf, 0.0, -np.inf, 0.0, -np.inf]
    for number, token in ((0.0, 1), (np.nextafter(0.5, 0), 1), (0.5, 3), (np.nextafter(1, 0), 3)):
        assert Sampling().sample(logits_V, FixedRandom(number)) == token


def test_a_token_is_a_python_int_and_costs_one_random_number():
    rng, same = np.random.default_rng(0), np.random.default_rng(0)
    assert type(Sampling().sample(np.zeros(5, dtype=np.float32), rng)) is int
    same.random()
    assert rng.random() == same.random()


# ---- what cannot be sampled from


@pytest.mark.parametrize(("name", "value", "range_"), [
    *[("temperature", x, "> 0") for x in (-1.0, math.inf)],
    *[("top_k", x, ">= 1") for x in (0, -2)],
    *[("top_p", x, "0 < top_p <= 1") for x in (0.0, 1.5)],
    *[(name, math.nan, "") for name in DRAWN],
])
def test_a_setting_out_of_range_is_an_error_that_says_what_to_use(name, value, range_):
    with pytest.raises(ValueError, match=f"{name}={value}: .*{range_}"):
        Sampling(**{name: value})


@pytest.mark.parametrize(("logits", "complaint"), [
    ([], r"\(0,\)"), (np.zeros((2, 3)), r"\(2, 3\).*logits\[b, -1\]"),
    ([0.0, math.nan, 1.0], "token 1 is nan"), ([0.0, 1.0, math.inf], "token 2 is inf"),
    ([-math.inf, -math.inf], "-inf"),
])
@pytest.mark.parametrize("temperature", [0, 1.0])
def test_logits_that_are_not_one_row_of_numbers_are_an_error(logits, complaint, temperature):
    for use in (Sampling.probabilities, Sampling.sample):
        with pytest.raises(ValueError, match=complaint):
            use(Sampling(temperature), logits, np.random.default_rng(0))
