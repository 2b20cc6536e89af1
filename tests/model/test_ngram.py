"""N-gram models against counts made by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.ngram import NgramModel

texts = st.integers(1, 4).flatmap(
    lambda V: st.tuples(st.just(V), st.lists(st.integers(0, V - 1), min_size=3, max_size=30))
)


def by_hand(ids, V, n, smoothing, context, token):
    grams = [tuple(ids[i : i + n]) for i in range(len(ids) - n + 1)]
    before = tuple(context[len(context) - n + 1 :])
    count = sum(gram == (*before, token) for gram in grams)
    return (count + smoothing) / (sum(gram[:-1] == before for gram in grams) + smoothing * V)


@given(text=texts, n=st.integers(1, 3), data=st.data())
def test_probabilities_are_smoothed_relative_counts(text, n, data):
    V, ids = text
    context = data.draw(st.lists(st.integers(0, V - 1), min_size=n - 1, max_size=4))
    p_V = NgramModel(ids, V, n, smoothing=0.5).probabilities(context)
    assert p_V.sum() == pytest.approx(1)
    expected = [by_hand(ids, V, n, 0.5, context, token) for token in range(V)]
    np.testing.assert_allclose(p_V, expected)


@given(text=texts, n=st.integers(1, 3))
def test_loss_is_the_mean_surprise_of_the_probabilities(text, n):
    V, ids = text
    model = NgramModel(ids, V, n)
    surprise = [-math.log(model.probabilities(ids[:i])[ids[i]]) for i in range(n - 1, len(ids))]
    assert model.loss(ids) == pytest.approx(np.mean(surprise))


def test_bad_input_is_refused():
    for ids, V, n in (([0, 1], 2, 0), ([0, 1], 50257, 5), ([0], 2, 2)):
        with pytest.raises(ValueError, match=" n|tokens"):
            NgramModel(ids, V, n)
    with pytest.raises(ValueError, match="tokens; .* 3 "):
        NgramModel([0, 1, 0], 2, 3).probabilities([1])
