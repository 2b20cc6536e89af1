"""tiktoken's files of ranks: the merges that they imply, and damaged ones."""

import base64

import pytest

from npgpt.tokenizers import BPETokenizer
from npgpt.tokenizers.gpt2_files import byte_to_unicode

TEXT = "Hug the pug, hug the bug.\r\n\u2028 Naïve \U0001f389"


def write_ranks(path, tokenizer):
    """Write a rank file of the bytes and the merged tokens; return its lines."""
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
    assert (loaded.merges, loaded.ids) == (original.merges, original.ids)
    assert (loaded.special_ids, loaded.vocab_size) == (special_ids, 401)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda lines: lines[:100], "156 of the 256"),
        (lambda lines: [*lines[:270], lines[270][:3]], "line 271"),
        (lambda lines: [*lines[:280], "%%% 1000\n"], "line 281"),
        (lambda lines: [*lines[:256], *lines[257:]], "b'hug.*two"),
    ],
)
def test_damaged_rank_files_are_refused(damage, message, tmp_path):
    path = tmp_path / "ranks.tiktoken"
    lines = write_ranks(path, BPETokenizer.train("hugs hugs hugged the bugs. " * 3 + TEXT * 2, 310))
    path.write_text("".join(damage(lines)), encoding="utf-8")
    with pytest.raises(ValueError, match=message) as error:
        BPETokenizer.from_tiktoken(path, "gpt2")
    assert str(path) in str(error.value)
