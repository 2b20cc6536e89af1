"""BPETokenizer: training and encoding against ten naive lines, and the input that it refuses."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt.tokenizers import BPETokenizer
from npgpt.tokenizers.byte_pair_encoding import learn_merges
from npgpt.tokenizers.pretokenize import split

STORY = """The king was unhappy. His unhappiness was great, and the happiness of the queen was gone.
"Be happy!" said the cat; it's the cat's 12 or 13th word, and they've heard it.  Naïve?\n\n"""
small_texts = st.text("ab ab c'sé1\n", max_size=60)  # so few characters that pairs repeat


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
    assert ids.dtype == np.int32 and ids.ndim == 1
    assert story_tokenizer.decode(ids) == story_tokenizer.decode(ids.tolist()) == text


def test_half_a_character_decodes_to_the_replacement_character():
    assert BPETokenizer([]).decode([0xC3, 0x21]) == "\ufffd!"


def test_special_tokens_are_allowed_refused_or_text(story_tokenizer):
    text, end = "happy<|end|>", 328
    assert story_tokenizer.encode("<|end|><|end|>>").tolist() == [end, 329]  # the longer wins
    assert story_tokenizer.encode(text, allowed_special={"<|end|>"})[-1] == end
    as_text = story_tokenizer.encode(text, allowed_special=(), disallowed_special=())
    assert end not in as_text and story_tokenizer.decode(as_text) == text
    for allowed, message in (((), "position 5"), (["<x>"], "<x>"), ("<|end|>", "'<'")):
        with pytest.raises(ValueError, match=message):
            story_tokenizer.encode(text, allowed_special=allowed)


def test_the_merge_steps_of_a_word(story_tokenizer):
    steps = story_tokenizer.merge_steps(" unhappiness")
    assert steps[0] == [bytes([byte]) for byte in b" unhappiness"]
    assert steps[-1] == [story_tokenizer.tokens[i] for i in story_tokenizer.encode(" unhappiness")]
    assert all(len(later) < len(tokens) for tokens, later in pairwise(steps))


# Refused input


@pytest.mark.parametrize(
    ("vocab_size", "special_tokens", "error", "message"),
    [
        (300, ["<a>", ""], ValueError, "token 1"),
        (300, ["<a>", "<b>", "<a>"], ValueError, "token 2, '<a>'"),
        (300, [b"<a>"], AttributeError, "bytes"),
    ],
)
def test_arguments_that_make_no_vocabulary(vocab_size, special_tokens, error, message):
    with pytest.raises(error, match=message):  # before the text is read, which is none
        BPETokenizer.train(None, vocab_size, special_tokens)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ids": [0] * 256}, r"b'\\x00' and b'\\x01' .* 0"),
        ({"special_tokens": {"<a>": 7}}, r"b'\\x07' and b'<a>' .* 7"),
        ({"ids": range(-1, 255)}, "an int "),
    ],
)
def test_ids_that_make_no_vocabulary(settings, message):
    with pytest.raises(ValueError, match=message):
        BPETokenizer([], **settings)
