"""tokenizer.json and GPT-2's files: round trips, damage, and saving that never loses a file."""

import json
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizer import BPETokenizer, CharTokenizer, load_tokenizer
from npgpt.tokenizer.files import byte_to_unicode

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
TOKENIZERS = {
    "char": CharTokenizer.train(TEXT),
    "bpe": BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "<ü>"]),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that the examples of a property test may share."""
    return tmp_path_factory.mktemp("tokenizers")


def assert_same(loaded, tokenizer):
    assert type(loaded) is type(tokenizer)
    assert loaded.vocab_size == tokenizer.vocab_size
    assert vars(loaded).keys() == vars(tokenizer).keys()
    if isinstance(tokenizer, BPETokenizer):
        assert vars(loaded) == vars(tokenizer)
    else:
        assert loaded.characters == tokenizer.characters


# tokenizer.json


@given(st.text(min_size=1))
def test_char_survives_saving_and_loading(folder, text):
    tokenizer = CharTokenizer.train(text)
    tokenizer.save(folder / "char.json")
    assert_same(CharTokenizer.load(folder / "char.json"), tokenizer)
    assert_same(load_tokenizer(str(folder / "char.json")), tokenizer)


@given(st.text("ab c\n"), st.lists(st.text(min_size=1), unique=True), st.randoms())
def test_bpe_survives_saving_and_loading(folder, text, special_tokens, rng):
    merges = BPETokenizer.train(text, 280).merges
    tokenizer = BPETokenizer(merges, special_tokens, rng.sample(range(256), 256))
    tokenizer.save(folder / "bpe.json")
    assert_same(BPETokenizer.load(folder / "bpe.json"), tokenizer)
    assert_same(load_tokenizer(str(folder / "bpe.json")), tokenizer)


def test_the_file_is_readable_json_in_utf8(tmp_path):
    path = tmp_path / "tokenizer.json"
    BPETokenizer([(104, 105), (256, 33)], ["<ü>"]).save(path)
    text = path.read_bytes().decode("utf-8")
    fields = {
        "type": "bpe",
        "version": 1,
        "special_tokens": ["<ü>"],
        "byte_order": list(range(256)),
        "merges": [[104, 105], [256, 33]],
    }
    assert json.loads(text) == fields
    assert "    [104, 105],\n    [256, 33]\n" in text
    assert "<ü>" in text
    assert "\r" not in text


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_file_cut_anywhere_is_refused_by_name(kind, tmp_path):
    path = tmp_path / "tokenizer.json"
    TOKENIZERS[kind].save(path)
    whole = path.read_bytes()
    for length in range(len(whole.rstrip())):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"tokenizer\.json"):
            load_tokenizer(path)


char_file = {"type": "char", "version": 1, "characters": "abc"}
bpe_file = {"type": "bpe", "version": 1, "special_tokens": [], "merges": [[97, 98]]}
bpe_file["byte_order"] = list(range(256))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "damaged or no JSON"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"[" * 100_000, "damaged or no JSON"),
        (b"1" * 5000, "damaged or no JSON"),
        ([1, 2], "must hold a JSON object .* got a list"),
        ({"version": "1.0", "model": {"type": "BPE"}}, '"type" is None'),
        ({"type": ["char"]}, r"\"type\" is \['char'\]"),
        (char_file | {"version": 2}, "version 2, this npgpt reads version 1"),
        ({"type": "char", "version": 1}, "the field 'characters' is missing"),
        (char_file | {"characters": "cba"}, "distinct and sorted"),
        (char_file | {"characters": ""}, "at least one character"),
        (char_file | {"characters": "\ud800"}, "lone surrogate"),
        (char_file | {"characters": ["a"]}, "expected a str, got list"),
        (bpe_file | {"merges": [[97, 300]]}, "merge 0 must join two ids"),
        (bpe_file | {"merges": [97]}, "merge 0 must be a pair"),
        (bpe_file | {"merges": None}, "not iterable"),
        (bpe_file | {"special_tokens": ["<a>", "<a>"]}, "occurs twice"),
        (bpe_file | {"special_tokens": {"<a>": 1}}, "must be a list"),
        (bpe_file | {"byte_order": [1]}, "byte_order"),
        (bpe_file | {"byte_order": 10**12}, "not iterable"),
        (bpe_file | {"byte_order": ["a", 1]}, "not supported"),
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
    TOKENIZERS["char"].save(path)
    with pytest.raises(ValueError, match=r"type 'char', not 'bpe'; .*load_tokenizer"):
        BPETokenizer.load(path)
    TOKENIZERS["bpe"].save(path)
    with pytest.raises(ValueError, match=r"type 'bpe', not 'char'; .*load_tokenizer"):
        CharTokenizer.load(path)


def test_a_missing_file_or_a_folder_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no file .*nothing\.json"):
        load_tokenizer(tmp_path / "nothing.json")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        load_tokenizer(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no folder .*create it first"):
        TOKENIZERS["char"].save(tmp_path / "nothing" / "tokenizer.json")


def test_a_save_that_fails_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    TOKENIZERS["char"].save(path)

    def disk_full(source, target):
        raise OSError("no space left on device")

    monkeypatch.setattr(os, "replace", disk_full)
    with pytest.raises(OSError, match="no space left"):
        TOKENIZERS["bpe"].save(path)
    assert_same(load_tokenizer(path), TOKENIZERS["char"])
    assert list(tmp_path.iterdir()) == [path]


# GPT-2's files


def write_gpt2_files(folder, tokenizer, newline="\n"):
    """Write `tokenizer` as GPT-2 would: ids of bytes in GPT-2's order, spaces as Ġ."""
    table = byte_to_unicode()
    spelled = ["".join(table[byte] for byte in token) for token in tokenizer.tokens]
    n_plain = 256 + len(tokenizer.merges)
    names = [*table.values(), *spelled[256:n_plain], *tokenizer.special_ids]
    vocab = {name: i for i, name in enumerate(names)}
    vocab = dict(random.Random(0).sample(sorted(vocab.items()), len(vocab)))  # any order will do
    lines = ["#version: 0.2", *(f"{spelled[a]} {spelled[b]}" for a, b in tokenizer.merges), ""]
    (folder / "encoder.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "vocab.bpe").write_text("\n".join(lines), encoding="utf-8", newline=newline)
    return folder / "encoder.json", folder / "vocab.bpe"


def test_bytes_have_the_stand_ins_of_gpt2():
    table = byte_to_unicode()
    assert len(set(table.values())) == len(table) == 256
    assert list(table)[:3] == [0x21, 0x22, 0x23]
    order = list(table)
    assert order.index(ord("\n")) == 198  # the ids of these bytes in GPT-2's encoder.json
    assert order.index(ord(" ")) == 220
    assert (table[0], table[0x7F], table[0xA0], table[0xAD]) == ("Ā", "ġ", "ł", "Ń")
    assert not any(character.isspace() for character in table.values())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_gpt2_files_give_the_same_tokens_under_gpt2s_ids(newline, tmp_path):
    original = TOKENIZERS["bpe"]
    loaded = BPETokenizer.from_gpt2(*write_gpt2_files(tmp_path, original, newline))
    assert loaded.vocab_size == original.vocab_size
    assert loaded.tokens[256:] == original.tokens[256:]
    assert loaded.special_ids == original.special_ids
    assert loaded.encode(" \n!").tolist() == [220, 198, 0]
    ids = loaded.encode(TEXT + "<|end|>")
    assert [loaded.tokens[i] for i in ids] == [
        original.tokens[i] for i in original.encode(TEXT + "<|end|>")
    ]
    assert loaded.decode(ids) == TEXT + "<|end|>"


@given(st.text())
def test_every_text_round_trips_under_gpt2s_ids(folder, text):
    if not (folder / "vocab.bpe").exists():
        write_gpt2_files(folder, TOKENIZERS["bpe"])
    tokenizer = BPETokenizer.from_gpt2(folder / "encoder.json", folder / "vocab.bpe")
    assert tokenizer.decode(tokenizer.encode(text)) == text


@pytest.mark.parametrize(
    ("damage_vocab", "damage_merges", "message"),
    [
        (lambda vocab: vocab | {"new": 999}, None, "must number its 271 tokens 0 to 270"),
        (lambda vocab: vocab | {"new": "270"}, None, "must number its 271 tokens"),
        (lambda vocab: {name: (i + 9) % 270 for name, i in vocab.items()}, None, "0 to 255"),
        (None, lambda lines: [lines[0], *lines[2:]], "merge 0 of .* must make token 256"),
        (None, lambda lines: [*lines, "a zz"], "'a' 'zz', must make"),
        (None, lambda lines: [*lines, "abc"], "two tokens a line"),
        (None, lambda lines: [*lines, "a b c"], "two tokens a line"),
    ],
)
def test_gpt2_files_that_do_not_fit_are_refused(damage_vocab, damage_merges, message, tmp_path):
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZERS["bpe"])
    if damage_vocab:
        vocab = damage_vocab(json.loads(vocab_json.read_text(encoding="utf-8")))
        vocab_json.write_text(json.dumps(vocab), encoding="utf-8")
    if damage_merges:
        lines = damage_merges(merges_txt.read_text(encoding="utf-8").splitlines())
        merges_txt.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        BPETokenizer.from_gpt2(vocab_json, merges_txt)
    assert str(tmp_path) in str(error.value)


def test_a_gpt2_merge_of_a_token_that_comes_after_it_is_refused(tmp_path):
    merges = [tuple(b"ug"), (ord("h"), 256)]
    vocab_json, merges_txt = write_gpt2_files(tmp_path, BPETokenizer(merges))
    vocab = json.loads(vocab_json.read_text(encoding="utf-8")) | {"hug": 256, "ug": 257}
    vocab_json.write_text(json.dumps(vocab), encoding="utf-8")
    merges_txt.write_text("h ug\nu g\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"'h' 'ug', must make token 256 .* from earlier ones"):
        BPETokenizer.from_gpt2(vocab_json, merges_txt)


def test_gpt2_files_that_are_missing_are_named(tmp_path):
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZERS["bpe"])
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        BPETokenizer.from_gpt2(vocab_json, tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        BPETokenizer.from_gpt2(tmp_path / "none.json", merges_txt)
