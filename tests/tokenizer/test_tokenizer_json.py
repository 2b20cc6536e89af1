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
    tokenizer_json,
)
from npgpt.tokenizers.pretokenize import PATTERNS

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
CLASSES = {"char": CharTokenizer, "words": WordTokenizer, "bpe": BPETokenizer}
TOKENIZERS = {
    "char": CharTokenizer.train(TEXT),
    "words": WordTokenizer(" abhn", ["hen"], ["<mask>"]),
    "bpe": BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "<ü>"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder that the examples of a property test share."""
    return tmp_path_factory.mktemp("tokenizers")


@given(
    st.text("ab c\n"),
    st.lists(st.text().map("<|{}|>".format), unique=True),
    st.sampled_from([*PATTERNS, None]),
    st.randoms(),
)
def test_byte_pairs_survive_saving_and_loading(folder, text, special_tokens, pattern, rng):
    merges = BPETokenizer.train(text, 280, pattern=pattern).merges
    n_plain = 256 + len(merges)
    ids = rng.sample(range(2 * n_plain), n_plain + len(special_tokens))
    special_ids = dict(zip(special_tokens, ids[n_plain:], strict=True))
    tokenizer = BPETokenizer(merges, special_ids, pattern=pattern, ids=ids[:n_plain])
    tokenizer.save(folder / "bpe.json")
    for loaded in (BPETokenizer.load(folder / "bpe.json"), load_tokenizer(folder / "bpe.json")):
        for name in ("merges", "ids", "tokens", "special_ids", "pattern"):
            assert getattr(loaded, name) == getattr(tokenizer, name)


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
bpe_file = json.loads(BPETokenizer([(97, 98)], ["<a>"]).to_json())
WORDS = [" ", "a", "b", "ab", " b", "<mask>", "?", "!"]
words_file = json.loads(huggingface_format.characters_to_json("words", WORDS, {"<mask>": 5}))


def model_with(file=bpe_file, **changes):
    return file | {"model": file["model"] | changes}


SPLIT = {"type": "Split", "pattern": {"Regex": r"\d+"}, "behavior": "Isolated", "invert": False}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": False}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged"),
        (b"\xff\xfe\x00", "UTF-8"),
        (b"[" * 100_000, "damaged"),
        (b"1" * 5000, "damaged"),
        ([1, 2], "list"),
        ({"type": ["char"]}, r"\['char'\]"),
        (char_file | {"version": 4}, "version 4, .* 3"),
        (char_file | {"version": 3, "special_tokens": []}, "added"),
        ({"type": "char", "version": 1}, "'characters'"),
        (char_file | {"characters": "cba"}, "sorted"),
        (char_file | {"characters": ["a"]}, "a str, got list"),
        (char_file | {"type": "words", "version": 2, "special_tokens": [], "words": ["ab", " a b"]},
         "' a b'"),
        ({"model": {"type": "BPE"}}, "'pre_tokenizer'"),
        (model_with(type="Unigram"), "'Unigram'"),
        (model_with(dropout=0.1), "dropout 0.1"),
        (model_with(ignore_merges=True), "ignore_merges"),
        (bpe_file | {"normalizer": {"type": "NFC"}}, "a normalizer"),
        (bpe_file | {"pre_tokenizer": {"type": "Whitespace"}}, r"\['Whitespace'\]"),
        (bpe_file | {"pre_tokenizer": {"type": "ByteLevel"}}, "add_prefix_space"),
        (bpe_file | {"pre_tokenizer": None}, "damaged"),
        (bpe_file | {"pre_tokenizer": {"type": "Sequence", "pretokenizers": [SPLIT, BYTE_LEVEL]}},
         "split"),
        (bpe_file | {"added_tokens": [{"content": "<a>"}]}, "'id'"),
        (bpe_file | {"added_tokens": [{"content": "<a>", "id": 97}]}, "'<a>'"),
        (bpe_file | {"added_tokens": [{"content": "<m>", "id": 9, "lstrip": True}]}, "spaces"),
        (model_with(merges=[["a", 98]]), "merge 0 "),
        (model_with(merges=None), "damaged"),
        (model_with(merges=[]), "'ab'"),
        (model_with(vocab=[1]), "damaged"),
        (words_file | {"normalizer": {"type": "NFC"}}, "normalizer"),
        (words_file | {"pre_tokenizer": SPLIT}, "pre_tokenizer"),
        (words_file | {"pre_tokenizer": None}, "spelled like"),
        (model_with(words_file, merges=["a b"]), "model"),
        (model_with(words_file, type="WordLevel"), "model"),
        (model_with(words_file, vocab={}), "spelled like|characters"),
        (model_with(words_file, vocab={"a": 0, "b": 2}), "spelled like"),
        (model_with(words_file, vocab={"a": 0, "b": "1"}), "damaged"),
        (words_file | {"added_tokens": [{"content": "<mask>"}]}, "'id'"),
    ],
)
def test_damaged_and_foreign_files_are_refused_by_name(content, message, tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ValueError, match=message) as error:
        tokenizer_json.load(path, CLASSES)
    assert str(path) in str(error.value)


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_the_class_must_fit_the_file(kind, tmp_path):
    TOKENIZERS[kind].save(tmp_path / "tokenizer.json")
    for wrong in {type(t) for k, t in TOKENIZERS.items() if k != kind}:
        with pytest.raises(ValueError, match=rf"'{kind}', not '.*load_tokenizer"):
            wrong.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(kind, tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    TOKENIZERS["char"].save(path)
    monkeypatch.setattr("os.replace", lambda source, target: Path(tmp_path / "none").stat())
    with pytest.raises(OSError, match="none"):
        TOKENIZERS[kind].save(path)
    assert load_tokenizer(path).characters == TOKENIZERS["char"].characters
    assert list(tmp_path.iterdir()) == [path]
