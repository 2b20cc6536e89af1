"""tokenizer.json: round trips, damage, and saving that never loses a file."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import (
    BPETokenizer,
    CharTokenizer,
    WordTokenizer,
    huggingface_format,
    load_tokenizer,
)
from npgpt.tokenizers.pretokenize import PATTERNS

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
TOKENIZERS = {
    "char": CharTokenizer.train(TEXT),
    "bpe": BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "<ü>"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that the examples of a property test share."""
    return tmp_path_factory.mktemp("tokenizers")


def assert_same(loaded, tokenizer):
    assert type(loaded) is type(tokenizer)
    assert loaded.vocab_size == tokenizer.vocab_size
    if isinstance(tokenizer, BPETokenizer):
        for name in ("merges", "ids", "tokens", "special_ids", "pattern"):
            assert getattr(loaded, name) == getattr(tokenizer, name)
    else:
        assert (loaded.characters, loaded.added) == (tokenizer.characters, tokenizer.added)


@given(st.text(min_size=1), st.text())
def test_char_survives_saving_and_loading(folder, text, more):
    tokenizer = CharTokenizer.train(text).with_characters(more)
    tokenizer.save(folder / "char.json")
    assert_same(CharTokenizer.load(folder / "char.json"), tokenizer)
    assert_same(load_tokenizer(str(folder / "char.json")), tokenizer)


@given(
    st.text("ab c\n"),
    st.lists(st.text().map("<|{}|>".format), unique=True),
    st.sampled_from([*PATTERNS, None]),
    st.randoms(),
)
def test_bpe_survives_saving_and_loading(folder, text, special_tokens, pattern, rng):
    merges = BPETokenizer.train(text, 280, pattern=pattern).merges
    n_plain = 256 + len(merges)
    ids = rng.sample(range(2 * n_plain), n_plain + len(special_tokens))
    special_ids = dict(zip(special_tokens, ids[n_plain:], strict=True))
    tokenizer = BPETokenizer(merges, special_ids, pattern=pattern, ids=ids[:n_plain])
    tokenizer.save(folder / "bpe.json")
    assert_same(BPETokenizer.load(folder / "bpe.json"), tokenizer)
    assert_same(load_tokenizer(str(folder / "bpe.json")), tokenizer)


def test_the_file_is_readable_json_in_utf8(tmp_path):
    path = tmp_path / "tokenizer.json"
    BPETokenizer([(32, 105), (256, 33)], ["<ü>"]).save(path)
    text = path.read_bytes().decode("utf-8")
    assert '"Ġi!": 257,\n' in text and '"content": "<ü>",\n' in text
    assert '   "Ġ i",\n   "Ġi !"\n' in text and "\r" not in text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_file_cut_anywhere_is_refused_by_name(kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    TOKENIZERS[kind].save(path)
    whole = path.read_bytes()
    for length in range(0, len(whole.rstrip()), 1 if kind == "char" else 37):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"tokenizer\.json"):
            load_tokenizer(path)


char_file = {"type": "char", "version": 1, "characters": "abc"}
bpe_file = json.loads(huggingface_format.to_json(BPETokenizer([(97, 98)], ["<a>"])))


def bpe_with(**changes):
    return bpe_file | changes


def model_with(**changes):
    return bpe_file | {"model": bpe_file["model"] | changes}


