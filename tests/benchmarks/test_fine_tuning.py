"""The text for fine-tuning: in the characters of the tales, but with different stories."""

import pytest

from benchmarks.fine_tuning import changed_grammar, steps_to
from npgpt import tales


def test_the_changed_grammar_tells_other_stories_in_the_same_characters():
    grammar = changed_grammar()
    text = tales.generate(50_000, seed=1, grammar=grammar)
    assert set(text) <= set(tales.generate(50_000))
    stories = tales.stories(text)
    assert all(grammar.parse(story) for story in stories)
    assert not any(map(tales.log_probability, stories))


def test_steps_are_read_off_a_power_law_exactly():
    losses = [0.4 + 3 / steps**1.5 for steps in (100, 400)]
    goal = 0.4 + 3 / 250**1.5
    assert steps_to(goal, (100, 400), losses, 0.4) == pytest.approx(250)
