"""Texts larger than memory: their chunks have the same tokens as the text at once."""

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt import tales
from npgpt.tokenizers import BPETokenizer, chunking
from npgpt.tokenizers.pretokenize import PATTERNS

PROSE = tales.generate(30_000, seed=1) + "WE'RE 東京タワー {}\r\n\n\n\n     it'll \u00a0x" * 99
SPECIAL = ["<|end|>", "<| and |>"]
LEARNED = {pattern: BPETokenizer.train(PROSE, 500, pattern=pattern).merges for pattern in PATTERNS}


@pytest.mark.parametrize("pattern", PATTERNS)
def test_parts_are_learned_from_and_encoded_as_one_text(pattern, monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK", 500)
    text = PROSE.replace(" the", "<| and |>  ").replace(" a", "<|end|>\r\n")
    lines = text.splitlines(keepends=True)
    learned = BPETokenizer.train(lines, 400, SPECIAL, pattern=pattern)
    assert learned.merges == BPETokenizer.train(text, 400, SPECIAL, pattern=pattern).merges
    for special_id, dtype in ((400, "<u2"), (70_000, "<u4")):
        special_ids = dict(zip(SPECIAL, (398, special_id), strict=True))
        tokenizer = BPETokenizer(learned.merges, special_ids, pattern=pattern)
        file = io.BytesIO()
        count = chunking.write_ids(tokenizer, lines, file)
        ids = np.frombuffer(file.getvalue(), dtype)
        assert count == len(ids) and ids.tolist() == tokenizer.encode(text).tolist()


@pytest.mark.parametrize("pattern", [*PATTERNS, None])
@pytest.mark.parametrize("unit", ["A hen. ", "東京。\n", "東京", " ", "a1", *SPECIAL])
def test_no_chunk_of_a_text_grows_with_it_and_none_cuts_a_special_token(unit, pattern, monkeypatch):
    monkeypatch.setattr(chunking, "CHUNK", 100)
    tokenizer = BPETokenizer([], SPECIAL, pattern=pattern)
    chunks = list(tokenizer.chunks([unit] * 1000))
    assert max(map(len, chunks)) <= 110 and "".join(chunks) == unit * 1000
    ids = [token_id for chunk in chunks for token_id in tokenizer.encode(chunk).tolist()]
    assert ids == tokenizer.encode(unit * 1000).tolist()


UNITS = ["'s", "'ll", "\n\n", "\r\n", "ab", "東京。\n", "<|end|>", "<|end|>>", "<ab", "😀", "𐐀"]


@pytest.mark.parametrize("pattern", PATTERNS)
@settings(max_examples=200)
@given(data=st.data())
def test_the_parts_of_a_text_have_the_ids_of_the_whole(pattern, data):
    """Draw long runs too, each of which is a single pre-token."""
    units = st.lists(st.sampled_from([*UNITS, *"é !'7a. \t\x1c\x85\u3000"]), max_size=3)
    runs = data.draw(st.lists(st.tuples(units.map("".join), st.integers(1, 8)), max_size=20))
    text = " a".join(unit * times for unit, times in runs)
    merges = LEARNED[pattern]
    tokenizer = BPETokenizer(merges, ["<|end|>", "<|end|>>", "ab<", "7 \n"], pattern=pattern)
    step = data.draw(st.integers(1, 300))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunking, "CHUNK", 250)
        parts = (text[start : start + step] for start in range(0, len(text), step))
        chunks = list(tokenizer.chunks(parts))
    ids = [token_id for chunk in chunks for token_id in tokenizer.encode(chunk).tolist()]
    assert "".join(chunks) == text
    assert ids == tokenizer.encode(text).tolist()