VOCAB = bpe_file["model"]["vocab"]
SPLIT = {"type": "Split", "pattern": {"Regex": r"\d+"}, "behavior": "Isolated", "invert": False}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is damaged"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"[" * 100_000, "is damaged"),
        (b"1" * 5000, "is damaged"),
        ([1, 2], "holds a list, not an object"),
        ({"type": ["char"]}, r"\"type\" is \['char'\]"),
        (char_file | {"version": 4}, "version 4, this npgpt reads up to 3"),
        (char_file | {"version": 3, "special_tokens": []}, "the field .added. is missing"),
        (char_file | {"version": 3, "special_tokens": [], "added": 1}, "expected a str, got int"),
        (char_file | {"version": 2}, "the field .special_tokens. is missing"),
        ({"type": "char", "version": 1}, "the field 'characters' is missing"),
        (char_file | {"characters": "cba"}, "distinct and sorted"),
        (char_file | {"characters": ""}, "at least one character"),
        (char_file | {"characters": "\ud800"}, "lone surrogate"),
        (char_file | {"characters": ["a"]}, "expected a str, got list"),
        ({"model": {"type": "BPE"}}, "'pre_tokenizer' is missing"),
        (model_with(type="Unigram"), "a model of type 'Unigram', which no tokenizer here does"),
        (model_with(dropout=0.1), "dropout 0.1"),
        (model_with(ignore_merges=True), "ignore_merges"),
        (bpe_with(normalizer={"type": "NFC"}), "a normalizer"),
        (bpe_with(pre_tokenizer={"type": "Whitespace"}), r"pre-tokenizer \['Whitespace'\]"),
        (bpe_with(pre_tokenizer={"type": "ByteLevel"}), "add_prefix_space"),
        (bpe_with(pre_tokenizer=None), "damaged"),
        (
            bpe_with(pre_tokenizer={"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}),
            "the split",
        ),
        (bpe_with(added_tokens=[{"content": "<a>"}]), "'id' is missing"),
        (bpe_with(added_tokens=[{"content": "<a>", "id": 97}]), "'<a>' that is spelled like"),
        (bpe_with(added_tokens=[{"content": "<m>", "id": 9, "lstrip": True}]), "takes spaces"),
        (model_with(merges=["a"]), "merge 0 of .* must join two tokens .* got"),
        (model_with(merges=[["a", 98]]), "merge 0 of .* must join two tokens"),
        (model_with(merges=None), "not iterable"),
        (model_with(merges=[]), "no merge makes the token 'ab'"),
        (model_with(merges=["a c"]), "merge 0 of .* must make a token"),
        (model_with(vocab={"a": 1}), "no token for 255 of the 256 bytes, such as"),
        (model_with(vocab=VOCAB | {"ab": "7"}), "the id of 'ab' must be an int from 0, got '7'"),
        (model_with(vocab=[1]), "damaged"),
    ],
)
def test_damaged_and_foreign_files_are_refused_by_name(content, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)


def test_the_class_must_fit_the_file(tmp_path):
    path = tmp_path / "tokenizer.json"
    for kind, wrong in (("char", BPETokenizer), ("bpe", CharTokenizer)):
        TOKENIZERS[kind].save(path)
        with pytest.raises(ValueError, match=rf"type '{kind}', not '.*'; .*load_tokenizer"):
            wrong.load(path)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(kind, tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    TOKENIZERS["char"].save(path)
    monkeypatch.setattr("os.replace", lambda source, target: Path(tmp_path / "none").stat())
    with pytest.raises(OSError, match="none"):
        TOKENIZERS[kind].save(path)
    assert_same(load_tokenizer(path), TOKENIZERS["char"])
    assert list(tmp_path.iterdir()) == [path]


# ---- characters and words as they are exported

WORDS = [" ", "a", "b", "ab", " b", "<mask>", "?", "!"]
words_file = json.loads(huggingface_format.characters_to_json("words", WORDS, {"<mask>": 5}))


def words_model(**changes):
    return words_file | {"model": words_file["model"] | changes}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (words_file | {"normalizer": {"type": "NFC"}}, "normalizer"),
        (words_file | {"pre_tokenizer": SPLIT}, "pre_tokenizer"),
        (words_file | {"pre_tokenizer": None}, "spelled like"),
        (words_model(merges=["a b"]), "model"),
        (words_model(type="WordLevel"), "model"),
        (words_model(vocab={}), "spelled like|characters"),
        (words_model(vocab={"a": 0, "b": 2}), "spelled like"),
        (words_model(vocab={"a": 0, "b": "1"}), "damaged"),
        (words_model(vocab=["a"]), "damaged"),
        (words_file | {"added_tokens": [{"content": "<mask>"}]}, "'id' is missing"),
    ],
)
def test_a_changed_file_of_words_is_refused_by_name(content, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        load_tokenizer(path)
    assert str(path) in str(error.value)
    path.write_text(json.dumps(words_file), encoding="utf-8")
    assert WordTokenizer.load(path).words == ["ab", " b"]
