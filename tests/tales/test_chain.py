"""The least loss from a window, by enumerating texts and offsets: `npgpt.tales.chain`."""

import math
from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_grammars import grammars, texts_of

from npgpt.tales.chain import Chain
from npgpt.tales.grammar import Grammar
from npgpt.tokenizers import CharTokenizer, WordTokenizer

SAYING = Grammar({"story": ["t {p:name} {p.did}.", "ab, {q:name}."],
                  "name": [("ab", {"did": "sat"}, 3), ("ba{:a}", {"did": "ran"})],
                  "a": ["a", "b", "n"]})
WORDS = WordTokenizer(" ,.abnrst", ["ab", " ran", "baa", " ba"])


def by_brute_force(texts, encode, length):
    """Return {tokens of a window: its weight}: over all runs of stories and all offsets in the
    first of them, so that every window of so many tokens is met as often as in an endless text."""
    found = defaultdict(float)
    tokens = {text: tuple(encode(text)) for text in texts}

    def extend(p, run, starts):
        if len(run) >= starts + length:
            for i in range(starts):
                found[run[i : i + length]] += p
            return
        for text, q in texts.items():
            extend(p * q, run + tokens[text], starts or len(tokens[text]))

    extend(1.0, (), 0)
    return found


def encoded(tokenizer):
    return lambda text: [tokenizer.tokens[i].decode() for i in tokenizer.encode(text)]


def check(grammar, write, encode, length):
    windows = by_brute_force(texts_of(grammar), encode, length)
    shorter = defaultdict(float)
    for window, weight in windows.items():
        shorter[window[:-1]] += weight
    chain = Chain(grammar, write)
    for window, weight in windows.items():
        belief = chain.opening(window[0])[1]
        for token in window[1:]:
            p, belief = chain.read(belief, token)
        assert p == pytest.approx(weight / shorter[window[:-1]], rel=1e-12, abs=1e-12)
        assert math.fsum(belief.values()) == pytest.approx(1)


@given(grammars().filter(lambda g: len(texts_of(g)) < 20), st.integers(2, 4))
def test_it_is_that_of_all_texts_and_offsets_for_characters(grammar, length):
    ended = Grammar({"story": ["{:its}."], "its": [(o.traits[""], dict(o.traits), o.probability)
                                                   for o in grammar.lists["story"]]})
    ended.lists = grammar.lists | ended.lists
    check(ended, CharTokenizer.write, list, length)
    check(ended, None, list, length)


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_word_tells_more_than_its_letters(length):
    check(SAYING, WORDS.write, encoded(WORDS), length)


def test_targets_of_windows_come_to_what_all_text_tells():
    text = "t ab sat.t bab ran.ab, bab." * 3
    chain = Chain(SAYING)
    known = chain.surprisals(text, chain.beginning)
    found = chain.in_windows(text, known, [(4, 60, 10)], chain.cut_anywhere())
    assert np.isnan(found[:10]).all() and np.isnan(found[60:]).all()
    assert found[40:60] == pytest.approx(known[40:60])
    assert chain.surprisals("abx", chain.beginning) is None


@pytest.mark.parametrize("length", [2, 3, 4])
def test_a_token_that_is_certain_only_once_more_was_read(length):
    """After "b" may come "n" or "nb", which the tokenizer writes in other tokens."""
    grammar = Grammar({"story": [("b{:a} {:a}n.", {}, 2), ("a{:a}{:a}, b.", {}, 1)],
                       "a": [("a", {}, 3), ("b", {}), ("nb", {})]})
    words = WordTokenizer(" ,.abnrst", ["ba", "bnb", " an", "aab"])
    check(grammar, words.write, encoded(words), length)
