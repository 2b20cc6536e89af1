"""Grammars small enough to enumerate every text of: `npgpt.data.grammar`."""

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.data.grammar import Grammar


def derivations(grammar):
    """(text, sizes of its choices) of every derivation, found by counting through the choices."""
    picks = []
    while True:
        sizes = []

        def choose(options, _, sizes=sizes):
            if len(sizes) == len(picks):
                picks.append(0)
            sizes.append(len(options))
            return options[picks[len(sizes) - 1]]

        yield grammar.write(choose), sizes
        while picks and picks[-1] == sizes[len(picks) - 1] - 1:
            picks.pop()
        if not picks:
            return
        picks[-1] += 1


PETS = Grammar(
    {
        "story": ["A {:colour} {pet:animal} {pet.sang}, so {who:pet.owners} fed the {pet}.", "No."],
        "colour": ["red", "blue", "green"],
        "animal": [
            ("cat", {"sang": "mewed", "owners": "lady"}),
            ("dog", {"sang": "barked", "owners": "lord"}),
        ],
        "lady": ["Ada", "Mia"],
        "lord": ["{:title} Otto"],
        "title": ["King", "Duke", "Earl"],
    }
)


@st.composite
def grammars(draw):
    """Lists that refer to later lists; the options of a list begin with different letters."""
    texts = st.text("xy", max_size=2)
    count = draw(st.integers(1, 3))
    lists = {"few": ["x"], "many": ["xy", "yx"]}
    for i in range(count):
        options = []
        for lead in "ab"[: draw(st.integers(1, 2))]:
            template = lead + draw(texts)
            for _ in range(draw(st.integers(0, 2)) if i < count - 1 else 0):
                later = draw(st.integers(i + 1, count - 1))
                slot = draw(st.sampled_from("pq"))  # two in all, so that slots are bound anew
                mention = draw(st.sampled_from(["", f"{{{slot}.t}}", f"{{:{slot}.names}}"]))
                template += f"{{{slot}:list{later}}}" + mention + draw(texts)
            traits = {"t": draw(texts), "names": draw(st.sampled_from(["few", "many"]))}
            options.append((template, traits))
        lists["story" if i == 0 else f"list{i}"] = options
    return Grammar(lists)


any_grammar = st.just(PETS) | grammars()


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
