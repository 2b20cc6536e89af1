"""The excess split by the grammar's choices: each token's least loss, and the sum of the parts."""

import math
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "examples"))
import ablations
import skills
from ablations import BASE, ROWS, new_model, stories, tokenizer
from almanac import Almanac
from families import WordTokenizer

from npgpt.tales.grammar import Grammar

SMALL = Grammar({
    "story": [("There {:who} had a {it:thing}, {it.his} {it}.", {}, 3), "A {:way}."],
    "who": [("The one {:look} cat", {}, 2), "The dog", "Some pig"],
    "look": ["red", ("blue", {}, 4)],
    "thing": [("hat", {"his": "her"}), ("cup", {"his": "his"}, 2)],
    "way": ["took a bath", "took a nap", ("went", {}, 5)],
})


def every_story(grammar):
    """Yield every text of a grammar with its probability."""
    paths = [()]
    while paths:
        path, taken = paths.pop(), []

        def choose(options, _, path=path, taken=taken):
            if len(taken) == len(path):
                raise _Open(len(options))
            taken.append(options[path[len(taken)]])
            return taken[-1]

        try:
            yield grammar.write(choose), math.prod(option.probability for option in taken)
        except _Open as end:
            paths += [(*path, i) for i in range(end.args[0])]


class _Open(Exception):
    pass


def test_the_least_loss_on_a_token_is_its_conditional_probability():
    found = dict(every_story(SMALL))
    words = WordTokenizer("\n".join(found), special=())
    prefixes = defaultdict(float)
    for text, probability in found.items():
        ids = tuple(words.encode(text))
        for i in range(len(ids) + 1):
            prefixes[ids[:i]] += probability
    assert prefixes[()] == pytest.approx(1, abs=1e-14) and len(found) == 11
    for text in found:
        ids, nats, _ = skills._tokens(SMALL, text, words, lambda piece: "x")
        ids = tuple(ids)
        right = [math.log(prefixes[ids[:i]] / prefixes[ids[: i + 1]]) for i in range(len(ids))]
        assert nats == pytest.approx(right, abs=1e-13)


def pieces_of(told, row):
    return [tokenizer().pieces[i] for i in told.y_NT[row] if i >= 0]


def test_kinds_of_tokens():
    told = skills.of_tales([
        "A shy small dog of Velaria did not cross the red street because it was too tired, so it "
        "slept in a tiny bed. Soon a bold pink hen led it to Sidonia.\n\n",
        "\"Who ate my hot pie?\" asked shy King Badado of Sidonia. \"Not I,\" said the "
        "sly red cow. But the calm big hen had crumbs on its head, so it was sent to Velaria.\n\n"],
        tokenizer())
    kinds = [told.kinds[kind] for kind in told.kind_NT[0] if kind >= 0]
    of = defaultdict(list)
    for piece, kind in zip(pieces_of(told, 0), kinds, strict=True):
        of[kind].append(piece)
    assert of["sentence"] == ["A"] and of["reason"] == [" tired", " slept", " a"]
    assert of["name"] == [" Ve", "la", "ria", " Si", "do", "nia"]
    assert told.kinds[told.kind_NT[1, pieces_of(told, 1).index(" crumbs")]] == "reason"
    assert of["word"] == [" shy", " small", " dog", " red", " street", " tiny",
                          " bold", " pink", " hen"]


def test_kinds_of_tokens_in_an_almanac():
    almanac = Almanac(exponent=1.5, shift=5)
    first, second, third = (almanac.grammar.lists["person"][rank] for rank in (0, 10, 11))
    facts = first.traits
    story = (f"The good {first.lead} met {second.lead} in {facts['land']}, so {facts['he']} sang "
             f"and {second.traits['he']} fed the {facts['pet']}.\n")
    other = (f"Once {third.lead} the {third.traits['job']} came from {third.traits['land']} with "
             f"{third.traits['his']} {third.traits['pet']}.\n")
    told = skills.of_almanac(almanac, [story, other])
    for row, text in enumerate((story, other)):
        assert told.nats_NT[row].sum() == pytest.approx(-almanac.grammar.log_probability(text))
    kinds = [[told.kinds[kind] for kind in row if kind >= 0] for row in told.kind_NT]
    assert [kind for kind in kinds[0] if kind != "form"] == [
        "sentence", "word", *["person"] * 4, "fact, ranks to 10", "pronoun", "word", "pronoun",
        "fact, ranks to 10"]
    assert [kind for kind in kinds[1] if kind != "form"] == [
        "sentence", *["person"] * 2, *["fact, to 100"] * 2, "pronoun", "fact, to 100"]


@pytest.mark.parametrize("settings", [BASE, ROWS])
def test_the_parts_add_up_to_the_excess(settings):
    text = settings.get("text", "tales")
    model, told, some = new_model(settings, np.float64), ablations.tested(text), slice(0, 40)
    parts = skills.excess_by_kind(model, told, some)
    test, nats = stories("test", text), 0.0
    for x_T, y_T in zip(test.x_NT[some], test.y_NT[some], strict=True):
        n = (y_T >= 0).sum()
        nats += n * model.loss(x_T[None, :n], y_T[None, :n]).item()
    count = (test.y_NT[some] >= 0).sum()
    assert sum(parts.values()) == pytest.approx((nats - test.nats_N[some].sum()) / count, abs=1e-12)
    assert all(abs(part) > 1e-4 for part in parts.values())


def test_chances_of_one_token_and_of_all():
    model, told = new_model(ROWS, np.float64), ablations.tested("rows")
    found, chances = skills.measured(model, told, slice(0, 3)), []
    for x_T, y_T, nats_T in zip(told.x_NT[:3], told.y_NT[:3], told.nats_NT[:3], strict=True):
        logits = model(x_T[None])[0].data[0]
        odds = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        chances.append(odds[np.arange(len(y_T)), y_T][(nats_T == 0) & (y_T >= 0)])
    assert found["one"] == pytest.approx(np.concatenate(chances).mean())
    assert found["all"] == pytest.approx(np.mean([row.prod() for row in chances]))
    assert found["new letter"] == skills.excess_by_kind(model, told, slice(0, 3))["new letter"]
