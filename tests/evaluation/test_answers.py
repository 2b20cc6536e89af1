"""The share of right answers, and the entropy of requested stories, beside computations by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from npgpt import GPT, CharTokenizer, GPTConfig
from npgpt.batches import Dataset
from npgpt.data.conversations import OWN, Answers, Conversation, Conversations, OwnTemplate
from npgpt.evaluation.answers import Answered, answered, given, shares

TOKENIZER = CharTokenizer("ab", OWN)
END = TOKENIZER.special_ids[OWN[2]]


class Asked:
    """A question whose right answers begin with a letter."""

    grammar = SimpleNamespace(expectation=lambda: (1.5, 0))

    def __init__(self, kind, begin):
        self.kind, self.begin = kind, begin

    def right(self, text):
        return text.startswith(self.begin)


def data(questions):
    prompt = [TOKENIZER.special_ids[OWN[0]], 0, TOKENIZER.special_ids[OWN[1]]]
    ids_N = np.array([*prompt, 1, END])
    talks = Conversations([Conversation(ids_N, np.arange(5) > 2, q) for q in questions], 4)
    return Dataset(None, TOKENIZER, talks, talks, Answers(TOKENIZER), None, template=OwnTemplate())


@pytest.fixture(scope="module")
def model():
    made = GPT(GPTConfig(5, 64, 1, 1, 4), 1, np.float64)
    for weight in made.parameters().values():
        weight.data += 0.5 * np.random.default_rng(3).standard_normal(weight.shape)
    return made


def nats(model, ids, first):
    z_TV = model(ids[None, :-1])[0].data[0]
    logp_TV = z_TV - np.log(np.exp(z_TV).sum(axis=1, keepdims=True))
    return -logp_TV[np.arange(first - 1, len(ids) - 1), ids[first:]].sum()


def test_questions_are_answered_greedily_and_stories_are_drawn(model):
    of = data([Asked("who", "a"), Asked("who", "b"), *[Asked("story", "a")] * 300])
    prompt = of.train_ids.talks[0].prompt_T
    greedy = TOKENIZER.decode(model.generate(prompt, 8, temperature=0)[3:])
    found = answered(model, of, of.train_ids)
    assert found.right["who"] == [(greedy[0] == "a") + (greedy[0] == "b"), 2]
    z_V = model(prompt[None])[0].data[0, -1]
    p = (np.exp(z_V) / np.exp(z_V).sum())[0]  # of an "a", after which all is right
    right, asked = found.right["story"]
    assert asked == 300 and abs(right - 300 * p) < 4 * (300 * p * (1 - p)) ** 0.5 and 0 < p < 1
    assert found.grammars == 1.5


def test_the_entropy_is_that_of_the_right_stories(model):
    of = data([Asked("story", "a")] * 50)
    rows = model.generate([of.train_ids.talks[0].prompt_T] * 50, 32, stop=END, seed=0)
    spent = []
    for row in rows:
        said = row[3:].tolist()
        said = said[: said.index(END)] if END in said else said
        if said and said[0] == 0:
            spent.append(nats(model, np.array([*row[:3], *said, END]), 3))
    expected = np.mean(spent) + np.log(len(spent) / 50)
    assert 0 < len(spent) < 50
    assert answered(model, of, of.train_ids).entropy == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("changed", [None, 4, 6, 12])
def test_an_answer_is_given_if_the_model_writes_it_greedily_to_its_end(model, changed):
    ids = model.generate([2, 0, 3], 4, temperature=0)
    if changed in (4, 6):
        ids[changed] = (ids[changed] + 1) % 5
    ids = model.generate([*ids, 2, 1, 3], 3, temperature=0)
    if changed == 12:
        ids[changed] = (ids[changed] + 1) % 5
    talk = Conversation(ids, np.isin(np.arange(13), [3, 4, 5, 6, 10, 11, 12]))
    assert given(model, talk) == [(3, changed not in (4, 6)), (10, changed != 12)]


def test_lines_have_wilsons_interval_and_the_entropy():
    line, own = shares({"who": [8, 10]})
    assert "80.0%" in line and "49.0% to 94.3%" in own and shares({}) == []
    found = Answered({"who": [8, 10], "one": [3, 10]}, 21.25, 25.5).lines()
    assert " 55.0%" in found[0] and " 30.0%" in found[2] and "21.2" in found[3]
