"""CharTokenizer: its vocabulary, its round trip, and the input that it refuses."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer


@given(st.text(min_size=1))
def test_round_trip(text):
    tokenizer = CharTokenizer.train(text)
    assert tokenizer.characters == "".join(sorted(set(text)))
    assert tokenizer.vocab_size == len(set(text))
    ids = tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert [tokenizer.characters[i] for i in ids] == list(text)
    assert tokenizer.decode(ids) == tokenizer.decode(ids.tolist()) == text


@pytest.mark.parametrize("kind", [CharTokenizer, WordTokenizer])
@given(st.text(min_size=1), st.text(min_size=1))
def test_the_first_unknown_character_is_named_with_its_position(kind, known, text):
    unknown = [(i, c) for i, c in enumerate(text) if c not in known]
    tokenizer = kind("".join(sorted(set(known))), ())
    if not unknown:
        assert tokenizer.decode(tokenizer.encode(text)) == text
        return
    position, character = unknown[0]
    with pytest.raises(ValueError, match=rf"U\+{ord(character):04X}\) at position {position}:"):
        tokenizer.encode(text)


@pytest.mark.parametrize(
    ("ids", "error", "message"),
    [
        ([0, 1, 2], IndexError, "to 2 .* 2 tokens"),
        ([0.0, 1.0], TypeError, "float"),
        ([[0, 1]], TypeError, "list"),
    ],
)
def test_ids_that_cannot_be_decoded(ids, error, message):
    with pytest.raises(error, match=message):
        CharTokenizer.train("ab").decode(ids)


@pytest.mark.parametrize("use", [
    CharTokenizer.train, CharTokenizer.train("ab").encode, WordTokenizer("ab", []).encode,
    BPETokenizer([]).encode, lambda text: BPETokenizer.train([text], 300),
])
def test_text_must_be_without_lone_surrogates(use):
    with pytest.raises(ValueError, match=r"U\+DC80 at position 2"):
        use("ab\udc80")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([""], "at least one"), (["ba"], "sorted"), (["aab"], "distinct"),
        (["ab", [""]], "token 0"), (["ab", [], "a"], "distinct"),
    ],
)
def test_a_vocabulary_must_be_sorted_distinct_and_not_empty(arguments, message):
    with pytest.raises(ValueError, match=message):
        CharTokenizer(*arguments)


# ---- special tokens


def test_a_special_token_counts_only_where_it_is_allowed():
    tokenizer = CharTokenizer("<>akms", ["<mask>"])
    assert tokenizer.encode("a<mask>").tolist() == [2, 0, 4, 2, 5, 3, 1]
    assert tokenizer.encode("a<mask>", allowed_special=["<mask>"]).tolist() == [2, 6]
    with pytest.raises(ValueError, match="'<mask>' at position 1"):
        tokenizer.encode("a<mask>", disallowed_special="all")


def test_a_file_without_special_tokens_is_what_it_was_before_there_were_any(tmp_path):
    CharTokenizer("ab").save(tmp_path / "tokenizer.json")
    text = (tmp_path / "tokenizer.json").read_text(encoding="utf-8")
    assert text == '{\n  "type": "char",\n  "version": 1,\n  "characters": "ab"\n}\n'


# ---- more characters


@given(st.text(min_size=1), st.text(), st.text(), st.sampled_from([[], ["<mask>", "<pad>"]]))
def test_more_characters_follow_all_that_is_there(known, second, third, special_tokens):
    first = CharTokenizer("".join(sorted(set(known))), special_tokens)
    larger = first.with_characters(second).with_characters(third)
    assert larger.tokens[: first.vocab_size] == first.tokens
    assert larger.vocab_size == len(set(known + second + third)) + len(special_tokens)
    text = third + known + second + "".join(special_tokens)
    ids = larger.encode(text, allowed_special="all")
    assert larger.decode(ids) == "".join(larger.token_texts(ids)) == text
