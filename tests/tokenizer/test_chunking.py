"""Texts larger than memory: their chunks have the same tokens as the text at once."""

import io
import random
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import tales
from npgpt.tokenizers import BPETokenizer, chunking
from npgpt.tokenizers.bpe_tokenizer import implementation
from npgpt.tokenizers.pretokenize import PATTERNS, spans

PROSE = tales.generate(30_000, seed=1) + "WE'RE 東京タワー {}\r\n\r\n  it'll \u00a0x"
PATTERN_NAMES = [*PATTERNS, None]
RUNS = "".join(unit * 40 for unit in ["東", " ", "\n", "!", "'", "7", "é", "ab", "aab", "\n \n"])
LEARNED = {  # merges of prose, of runs, and ones that join halves of characters
    pattern: (
        BPETokenizer.train(PROSE, 700, pattern=pattern).merges,
        BPETokenizer.train(RUNS, 340, pattern=pattern).merges,
        [(0xAC, 0xE6), (0x9D, 0xB1), (0xA9, 0xC3), (32, 10), (97, 97), (98, 97), (256, 257)],
    )
    for pattern in PATTERN_NAMES
}


@pytest.mark.parametrize("pattern", PATTERN_NAMES)
def test_parts_are_learned_from_and_encoded_as_one_text(pattern, monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK", 500)
    rng, special_tokens = random.Random(0), ["<|end|>", "<| and |>"]
    often = [*special_tokens, "<| and |>", " ", "\n", "  ", "\r\n"]
    words = re.findall(r"\S+ ?|\s+", PROSE)
    text = "".join(rng.choice(often if rng.random() < 0.5 else words) for _ in range(6000))
    lines = text.splitlines(keepends=True)
    learned = BPETokenizer.train(lines, 700, special_tokens, pattern=pattern)
    data = text.encode()
    cut = spans(data, dict.fromkeys(special_tokens, 0))
    counts = implementation().count_pre_tokens(data, cut, pattern)
    assert learned.merges == implementation().learn_merges(counts, 442)
    for special_id, dtype in ((700, "<u2"), (70_000, "<u4")):
        special_ids = dict(zip(special_tokens, (698, special_id), strict=True))
        tokenizer = BPETokenizer(learned.merges, special_ids, pattern=pattern)
        file = io.BytesIO()
        count = chunking.write_ids(tokenizer, lines, file)
        ids = np.frombuffer(file.getvalue(), dtype)
        assert count == len(ids) and ids.tolist() == tokenizer.encode(text).tolist()


def test_lines_without_spaces_are_encoded_in_chunks(monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK", 100)
    chunks = list(chunking.chunks(["東京都。\n"] * 1000, ["<|end|>"], "gpt2"))
    assert max(map(len, chunks)) <= 105


UNITS = [
    *"東 \n!'7é", "\n\n", "\r\n", "ab", "aab", "東京。\n\n", "a\n\n", "!\n\n", "\n \n", "!'s"
]
OTHERS = [*"a. 1\t\x1c\x85\u3000", "'ll", "<|end|>", "<|end|>>", "<ab"]


@pytest.mark.parametrize("pattern", PATTERN_NAMES)
@settings(max_examples=400)
@given(data=st.data())
@pytest.mark.slow
def test_the_parts_of_a_text_have_the_ids_of_the_whole(pattern, data):
    """Draw long runs too, each of which is a single pre-token."""
    runs = st.lists(st.tuples(st.sampled_from(UNITS + OTHERS), st.integers(1, 30)), max_size=8)
    text = "".join(unit * times for unit, times in data.draw(runs))
    learned = data.draw(st.sampled_from(list(LEARNED[pattern])))
    merges = learned[: data.draw(st.integers(0, len(learned)))]
    tokenizer = BPETokenizer(merges, ["<|end|>", "<|end|>>", "ab<"], pattern=pattern)
    size, step = data.draw(st.integers(1, 60)), data.draw(st.integers(1, 100))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "CHUNK", size)
        patch.setattr(chunking, "LOOK_BACK", data.draw(st.integers(1, 20)))
        patch.setattr(chunking, "LONGEST_TOKENS", 1)
        parts = (text[start : start + step] for start in range(0, len(text), step))
        chunks = list(tokenizer.chunks(parts))
    ids = [token_id for chunk in chunks for token_id in tokenizer.encode(chunk).tolist()]
    assert "".join(chunks) == text
    assert ids == tokenizer.encode(text).tolist()


ALONE = [*"東 !'é", "ab", "aab", "東京。\n\n", "a\n\n", "!'s"]  # repeated, can be cut


@pytest.mark.parametrize(
    ("pattern", "unit"),
    [(pattern, unit) for pattern in PATTERN_NAMES for unit in ALONE]
    + [(pattern, unit) for pattern in ("gpt2", None) for unit in ("7", "\n", "\r\n", "\n \n")],
)
@pytest.mark.slow
def test_no_text_keeps_its_chunks_from_ending(unit, pattern, monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK", 1000)
    monkeypatch.setattr(chunking, "LONGEST_TOKENS", 2)
    for merges in LEARNED[pattern][:2]:
        chunks = list(BPETokenizer(merges, ["<|end|>"], pattern=pattern).chunks([unit * 20_000]))
        assert max(map(len, chunks)) <= 3000


@pytest.mark.parametrize(
    ("pattern", "merges", "text"),
    [
        # What follows changes tokens further back than the longest is long: ab cd ef, a bc de.
        ("gpt2", [(c, c + 1) for c in reversed(range(97, 122))], "abcdefghijklmnopqrstuvwxyz" * 2),
        ("gpt2", [(39, 108), (108, 108)], "7'll7'll7'll"),
        ("gpt2", [(10, 10), (32, 32)], "!!\n\n!!  !!\n\n\n!!   !!"),
        ("cl100k", [(0x82, 97)], "。" * 9 + "a"),
        ("cl100k", [(10, 32), (32, 32)], "\n" + " " * 20 + "x"),
        ("cl100k", [(10, 32), (32, 32)], "\n" + " " * 20 + "\nx"),
        ("cl100k", [(10, 32)], "!" + "\n" * 20 + " \n x"),
        ("cl100k", [(55, 55)], "7" * 20),
    ],
)
def test_ids_where_a_text_may_not_be_cut_anywhere(pattern, merges, text, monkeypatch):
    monkeypatch.setattr(chunking, "LONGEST_TOKENS", 1)
    tokenizer = BPETokenizer(merges, pattern=pattern)
    for size in range(1, len(text)):
        monkeypatch.setattr(chunking, "CHUNK", size)
        ids = [i for chunk in tokenizer.chunks([text]) for i in tokenizer.encode(chunk).tolist()]
        assert ids == tokenizer.encode(text).tolist(), size


def test_a_text_without_a_cut_is_not_searched_again_and_again(monkeypatch):
    searched = []

    def search(text, *arguments, last_cut=chunking._last_cut):
        searched.append(len(text))
        return last_cut(text, *arguments)

    monkeypatch.setattr(chunking, "CHUNK", 100)
    monkeypatch.setattr(chunking, "_last_cut", search)
    assert list(chunking.chunks(["東京"] * 1000, [], "gpt2")) == ["東京" * 1000]
    assert sum(searched) <= 2 * 2000
