"""BPETokenizer: training and encoding against ten naive lines, and the input that it refuses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import BPETokenizer
from npgpt.tokenizers.bpe_tokenizer import learn_merges
from npgpt.tokenizers.pretokenize import split

STORY = """The king was unhappy. His unhappiness was great, and the happiness of the queen was gone.
"Be happy!" said the cat; it's the cat's 12 or 13th word, and they've heard it.  Naïve?\n\n"""
FEW_CHARACTERS = "ab ab c'sé1\n"  # few enough that pairs repeat
small_texts = st.text(FEW_CHARACTERS, max_size=60)


def naive_train(text, n_merges):
    """Return merges. A token is the character of its id, a merge is a str.replace."""
    words = ["".join(map(chr, word.encode())) for word in split(text)]
    merges = []
    for new_id in range(256, 256 + n_merges):
        seen = [pair for word in words for pair in pairwise(word)]
        if not seen:
            break
        left, right = min(set(seen), key=lambda pair: (-seen.count(pair), pair))
        merges.append((ord(left), ord(right)))
        words = [word.replace(left + right, chr(new_id)) for word in words]
    return merges


def replayed(text, merges):
    """Return the ids of a text: every merge in turn, as a str.replace."""
    words = "\0".join("".join(map(chr, word.encode())) for word in split(text))
    for new_id, (left, right) in enumerate(merges, 256):
        words = words.replace(chr(left) + chr(right), chr(new_id))
    return [ord(token) for token in words if token != "\0"]


@pytest.fixture(scope="module")
def story_tokenizer():
    return BPETokenizer.train(STORY, 330, special_tokens=["<|end|>", "<|end|>>"])


# Training


@given(small_texts, small_texts, st.integers(0, 70))
def test_training_and_encoding_equal_the_naive_ones(text, unseen, n_merges):
    tokenizer = BPETokenizer.train(text, 256 + n_merges)
    assert tokenizer.merges == naive_train(text, n_merges)
    assert tokenizer.vocab_size == 256 + len(tokenizer.merges)
    for each in (text, unseen):
        assert tokenizer.encode(each).tolist() == replayed(each, tokenizer.merges)


def test_special_tokens_in_the_training_text_are_boundaries():
    with_special = BPETokenizer.train("hug<|end|>hug<|end|>pug", 300, ["<|end|>"])
    assert with_special.merges == learn_merges({b"hug": 2, b"pug": 1}, 300)


# Encoding and decoding


@given(st.text() | st.text("<|end|> happiness"))
def test_round_trip(story_tokenizer, text):
    ids = story_tokenizer.encode(text)
    assert ids.dtype == np.int32
    assert ids.ndim == 1
    assert story_tokenizer.decode(ids) == story_tokenizer.decode(ids.tolist()) == text


def test_special_tokens_have_the_last_ids_and_the_longer_wins(story_tokenizer):
    assert story_tokenizer.special_ids == {"<|end|>": 328, "<|end|>>": 329}
    assert story_tokenizer.encode("<|end|><|end|>>").tolist() == [328, 329]
    assert story_tokenizer.decode([328, 104, 105]) == "<|end|>hi"


def test_half_a_character_decodes_to_the_replacement_character():
    assert BPETokenizer([]).decode([0xC3, 0x21]) == "\ufffd!"
    assert BPETokenizer([]).decode([0xC3, 0x21], errors="ignore") == "!"
    with pytest.raises(UnicodeDecodeError):
        BPETokenizer([]).decode([0xC3, 0x21], errors="strict")


def test_special_tokens_are_allowed_refused_or_text(story_tokenizer):
    text, end = "happy<|end|>", story_tokenizer.special_ids["<|end|>"]
    assert story_tokenizer.encode(text)[-1] == end
    assert story_tokenizer.encode(text, allowed_special={"<|end|>"})[-1] == end
    as_text = story_tokenizer.encode(text, allowed_special=(), disallowed_special=())
    assert end not in as_text
    assert story_tokenizer.decode(as_text) == text
    with pytest.raises(ValueError, match=r"special token '<\|end\|>' at position 5"):
        story_tokenizer.encode(text, allowed_special=())
    with pytest.raises(ValueError, match=r"special token '<\|end\|>' at position 5"):
        story_tokenizer.encode(text, allowed_special=(), disallowed_special=["<|end|>"])
    with pytest.raises(ValueError, match=r"'<x>' is not a special token .*'<\|end\|>'"):
        story_tokenizer.encode(text, allowed_special=["<x>"])
    with pytest.raises(ValueError, match="pass 'all' or a collection"):
        story_tokenizer.encode(text, allowed_special="<|end|>")


