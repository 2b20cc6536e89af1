"""Words as tokens, known or spelled, encoded at once and character by character."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import WordTokenizer
from npgpt.tokenizers.word_level import MAX_LETTERS, OFTEN

LETTERS = "\n ,abä"
TOKENIZER = WordTokenizer(LETTERS, ["ab", " a", " ab", " abä", "äb"], ["<mask>"])
texts = st.text(LETTERS, max_size=40)


def token_texts(text):
    return [TOKENIZER.tokens[i].decode() for i in TOKENIZER.encode(text)]


@given(texts)
def test_a_text_comes_back_and_its_words_are_cut_as_the_rule_says(text):
    ids = TOKENIZER.encode(text)
    assert ids.dtype == np.int32 and TOKENIZER.decode(ids) == text
    expected = []
    for word in re.findall(r" ?[abä]+|[\n ,]", text):
        expected += [word] if word in TOKENIZER.words else list(word)
    assert token_texts(text) == expected


@given(texts)
def test_writing_character_by_character_gives_the_same_tokens(text):
    written, word = [], ""
    for n, character in enumerate([*text, ""]):
        tokens, word = TOKENIZER.write(word, character)
        written += tokens
        assert not word or text[: n + 1].endswith(word)
    assert (written, word) == (token_texts(text), "")


def test_a_run_of_letters_is_cut_so_that_time_and_memory_stay_flat():
    text = "ab" * 2600
    parts = [text[i : i + 700] for i in range(0, len(text), 700)]
    chunks = list(TOKENIZER.chunks([*parts, " ab", "ab ab"]))
    assert max(map(len, chunks)) <= 700 + MAX_LETTERS + 1
    assert [p for chunk in chunks for p in token_texts(chunk)] == token_texts(text + " abab ab")


def test_words_that_a_text_has_often_are_tokens():
    text = " hen" * OFTEN + " hens" * (OFTEN - 1) + "\nA" * OFTEN
    tokenizer = WordTokenizer.train([text[:9], text[9:]], "\n Aehns", ["<mask>"])
    assert tokenizer.words == [" hen"]  # A is a character already
    assert tokenizer.tokens[-2:] == [b" hen", b"<mask>"]
    assert tokenizer.special_ids == {"<mask>": 8} and tokenizer.vocab_size == 9


def test_special_tokens_and_unknown_characters():
    ids = TOKENIZER.encode("ab<mask> a", allowed_special="all")
    assert [TOKENIZER.tokens[i] for i in ids] == [b"ab", b"<mask>", b" a"]


@pytest.mark.parametrize("words", [["a"], [" "], ["a b"], ["ab,"], ["ab", "ab"], ["a" * 1001]])
def test_invalid_words_are_refused(words):
    with pytest.raises(ValueError, match=f"{words[0][:99]!r}|twice"):
        WordTokenizer(LETTERS, words)
