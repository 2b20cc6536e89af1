"""The verifier: a story's first wrong token, beside all texts of small grammars."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_grammars import PETS, grammars, texts_of

from npgpt import CharTokenizer, tales
from npgpt.reward.verify import GrammarVerifier, derivable


def by_all_texts(grammar, text):
    texts = texts_of(grammar)
    return max(n for n in range(len(text) + 1) if any(t.startswith(text[:n]) for t in texts))


@given(st.data())
def test_as_many_characters_as_some_text_begins_with(data):
    grammar = data.draw(grammars() | st.just(PETS))
    texts = sorted(texts_of(grammar))
    text = data.draw(st.sampled_from(texts))
    cut = data.draw(st.integers(0, len(text)))
    text = text[:cut] + data.draw(st.sampled_from(["", "x", "y", "xyx", "e"])) + text[cut:]
    assert derivable(text, grammar) == by_all_texts(grammar, text)


TEXT = tales.generate(20_000, seed=3)
STORIES = tales.stories(TEXT)


@given(st.sampled_from(STORIES), st.integers(0, 400), st.sampled_from("abc .,\n"))
def test_a_verdict_on_a_tale(story, at, letter):
    tokenizer = CharTokenizer.train(TEXT)
    verify = GrammarVerifier(tokenizer)
    at %= len(story)
    assert verify(tokenizer.encode(story)) == (1.0, True, None)
    cut = verify(tokenizer.encode(story[:at])) if at else (0.0, False, None)
    assert cut == (0.0, False, None)
    changed = story[:at] + letter + story[at + 1 :]
    if tales.log_probability(changed.partition(tales.END)[0] + tales.END) is None:
        verdict = verify(tokenizer.encode(changed))
        assert verdict[:2] == (0.0, False)
        assert verdict.wrong is None or verdict.wrong >= at


@pytest.mark.parametrize(("text", "wrong"), [
    ("Long ago there were two shy red dogs in Barania. It", "I"),
    ("One dawn shy King Barano of Barania lost her", "e"), ("In Barbara", "b"),
    ("Once a shy red dog", "o"), ("One dawn shy King Bar", None),
])
def test_the_first_wrong_token_of_words_and_characters(text, wrong):
    tokenizer = CharTokenizer.train(TEXT)
    found = GrammarVerifier(tokenizer)(tokenizer.encode(text)).wrong
    assert (text[found] if found is not None else None) == wrong