def test_the_merge_steps_of_a_word(story_tokenizer):
    steps = story_tokenizer.merge_steps(" unhappiness")
    ids = story_tokenizer.encode(" unhappiness")
    assert steps[0] == [bytes([byte]) for byte in b" unhappiness"]
    assert steps[-1] == [story_tokenizer.token_bytes(i) for i in ids]
    for tokens, merged in pairwise(steps):
        assert b"".join(tokens) == b"".join(merged) == b" unhappiness"
        assert len(merged) < len(tokens)
    assert story_tokenizer.merge_steps("") == [[]]
    with pytest.raises(ValueError, match=r"pass one of \['two', ' words'\]"):
        story_tokenizer.merge_steps("two words")


# Refused input


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "error", "message"),
    [
        (255, [], ValueError, "vocab_size 255 is too small: .* already take 256"),
        (257, ["<a>", "<b>"], ValueError, "2 special tokens already take 258"),
        (300.5, [], TypeError, "integer"),
        (300, ["<a>", ""], ValueError, "special token 1 is empty"),
        (300, ["<a>", "<b>", "<a>"], ValueError, "special token 2, '<a>', occurs twice"),
        (300, "<a>", TypeError, "must be a list or tuple of texts, got '<a>'"),
        (300, [b"<a>"], TypeError, "expected a str, got bytes"),
        (300, ["\ud800"], ValueError, "lone surrogate"),
    ],
)
def test_arguments_that_make_no_vocabulary(vocab_size, special_tokens, error, message):
    with pytest.raises(error, match=message):
        BPETokenizer.train("some text", vocab_size, special_tokens)


@pytest.mark.parametrize(
    ("merges", "message"),
    [
        ([(97, 98), (256, 257)], "merge 1 must join two tokens from 0 to 256"),
        ([(-1, 98)], "merge 0 must join two tokens from 0 to 255"),
        ([(97, 98), (97, 98)], "merge 1, .*, makes the same token .* as merge 0"),
        ([(97, 98), (98, 99), (256, 99), (97, 257)], "merge 3, .* same token b'abc' as merge 2"),
        ([(97, 97), *((256 + i,) * 2 for i in range(40))], "tokens up to merge .* bytes in all"),
        ([(97, 98, 99)], "merge 0 must be a pair of ints"),
        ([(97, 98.0)], "merge 0 must be a pair of ints"),
        (["ab"], "merge 0 must be a pair of ints"),
    ],
)
def test_merges_that_make_no_vocabulary(merges, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer(merges)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"byte_order": range(255)}, "each of the bytes 0 to 255 exactly once"),
        ({"byte_order": [0] * 256}, "each of the bytes 0 to 255 exactly once"),
        ({"pattern": "p50k"}, "choose 'gpt2', .* or None"),
        ({"pattern": ""}, "there is no split pattern ''"),
    ],
)
def test_settings_that_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer.train("", 300, **settings)
    with pytest.raises(ValueError, match="there is no split pattern"):
        BPETokenizer([], pattern="p50k")


@pytest.mark.parametrize(
    ("ids", "special", "message"),
    [
        (range(255), [], "one id for each of the 256 tokens, got 255"),
        ([0] * 256, [], "token 0 and token 1 both have the id 0"),
        (range(256), {"<a>": 7}, "token 7 and special token '<a>' both have the id 7"),
        (range(-1, 255), [], "the id of token 0 must be an int from 0"),
        (range(256), {"<a>": 1 << 40}, "the id of special token '<a>' must be an int"),
    ],
)
def test_ids_that_make_no_vocabulary(ids, special, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer([], special, ids=ids)


def test_text_must_be_a_str_without_lone_surrogates(story_tokenizer):
    for use in [story_tokenizer.encode, story_tokenizer.merge_steps]:
        with pytest.raises(TypeError, match="expected a str, got bytes"):
            use(b"happy")
        with pytest.raises(ValueError, match=r"lone surrogate U\+D800 at position 5"):
            use("happy\ud800")
    with pytest.raises(ValueError, match=r"lone surrogate U\+D800 at position 5"):
        BPETokenizer.train("happy\ud800", 300)


def test_ids_outside_the_vocabulary_are_named_with_their_position(story_tokenizer):
    with pytest.raises(IndexError, match=r"token id 330 at position 1 .* 330 tokens"):
        story_tokenizer.decode([329, 330])
    with pytest.raises(IndexError, match="token id -1 at position 0"):
        story_tokenizer.token_bytes(-1)
    with_gap = BPETokenizer([], {"<end>": 300})
    with pytest.raises(IndexError, match=r"token id 299 at position 1 .* leaves unused"):
        with_gap.decode([300, 299])
