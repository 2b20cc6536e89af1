"""The embedded corpus: its text, and the claims about it: `npgpt.tales`."""

import hashlib
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npgpt import tales

TEXT = tales.generate(500_000, seed=7)
STORIES = tales.stories(TEXT)


# ---- the text


@given(st.integers(0, 3000), st.integers(0, 3000), st.integers(0, 3))
def test_a_text_is_a_function_of_its_seed_of_exactly_the_length_asked_for(n, m, seed):
    text = tales.generate(n, seed)
    assert len(text) == n
    assert tales.generate(max(n, m), seed).startswith(text)


def test_the_text_is_the_same_everywhere():
    """Saved models and published losses belong to this text: it changes only deliberately."""
    digest = hashlib.sha256(TEXT.encode("utf-8")).hexdigest()
    assert digest == "ef4b97af25a365ce2bde3a7e96f68667fe5a2a490aab129e8a6c959e5312380f"


@given(st.integers(0, 5000))
def test_stories_are_the_complete_ones(n):
    complete = "".join(tales.stories(TEXT[:n]))
    assert TEXT.startswith(complete)
    assert tales.END not in TEXT[len(complete) : n]


def test_a_story_fits_into_a_window_of_256_characters():
    assert max(map(len, STORIES)) < 192


# ---- probability and entropy


def test_the_surprisals_of_a_story_are_its_probability_wherever_the_text_is_cut():
    text = "".join(STORIES[:60])
    nats = tales.surprisals(text)
    assert nats.sum() == pytest.approx(-sum(map(tales.log_probability, STORIES[:60])), rel=1e-12)
    for cut in range(1, len(text), 97):
        assert (tales.surprisals(text[cut:], text[:cut]) == nats[cut:]).all()
        assert (tales.surprisals(text[:cut]) == nats[:cut]).all()
    assert tales.surprisals("".join(STORIES[:3]).replace("e", "a")) is None
    assert tales.surprisals(text[5:]) is None  # nobody knows how its first story begins


def test_monte_carlo_agrees_with_the_exact_entropy_rate():
    nats = np.array([-tales.log_probability(story) for story in STORIES])
    lengths = np.array([len(story) for story in STORIES])
    exact = tales.GRAMMAR.expectation()
    assert tales.entropy_rate() == exact[0] / exact[1]
    for mean, sample in zip(exact, (nats, lengths), strict=True):
        assert abs(sample.mean() - mean) < 4 * sample.std() / math.sqrt(len(STORIES))


@given(st.sampled_from(STORIES), st.integers(0, 200), st.sampled_from(["", *"aeinrst. "]))
def test_a_story_with_one_slip_does_not_parse(story, at, more):
    at %= len(story)
    slipped = story[:at] + more + story[at + (not more) :]
    assert tales.log_probability(slipped) is None


# ---- for pictures


def test_the_sentence_with_it_begins_a_story_in_which_it_is_the_animal():
    def tells(sentence, rest):
        story = f"{sentence} {rest}. Soon a kind grey hen led it to Rovinia{tales.END}"
        return tales.log_probability(story) is not None

    sentence = tales.SENTENCE_WITH_IT
    assert sentence.split().count("dog") == 1
    assert tells(sentence, "slept in a red bed")
    assert not tells(sentence, "waited until dawn")
    assert tells(sentence.replace("tired", "noisy"), "waited until dawn")
