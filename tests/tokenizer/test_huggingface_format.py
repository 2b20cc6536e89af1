"""A tokenizer.json of any program gives the ids of the library `tokenizers`, or is refused."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt.tokenizers import (
    BPETokenizer,
    CharTokenizer,
    LibraryTokenizer,
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


def token(content, normalized=False):
    return {"content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": normalized, "special": True}


def written(path, fields):
    path.write_text(json.dumps(fields), encoding="utf-8")
    return path


def assert_equal_ids(path, text):
    theirs = library.Tokenizer.from_file(str(path))
    assert load_tokenizer(path).encode(text).tolist() == theirs.encode(text).ids


@st.composite
def files(draw):
    """Draw the arguments of `file_of`, whose merges often make the same token, and a text."""
    merges, made = [], list("abcĠ")
    for _ in range(draw(st.sampled_from([0, 4, 8, 12]))):
        pair = draw(st.sampled_from(made)), draw(st.sampled_from(made))
        if len("".join(pair)) < 5 and pair not in merges:
            merges.append(pair)
            made.append("".join(pair))
    contents = draw(st.lists(st.sampled_from(ADDED), max_size=2, unique=True))
    added = [token(content, draw(st.booleans())) for content in contents]
    split = draw(st.sampled_from([None, LLAMA3, *PATTERNS.values()]))
    others = st.sampled_from([*ADDED, "a", "1", "x", "!", " ", "\n", "'s", "'S", "\t"])
    text = "".join(draw(st.lists(st.text("abc ", max_size=9) | others, max_size=9)))
    return (merges, added, split), text


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("others") / "tokenizer.json"


@given(files())
@settings(max_examples=400)
def test_a_file_of_any_program_has_the_ids_of_the_library_or_is_refused(path, drawn):
    try:
        load_tokenizer(written(path, file_of(*drawn[0])))
    except ValueError as error:
        assert str(path) in str(error)
    else:
        assert_equal_ids(path, drawn[1])
        load_tokenizer(path).save(path)  # and as it is saved here
        assert_equal_ids(path, drawn[1])


ONCE = [("a", "b"), ("ab", "c")]


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (BPETokenizer, file_of(ONCE, [token("abc"), token("<a>")], PATTERNS["gpt2"])),
        (LibraryTokenizer, file_of(ONCE, [token("<a>", True), token("a>b")])),
        (LibraryTokenizer, file_of(ONCE, split=LLAMA3)),
        (LibraryTokenizer, file_of(ONCE, normalizer={"type": "NFC"})),
    ],
)
def test_what_is_no_plain_byte_pair_encoding_is_left_to_the_library(path, kind, fields):
    assert type(load_tokenizer(written(path, fields))) is kind
    assert_equal_ids(path, "It'S 1234 \n\n a>b !\n \nabc <a>  é\n")


def test_a_pattern_on_which_the_library_gives_up_is_refused(path):
    tokenizer = load_tokenizer(written(path, file_of(ONCE, split="(a+)+$")))
    with pytest.raises(ValueError, match="library"):
        tokenizer.encode("a" * 40 + "!")


def damaged(value):
    """Yield copies of a JSON value in which one part, at any depth, is left out or replaced."""
    yield from (None, -1, 1 << 40, "ab", [], [["a", 98]], {"b": 1})
    if isinstance(value, dict):
        for key in list(value)[-12:]:  # all but most of a vocabulary
            yield {k: v for k, v in value.items() if k != key}
            yield from (value | {key: other} for other in damaged(value[key]))
    elif isinstance(value, list) and value:
        yield from ([other, *value[1:]] for other in damaged(value[0]))


@pytest.mark.parametrize("tokenizer", [
    CharTokenizer("<>abd", ["<a>"], "en"), WordTokenizer("<>abden|", ["ab"], ["<a>"]),
    BPETokenizer([(97, 98)], ["<|end|>"], pattern="smollm"),
])
def test_a_damaged_file_is_read_as_the_library_does_or_refused_by_name(tokenizer, path):
    tokenizer.save(path)
    saved = json.loads(path.read_text(encoding="utf-8"))
    save_pretrained(tokenizer, path.parent)
    exported = json.loads(path.read_text(encoding="utf-8"))
    del exported["model"]["dropout"]  # which is not applied here
    for fields in [*damaged(exported), *([] if "model" in saved else damaged(saved))]:
        try:
            found = load_tokenizer(written(path, fields))
        except ValueError as error:
            assert str(path) in str(error)
            continue
        try:
            theirs = library.Tokenizer.from_file(str(path)).encode("ab").ids
        except BaseException:  # of our own format, and of fields that do not matter here
            continue
        assert found.encode("ab").tolist() == theirs, fields


@pytest.mark.parametrize("tokenizer", [
    WordTokenizer("ab", ["ab"], ["ab"]), BPETokenizer([], ["é"]),
])
def test_a_special_token_spelled_like_a_token_is_refused_when_saved(tokenizer, tmp_path):
    with pytest.raises(ValueError, match="spelled"):
        save_pretrained(tokenizer, tmp_path)
    assert not list(tmp_path.iterdir())
