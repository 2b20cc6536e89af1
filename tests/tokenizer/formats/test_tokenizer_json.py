"""tokenizer.json and GPT-2's files: round trips, damage, and saving that never loses a file."""

import base64
import json
import os
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizer import BPETokenizer, CharTokenizer, load_tokenizer
from npgpt.tokenizer.formats import huggingface
from npgpt.tokenizer.formats.gpt2 import byte_to_unicode

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
    if isinstance(tokenizer, BPETokenizer):
        for name in ("merges", "ids", "tokens", "special_ids", "pattern"):
            assert getattr(loaded, name) == getattr(tokenizer, name)
    else:
        assert loaded.characters == tokenizer.characters


# tokenizer.json


@given(st.text(min_size=1))
def test_char_survives_saving_and_loading(folder, text):
    tokenizer = CharTokenizer.train(text)
    tokenizer.save(folder / "char.json")
    assert_same(CharTokenizer.load(folder / "char.json"), tokenizer)
    assert_same(load_tokenizer(str(folder / "char.json")), tokenizer)


@given(
    st.text("ab c\n"),
    st.lists(st.text(min_size=1), unique=True),
    st.sampled_from(["gpt2", "cl100k", None]),
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
    fields = json.loads(text)
    assert fields["model"]["type"] == "BPE"
    assert fields["model"]["vocab"]["Ġi!"] == 257
    assert fields["added_tokens"][0]["content"] == "<ü>"
    assert fields["added_tokens"][0]["id"] == 258
    assert '   "Ġ i",\n   "Ġi !"\n' in text
    assert "\r" not in text


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
bpe_file = json.loads(huggingface.to_json(BPETokenizer([(97, 98)], ["<a>"])))


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
        (b"", "damaged or no JSON"),
        (b"\xff\xfe\x00", "no UTF-8 text"),
        (b"[" * 100_000, "damaged or no JSON"),
        (b"1" * 5000, "damaged or no JSON"),
        ([1, 2], "must hold a JSON object .* got a list"),
        ({"type": ["char"]}, r"\"type\" is \['char'\]"),
        (char_file | {"version": 2}, "version 2, this npgpt reads version 1"),
        ({"type": "char", "version": 1}, "the field 'characters' is missing"),
        (char_file | {"characters": "cba"}, "distinct and sorted"),
        (char_file | {"characters": ""}, "at least one character"),
        (char_file | {"characters": "\ud800"}, "lone surrogate"),
        (char_file | {"characters": ["a"]}, "expected a str, got list"),
        ({"model": {"type": "BPE"}}, "'pre_tokenizer' is missing"),
        (model_with(type="Unigram"), "a model of type 'Unigram', which BPETokenizer does not do"),
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
        (bpe_with(added_tokens=[{"content": "<a>", "id": 97}]), "no merge makes the token '<a>'"),
        (bpe_with(added_tokens=[{"content": "<m>", "id": 9, "lstrip": True}]), "takes spaces"),
        (model_with(merges=["a"]), "merge 0 of .* must join two tokens, got"),
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
        (lambda vocab: vocab | {"new": "270"}, None, "must be an int from 0, got '270'"),
        (lambda vocab: vocab | {"new": -1}, None, "id of 'new' must be an int from 0, got -1"),
        (lambda vocab: vocab | {"new": 1 << 30}, None, "special token 'new' must be an int from"),
        (lambda vocab: {k: i for k, i in vocab.items() if k != "Ġ"}, None, "no token for 1 of"),
        (None, lambda lines: [lines[0], *lines[3:]], "joins tokens that only later merges make"),
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
    if "special token" not in message:
        assert str(tmp_path) in str(error.value)


@pytest.mark.parametrize("kept", [0, 1, 5, 9])
def test_a_gpt2_merges_file_cut_at_a_line_end_is_refused(kept, tmp_path):
    tokenizer = TOKENIZERS["bpe"]
    vocab_json, merges_txt = write_gpt2_files(tmp_path, tokenizer)
    lines = merges_txt.read_text(encoding="utf-8").splitlines(keepends=True)
    assert kept < len(tokenizer.merges)
    merges_txt.write_text("".join(lines[: 1 + kept]), encoding="utf-8")
    first = lines[1 + kept].strip().replace(" ", "")
    with pytest.raises(ValueError, match="the merges file seems cut short") as error:
        BPETokenizer.from_gpt2(vocab_json, merges_txt)
    assert repr(first) in str(error.value) and str(256 + kept) in str(error.value)


def test_special_tokens_of_gpt2_files_may_be_two_tokens_joined(tmp_path):
    tokenizer = BPETokenizer([tuple(b"s>")], ["<s>", "[]"])
    loaded = BPETokenizer.from_gpt2(*write_gpt2_files(tmp_path, tokenizer))
    assert loaded.special_ids == {"<s>": 257, "[]": 258}


def test_a_gpt2_merge_of_a_token_that_comes_after_it_is_refused(tmp_path):
    merges = [tuple(b"ug"), (ord("h"), 256)]
    vocab_json, merges_txt = write_gpt2_files(tmp_path, BPETokenizer(merges))
    merges_txt.write_text("h ug\nu g\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"merge 0 .* 'h' 'ug', joins tokens that only later"):
        BPETokenizer.from_gpt2(vocab_json, merges_txt)


def test_gpt2_files_that_are_missing_are_named(tmp_path):
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZERS["bpe"])
    with pytest.raises(FileNotFoundError, match=r"none\.txt"):
        BPETokenizer.from_gpt2(vocab_json, tmp_path / "none.txt")
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        BPETokenizer.from_gpt2(tmp_path / "none.json", merges_txt)


# tiktoken's files


def write_ranks(path, tokenizer):
    """A rank file of the tokens that are bytes or made by merges."""
    spellings = [tokenizer.tokens[i] for i in tokenizer.ids]
    lines = [
        f"{base64.b64encode(spelling).decode()} {i}\n"
        for i, spelling in sorted(zip(tokenizer.ids, spellings, strict=True))
    ]
    path.write_text("".join(lines), encoding="utf-8")
    return lines


def test_a_rank_file_gives_the_merges_back(tmp_path):
    original = BPETokenizer.train(TEXT * 3, 290, byte_order=list(byte_to_unicode()))
    write_ranks(tmp_path / "ranks.tiktoken", original)
    special_ids = {"<|end|>": 400}
    loaded = BPETokenizer.from_tiktoken(tmp_path / "ranks.tiktoken", "gpt2", special_ids)
    assert loaded.merges == original.merges
    assert loaded.ids == original.ids
    assert loaded.special_ids == special_ids
    assert loaded.vocab_size == 401


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:100], "lacks 156 of the 256 single bytes, such as"),
        (lambda lines: [*lines[:270], lines[270][:3]], "line 271 of .* must be a token in base 64"),
        (lambda lines: [*lines[:280], "%%% 1000\n"], "line 281 of .* must be"),
        (lambda lines: [*lines[:256], *lines[257:]], "must be two earlier tokens joined, and it"),
    ],
)
def test_damaged_rank_files_are_refused(damage, message, tmp_path):
    path = tmp_path / "ranks.tiktoken"
    lines = write_ranks(path, BPETokenizer.train("hugs hugs hugged the bugs. " * 3 + TEXT * 2, 310))
    path.write_text("".join(damage(lines)), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        BPETokenizer.from_tiktoken(path, "gpt2")
    assert str(path) in str(error.value)
