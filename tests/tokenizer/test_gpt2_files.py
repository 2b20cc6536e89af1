"""GPT-2's two files: its ids, files that do not belong together, and files cut short."""

import json

import pytest

from npgpt.tokenizers import BPETokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"
TOKENIZER = BPETokenizer.train(TEXT, 270, special_tokens=["<|end|>", "[ü]"])


def write_gpt2_files(folder, tokenizer, newline="\n"):
    """Write `tokenizer` as GPT-2 would: ids of bytes in GPT-2's order, spaces as Ġ."""
    table = byte_to_unicode()
    spelled = ["".join(table[byte] for byte in token) for token in tokenizer.merged]
    names = [*table.values(), *spelled[256:], *tokenizer.special_ids]
    vocab = dict(sorted((name, i) for i, name in enumerate(names)))  # any order will do
    lines = ["#version: 0.2", *(f"{spelled[a]} {spelled[b]}" for a, b in tokenizer.merges), ""]
    (folder / "encoder.json").write_text(json.dumps(vocab), encoding="utf-8")
    (folder / "vocab.bpe").write_text("\n".join(lines), encoding="utf-8", newline=newline)
    return folder / "encoder.json", folder / "vocab.bpe"


def test_bytes_have_the_stand_ins_of_gpt2():
    table = byte_to_unicode()
    assert len(set(table.values())) == 256
    assert (table[0], table[0x7F], table[0xA0], table[0xAD]) == ("Ā", "ġ", "ł", "Ń")


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_gpt2_files_give_the_same_tokens_under_gpt2s_ids(newline, tmp_path):
    loaded = BPETokenizer.from_gpt2(*write_gpt2_files(tmp_path, TOKENIZER, newline))
    assert loaded.tokens[256:] == TOKENIZER.tokens[256:]
    assert loaded.special_ids == TOKENIZER.special_ids
    assert loaded.encode(" \n!").tolist() == [220, 198, 0]
    ids, ours = (each.encode(TEXT + "<|end|>") for each in (loaded, TOKENIZER))
    assert [loaded.tokens[i] for i in ids] == [TOKENIZER.tokens[i] for i in ours]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda vocab, lines: vocab.update({"[new]": "270"}), "'270'"),
        (lambda vocab, lines: vocab.update({"a": [1]}), "encoder.json.*'a'"),
        (lambda vocab, lines: vocab.update({"a": None}), "encoder.json.*'a'"),
        (lambda vocab, lines: vocab.update({"new": 270}), "'new' .* short"),
        (lambda vocab, lines: lines.pop(1), "order|short"),
        (lambda vocab, lines: lines.pop(), "short"),
        (lambda vocab, lines: lines.append(lines[1]), "order"),
        (lambda vocab, lines: lines.append("a zz"), "'a', 'zz'"),
    ],
)
def test_gpt2_files_that_do_not_fit_are_refused(damage, message, tmp_path):
    vocab_json, merges_txt = write_gpt2_files(tmp_path, TOKENIZER)
    vocab = json.loads(vocab_json.read_text(encoding="utf-8"))
    lines = merges_txt.read_text(encoding="utf-8").splitlines()
    damage(vocab, lines)
    vocab_json.write_text(json.dumps(vocab), encoding="utf-8")
    merges_txt.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(ValueError, match=message):
        BPETokenizer.from_gpt2(vocab_json, merges_txt)
