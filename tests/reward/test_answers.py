"""Requests of a story: the verdict on what is written, beside the question's own."""

from hypothesis import given
from hypothesis import strategies as st

from npgpt import tales
from npgpt.data.conversations import OWN
from npgpt.data.tokens import new_tokenizer
from npgpt.reward.verify import GrammarVerifier
from npgpt.tales.questions import questions

ASKED = [asked for asked in questions(1500, seed=6) if asked.kind == "story"]
TEXT = tales.generate(100_000, seed=7)
TOKENIZER = new_tokenizer("words", [TEXT], "".join(sorted(set(TEXT))), None, OWN)


def judge(asked):
    return GrammarVerifier(TOKENIZER, asked.grammar, OWN[2], "\n\n")


def written(text):
    return TOKENIZER.encode(text + OWN[2], allowed_special="all")


@given(st.sampled_from(ASKED), st.sampled_from(ASKED))
def test_the_verdict_is_that_of_the_question(asked, other):
    verdict = judge(asked)(written(other.answer))
    assert verdict.right == asked.right(other.answer) and verdict.reward == float(verdict.right)
    assert (verdict.wrong is None) == verdict.right


@given(st.sampled_from(ASKED), st.integers(1, 10**6), st.integers(0, 10**6))
def test_the_first_wrong_token_is_where_no_right_story_goes_on(asked, at, other):
    ids = written(asked.answer)
    at, other = at % (len(ids) - 1), other % TOKENIZER.vocab_size
    cut = judge(asked)(ids[: at + 1])
    assert cut == (0.0, False, None)
    early = judge(asked)([*ids[:at], TOKENIZER.special_ids[OWN[2]]])  # ended too soon
    assert early == (0.0, False, at)
    changed = judge(asked)([*ids[:at], other, *ids[at + 1 :]])
    assert changed.right == asked.right(TOKENIZER.decode([*ids[:at], other, *ids[at + 1 : -1]]))
    assert changed.right or changed.wrong is None or changed.wrong >= at
