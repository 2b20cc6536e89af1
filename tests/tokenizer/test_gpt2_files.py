"""GPT-2's two files: its ids, files that do not belong together, and files cut short."""

import json
import random
import re

import pytest

from npgpt.tokenizers import BPETokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
TOKENIZER = BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "<ü>"])


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
    order = list(table)  # the ids of these bytes in GPT-2's encoder.json
    assert [order.index(byte) for byte in b"!\"#\n "] == [0, 1, 2, 198, 220]
    assert (table[0], table[0x7F], table[0xA0], table[0xAD]) == ("Ā", "ġ", "ł", "Ń")
    assert not any(character.isspace() for character in table.values())


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_gpt2_files_give_the_same_tokens_under_gpt2s_ids(newline, tmp_path):
    loaded = BPETokenizer.from_gpt2(*write_gpt2_files(tmp_path, TOKENIZER, newline))
    assert loaded.tokens[256:] == TOKENIZER.tokens[256:]
    assert loaded.special_ids == TOKENIZER.special_ids
    assert loaded.encode(" \n!").tolist() == [220, 198, 0]
    ids, ours = (each.encode(TEXT + "<|end|>") for each in (loaded, TOKENIZER))
    assert [loaded.tokens[i] for i in ids] == [TOKENIZER.tokens[i] for i in ours]


@pytest.mark.parametrize(
    ("damage_vocab", "damage_merges", "message"),
    [
        (lambda vocab: vocab | {"new": "270"}, None, "'new' .* int from 0, got '270'"),
        (lambda vocab: vocab | {"new": -1}, None, "'new' .* int from 0, got -1"),
        (lambda vocab: vocab | {"new": 1 << 30}, None, "special token 'new' .* int from"),
        (lambda vocab: {k: i for k, i in vocab.items() if len(k) > 1}, None, "256 of the 256"),
        (None, lambda lines: [lines[0], *lines[3:]], "only later merges"),
        (None, lambda lines: [*lines, "a zz"], "'a' 'zz'"),
        (None, lambda lines: [*lines, "abc"], r"\['abc'\]"),
        (None, lambda lines: [*lines, "a b c"], r"\['a', 'b', 'c'\]"),
    ],
)
def test_gpt2_files_that_do_not_fit_are_refused(damage_vocab, damage_merges, message, tmp_path):
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZER)
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
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZER)
    lines = merges_txt.read_text(encoding="utf-8").splitlines(keepends=True)
    assert kept < len(TOKENIZER.merges)
    merges_txt.write_text("".join(lines[: 1 + kept]), encoding="utf-8")
    first = lines[1 + kept].strip().replace(" ", "")
    with pytest.raises(ValueError, match=rf"{re.escape(repr(first))} \(id {256 + kept}\).* short"):
        BPETokenizer.from_gpt2(vocab_json, merges_txt)


def test_special_tokens_of_gpt2_files_may_be_two_tokens_joined(tmp_path):
    tokenizer = BPETokenizer([tuple(b"s>")], ["<s>", "[]"])
    loaded = BPETokenizer.from_gpt2(*write_gpt2_files(tmp_path, tokenizer))
    assert loaded.special_ids == {"<s>": 257, "[]": 258}
