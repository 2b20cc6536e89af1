"""Grammars small enough to enumerate every text of: `npgpt.data.grammar`."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_grammars import PETS, any_grammar, derivations

from npgpt.data.grammar import Grammar


def test_pets_by_hand():
    texts = dict(derivations(PETS))
    assert len(texts) == 1 + 3 * (2 + 3)
    assert texts["A red cat mewed, so Ada fed the cat."] == [2, 3, 2, 2]
    assert texts["A red dog barked, so King Otto fed the dog."] == [2, 3, 2, 1, 3]


@given(any_grammar)
def test_every_text_has_one_derivation_and_parse_finds_it(grammar):
    found = list(derivations(grammar))
    assert max(Counter(text for text, _ in found).values()) == 1
    for text, sizes in found:
        assert grammar.parse(text) == sizes


@given(any_grammar)
def test_expectation_is_that_of_the_enumeration(grammar):
    found = [(text, 1 / math.prod(sizes)) for text, sizes in derivations(grammar)]
    assert math.fsum(p for _, p in found) == pytest.approx(1)
    entropy = -math.fsum(p * math.log(p) for _, p in found)
    length = math.fsum(p * len(text) for text, p in found)
    assert grammar.expectation() == pytest.approx((entropy, length))


@given(any_grammar, st.text("abcxy"))
def test_parse_accepts_no_other_text(grammar, text):
    texts = dict(derivations(grammar))
    assert grammar.parse(text) == texts.get(text)
    for known in texts:
        assert grammar.parse(known + "x") is texts.get(known + "x")
        assert grammar.parse(known[:-1]) == texts.get(known[:-1])


@pytest.mark.parametrize("options", [["cat", "cattle"], ["cat", "cat"], ["cat", "{:story}"]])
def test_an_ambiguous_list_is_an_error(options):
    with pytest.raises(ValueError, match="'animal' is ambiguous.*reword"):
        Grammar({"story": ["{:animal}"], "animal": options})
