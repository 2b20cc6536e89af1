"""The text for fine-tuning: in the characters of the tales, but with different stories."""

from benchmarks.fine_tuning import changed_grammar
from npgpt import tales


def test_the_changed_grammar_tells_other_stories_in_the_same_characters():
    grammar = changed_grammar()
    text = tales.generate(50_000, seed=1, grammar=grammar)
    assert set(text) <= set(tales.generate(50_000))
    stories = tales.stories(text)
    assert all(grammar.parse(story) for story in stories)
    assert not any(map(tales.log_probability, stories))
