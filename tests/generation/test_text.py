"""Tokens as text, returned as soon as it is certain: `npgpt.support.text`."""

import itertools
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.support.text import TextStream


def decoded(tokenizer, ids):
    stream = TextStream(tokenizer)
    return [*map(stream.add, ids), stream.end()]


def cut(data, at):
    """Return a tokenizer whose tokens are the parts of these bytes."""
    edges = sorted({0, *(i for i in at if i < len(data)), len(data)})
    return SimpleNamespace(tokens=[data[a:b] for a, b in itertools.pairwise(edges)])


texts = st.text(st.sampled_from("ab\n\u00e9\u20ac\U0001f600\ufffd"), min_size=1, max_size=20)
cuts = st.lists(st.integers(0, 60), max_size=30)


@given(texts, cuts)
def test_a_character_is_whole_or_not_there_yet(text, at):
    tokenizer = cut(text.encode(), at)
    found = decoded(tokenizer, range(len(tokenizer.tokens)))
    assert "".join(found) == text
    read = b""
    for token, shown in zip(tokenizer.tokens, found, strict=False):  # nothing waits in vain
        before, read = read.decode(errors="ignore"), read + token
        assert shown == read.decode(errors="ignore")[len(before) :]


@given(st.binary(max_size=20), cuts)
def test_bytes_that_are_no_text_are_replaced_as_decoding_them_at_once_does(data, at):
    tokenizer = cut(data, at)
    ids = range(len(tokenizer.tokens))
    assert "".join(decoded(tokenizer, ids)) == data.decode("utf-8", "replace")


stops = st.lists(st.text(st.sampled_from("ab\u20ac"), min_size=1, max_size=3), max_size=3)


@given(st.text(st.sampled_from("ab\u20ac"), min_size=1, max_size=20), cuts, stops)
def test_a_stop_string_ends_the_text_wherever_tokens_are_cut(text, at, stop):
    tokenizer = cut(text.encode(), at)
    stream, found = TextStream(tokenizer, stop), ""
    for token in range(len(tokenizer.tokens)):
        found += stream.add(token)
        if stream.ended:
            break
    found += stream.end()
    first = min((text.find(s) for s in stop if s in text), default=None)
    # of stop strings that end with the same token, the one that begins first counts
    assert stream.ended == (first is not None)
    assert text.startswith(found)
    if first is None:
        assert found == text
    else:
        assert not any(s in found for s in stop)
        assert any(text[len(found) :].startswith(s) for s in stop)


def test_a_beginning_of_a_stop_string_is_kept_until_it_is_clear():
    stream = TextStream(SimpleNamespace(tokens=[b"a", b"b"]), ["abc", "bb"])
    assert [stream.add(token) for token in (0, 1, 0, 1)] == ["", "", "ab", ""]
    assert stream.end() == "ab" and not stream.ended


def test_an_empty_stop_string_is_refused():
    with pytest.raises(ValueError, match="stop string"):
        TextStream(SimpleNamespace(tokens=[]), [""])
