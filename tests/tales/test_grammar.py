"""Grammars small enough to enumerate all their texts: `npgpt.tales.grammar`."""

import math
from collections import Counter

import pytest
from hypothesis import given
from small_grammars import PETS, any_grammar, derivations, texts_of

from npgpt.tales.grammar import Grammar


def test_pets_by_hand():
    texts = dict(derivations(PETS))
    assert len(texts) == 1 + 3 * (2 + 3)
    chosen = texts["A red dog barked, so King Otto fed the dog."]
    assert [1 / option.probability for option in chosen] == [2, 3, 2, 1, 3]


@given(any_grammar)
def test_every_text_has_one_derivation_and_parse_finds_it_and_no_other_text(grammar):
    found = list(derivations(grammar))
    assert max(Counter(text for text, _ in found).values()) == 1
    texts = dict(found)
    for known in texts:
        for text in (known, known + "x", known[:-1]):
            assert grammar.parse(text) == texts.get(text)


@given(any_grammar)
def test_expectation_is_that_of_the_enumeration(grammar):
    found = texts_of(grammar)
    assert math.fsum(found.values()) == pytest.approx(1)
    entropy = -math.fsum(p * math.log(p) for p in found.values())
    length = math.fsum(p * len(text) for text, p in found.items())
    assert grammar.expectation() == pytest.approx((entropy, length))
    xs = math.fsum(p * text.count("x") for text, p in found.items())
    assert grammar.expectation(lambda piece: piece.count("x"))[1] == pytest.approx(xs)
    for text, p in found.items():
        assert grammar.log_probability(text) == pytest.approx(math.log(p), abs=1e-12)
    assert grammar.log_probability("z") is None


@given(any_grammar)
def test_surprisals_are_those_by_brute_force_over_all_continuations(grammar):
    texts = texts_of(grammar)

    def likely(start):
        return math.fsum(p for text, p in texts.items() if text.startswith(start))

    for text in texts:
        nats = grammar.surprisals(text)
        expected = [math.log(likely(text[:i]) / likely(text[: i + 1])) for i in range(len(text))]
        assert nats == pytest.approx(expected, rel=0, abs=1e-12)
        assert math.fsum(nats) == pytest.approx(-grammar.log_probability(text), abs=1e-12)
        for i in range(len(text)):
            assert grammar.surprisals(text[:i]) == nats[:i]
        for other in (text + "x", text[:-1] + "z"):
            assert grammar.surprisals(other) is None


def test_options_are_drawn_as_often_as_their_weights_say():
    weights = {"red": 5, "blue": 1, "green": 2}
    grammar = Grammar({"story": [(word, {}, weight) for word, weight in weights.items()]})
    drawn = Counter(grammar.lists["story"].draw(i / 8000).lead for i in range(8000))
    assert drawn == {word: 1000 * weight for word, weight in weights.items()}


@pytest.mark.parametrize("options", [["cat", "cattle"], ["cat", "cat"], ["cat", "{:story}"]])
def test_an_ambiguous_list_is_an_error(options):
    with pytest.raises(ValueError, match="ambiguous"):
        Grammar({"story": ["{:animal}"], "animal": options})
