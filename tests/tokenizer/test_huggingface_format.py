"""A tokenizer.json of any program gives the ids of the library `tokenizers`, or is refused."""

import json
import warnings

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt.tokenizers import (
    BPETokenizer,
    CharTokenizer,
    WordTokenizer,
    huggingface_format,
    load_tokenizer,
    save_pretrained,
)
from npgpt.tokenizers.pretokenize import PATTERNS

library = pytest.importorskip("tokenizers", reason="the peer: pip install '.[peers]'")
BYTE_LEVEL = huggingface_format.BYTE_LEVEL | {"use_regex": False}
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
ADDED = ["<a>", "a>b", "<a>>", "ab", "é", "abc"]


def file_of(merges, added=(), split=None, **changes):
    """Return a tokenizer.json: the 256 bytes, the tokens that (left, right) merges make, others."""
    fields = json.loads(BPETokenizer([], pattern=None).to_json())
    vocab = fields["model"]["vocab"]
    for left, right in merges:
        vocab.setdefault(left + right, len(vocab))
    for token in added:
        token["id"] = vocab.setdefault(token["content"], len(vocab))
    steps = [huggingface_format._split(split), BYTE_LEVEL] if split else [BYTE_LEVEL]
    fields["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": steps}
    fields["model"]["merges"] = [f"{left} {right}" for left, right in merges]
    return fields | {"added_tokens": list(added)} | changes


def token(content, normalized=False, special=True):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": special}


def ids_of(fields, path, text, load=load_tokenizer):
    """Return the ids of a text here and there."""
    path.write_text(json.dumps(fields), encoding="utf-8")
    theirs = library.Tokenizer.from_file(str(path))
    return load(path).encode(text).tolist(), theirs.encode(text).ids


@st.composite
def files(draw):
    """Draw the arguments of `file_of`, whose merges often make the same token, and a text."""
    letters = draw(st.sampled_from(["abc", "11", "ĊĠ"]))
    merges, made = [], list(letters)
    for _ in range(draw(st.sampled_from([0, 4, 8, 12]))):
        pair = draw(st.sampled_from(made)), draw(st.sampled_from(made))
        if len("".join(pair)) < 5 and pair not in merges:
            merges.append(pair)
            made.append("".join(pair))
    if draw(st.integers(0, 4)) == 0:
        merges = draw(st.permutations(merges))
    contents = draw(st.lists(st.sampled_from(ADDED), max_size=2, unique=True))
    added = [token(content, draw(st.booleans())) for content in contents]
    split = draw(st.sampled_from([None, LLAMA3, *PATTERNS.values()]))
    of_letters = st.text(letters.replace("Ċ", "\n").replace("Ġ", " "), max_size=9)
    others = st.sampled_from([*ADDED, "a", "1", "x", "!", " ", "\n", "'s", "\t"])
    text = "".join(draw(st.lists(of_letters | others, max_size=9)))
    return (merges, added, split), text


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("others") / "tokenizer.json"


@given(files())
@settings(max_examples=400)
def test_a_file_of_any_program_has_the_ids_of_the_library_or_is_refused(path, drawn):
    try:
        ours, theirs = ids_of(file_of(*drawn[0]), path, drawn[1])
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert ours == theirs
        load_tokenizer(path).save(path)  # and as it is saved here
        assert library.Tokenizer.from_file(str(path)).encode(drawn[1]).ids == ours


MERGES = [("a", "b"), ("a", "bc"), ("ab", "c"), ("b", "c")]  # as transformers converts tiktoken's


@pytest.mark.parametrize(
    ("added", "split", "text"),
    [
        ([], None, "abcbcab"),
        ([token("abc"), token("<a>")], None, "xabcab<a>bc"),
        ([token("abc", True), token("<a>", True)], None, "xabcab<a>bc"),
        ([token("<a>", True), token("<b>")], None, "<a><b>abc"),
        ([], PATTERNS["gpt2"], "It's 1234 \n\n !\n \nabc  \n"),
        ([], LLAMA3, "It'S 1234 \n\n !\n \nabc  \n"),
    ],
)
def test_files_that_are_read(added, split, text, path):
    ours, theirs = ids_of(file_of(MERGES, added, split), path, text)
    assert ours == theirs


def test_a_normalizer_that_does_nothing(path):
    nothing = {"normalizer": {"type": "Sequence", "normalizers": []}}
    ours, theirs = ids_of(file_of(MERGES) | nothing, path, "abc é")
    assert ours == theirs


DEAD = [("b", "c"), ("a", "b"), ("ab", "c"), ("c", "a")]  # of abc, bc is merged first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (file_of([*DEAD, ("bc", "a"), ("b", "ca")]), "'abc'"),
        (file_of(MERGES, [token("<a>", True), token("a>b")]), "'<a>' and 'a>b'"),
        (file_of(MERGES, [token("é")]), "token 233 and special token 'é'"),
        (file_of(MERGES) | {"added_tokens": [token("ab") | {"id": 300}]}, "'ab'"),
        (file_of([], split=LLAMA3), "split"),
    ],
)
def test_files_that_would_be_read_differently_are_refused(fields, message, path):
    with pytest.raises(ValueError, match=message) as error:
        ids_of(fields, path, "", BPETokenizer.load)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("tokenizer", "content"),
    [
        (CharTokenizer("ab", ["a"]), "a"), (WordTokenizer("ab", ["ab"], ["ab"]), "ab"),
    ],
)
def test_a_special_token_spelled_like_a_token_is_refused_when_saved(tokenizer, content, tmp_path):
    with pytest.raises(ValueError, match=rf"'{content}' is spelled like a token .* different"):
        save_pretrained(tokenizer, tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["truncation", "padding", None])
def test_truncation_and_padding_are_said(path, name):
    path.write_text(json.dumps(file_of([], **{name: {"max_length": 2}} if name else {})))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        load_tokenizer(path)
    assert [name in str(warning.message) for warning in said] == [True] * bool(name)
