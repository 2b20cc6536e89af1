"""The lowest loss on hidden text, by an enumeration of all texts and by sampling.

The grammars in `small_grammars` have few texts, so the sum over the texts that agree with the
visible parts is taken one by one. The tales have too many: sampled stories compare the loss with
the entropy of the same posteriors.
"""

import math
import re
from collections import defaultdict

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_grammars import any_grammar, texts_of

from npgpt.evaluation.grammar_loss import (
    hidden_log_probabilities,
    spans_log_probability,
)
from npgpt.tales.grammar import Grammar
from npgpt.tokenizers import WordTokenizer

LONGEST = 3
# a trait names a list, whose options mention a slot
NAMED = Grammar({
    "story": ["A{pet:pet}{:pet.then}"], "loud": [" said {pet}.", "!"], "mute": [" or{pet}"],
    "pet": [("cat", {"then": "loud"}), ("cow", {"then": "mute"})],
})

SHORT = Grammar({
    "story": ["A{pet:pet}{:more}", "No{:more}{:more}"],
    "pet": [" cat", " cow", " d"], "more": [" ate", "n it", "."],
})


def tokenizers(texts):
    """Draw a tokenizer whose words are some words of the texts, or beginnings of them."""
    known = {word for text in texts for word in re.findall(r" ?[A-Za-z]+", text)}
    known |= {word[:n] for word in known for n in (2, 3)}
    words = sorted(word for word in known if len(word) > 1 and word.strip())
    some = st.sets(st.sampled_from(words), max_size=8) if words else st.just(set())
    alphabet = "".join(sorted(set("".join(texts))))
    return some.map(lambda chosen: WordTokenizer(alphabet, sorted(chosen)))


def tokens_of(text, tokenizer):
    return tokenizer.token_texts(tokenizer.encode(text))


@given(any_grammar | st.just(NAMED), st.data())
def test_hidden_tokens_are_as_likely_as_counting_all_texts_says(grammar, data):
    texts = texts_of(grammar)
    tokenizer = data.draw(tokenizers(texts))
    texts = {tuple(tokens_of(text, tokenizer)): p for text, p in texts.items()}
    text = data.draw(st.sampled_from(sorted(texts)))
    some = sorted(data.draw(st.sets(st.integers(0, len(text) - 1))))
    for hidden in (some, *([i] for i in range(len(text)))):
        found = hidden_log_probabilities(grammar, text, hidden, tokenizer.write)
        assert found == pytest.approx(counted(texts, text, hidden), abs=1e-12)


def counted(texts, text, hidden):
    """Return the same from an enumeration.    texts: tokens of a text -> its probability"""
    visible = set(range(len(text))) - set(hidden)
    agreeing = {
        other: p for other, p in texts.items()
        if len(other) == len(text) and all(other[i] == text[i] for i in visible)
    }
    return [
        math.log(sum(p for other, p in agreeing.items() if other[i] == text[i]))
        - math.log(sum(agreeing.values()))
        for i in hidden
    ]


def cuts(length):
    """Return the probability of each way to hide spans in a text of `length` characters.

    At each visible character a span begins with probability 0.3, but not right after a span; its
    length is uniform in 1 to LONGEST, and it is cut where the text ends.
    """
    found = defaultdict(float)

    def go_on(i, may_begin, spans, p):
        if i >= length:
            found[spans] += p
            return
        go_on(i + 1, True, spans, p * (0.7 if may_begin else 1))
        for n in range(1, LONGEST + 1) if may_begin else ():
            last = min(i + n, length)
            # a visible character follows; it begins no span itself
            go_on(last + 1, True, (*spans, (i, last)), p * 0.3 / LONGEST)

    go_on(0, True, (), 1.0)
    return found


def source_of(tokens, spans):
    shown, before = [], 0
    for first, last in spans:
        shown += [tokens[before:first], None]
        before = last
    return (*shown, tokens[before:])


@settings(max_examples=60)
@pytest.mark.parametrize("grammars", [
    any_grammar.filter(lambda g: max(map(len, texts_of(g))) <= 14), st.just(SHORT)
], ids=["characters", "words"])
@given(st.data())
@pytest.mark.slow
def test_spans_are_as_likely_as_counting_all_texts_and_cuts_says(grammars, data):
    joint, grammar = defaultdict(dict), data.draw(grammars)
    texts = texts_of(grammar)
    tokenizer = data.draw(tokenizers(texts))
    for text, p in texts.items():
        tokens = tuple(tokens_of(text, tokenizer))
        for spans, q in cuts(len(tokens)).items():
            joint[source_of(tokens, spans)][tokens, spans] = p * q
    source = data.draw(st.sampled_from(sorted(joint, key=str)))
    total = sum(joint[source].values())
    for (tokens, spans), p in joint[source].items():
        found = spans_log_probability(grammar, tokens, spans, LONGEST, tokenizer.write)
        assert found == pytest.approx(math.log(p / total), abs=1e-12)
