"""The game: its losses are Python's, its verdict is true, and the reader's text stays."""

import numpy as np
from look_page import ENTER, enter, expected, facts, press, shown, softmax, stored, table

from npgpt import tales
from npgpt.ngram import NgramModel

FIELD = "input[aria-label='the next character']"
IS_FOCUSED = "return document.activeElement === document.querySelector(arguments[0])"


def test_a_bet_costs_what_python_says_and_the_text_stays(browser, pages, subjects):
    path, record = pages["tales"]
    browser.open(path, "view=bet&text=A+hen")
    field, story = browser.find(FIELD), record["bet"]["story"]
    first = len(shown(browser, ".tokens")) - 1
    assert first >= 30 and shown(browser, ".tokens") == f"{story[:first]}…"
    for guess in (story[first], "q"):  # one right, one wrong
        field.send_keys(guess, ENTER)
        assert field.get_attribute("value") == "" and browser.run(IS_FOCUSED, FIELD)
    assert story[first + 1] != "q"
    ids = subjects["tales"].tokenizer.encode(story[: first + 2])
    model, V = softmax(expected(stored(subjects["tales"]), ids)[0]), record["config"]["vocab_size"]
    corpus = subjects["tales"].tokenizer.encode(tales.generate(200_000))
    bigrams = NgramModel(corpus, V, 2)
    _, *rows, mean = table(browser, "losses in nats")
    for i, yours in enumerate((None, None, None, 0.7, 0.3 / (V - 1))):  # three are shown before
        t = first - 3 + i
        p = (yours, bigrams.probabilities([ids[t - 1]])[ids[t]], model[t - 1, ids[t]])
        assert rows[i][1:4] == ["" if x is None else f"{-np.log(x):.2f}" for x in p]
    means = np.mean([[float(x) for x in row[1:4]] for row in rows[3:5]], axis=0)
    assert np.allclose([float(x) for x in mean[1:4]], means, atol=0.011)
    assert rows[4][1] in facts(shown(browser))
    assert browser.run("return npgpt.state.text") == "A hen"
    press(browser, "From the beginning")
    assert len(table(browser, "losses in nats")) == 4


def test_the_story_is_a_whole_one_that_no_run_has_learned(pages):
    story = pages["tales"][1]["bet"]["story"]
    assert tales.stories(story) == [story] and story not in tales.generate(2_000_000)


def test_twelve_bets_end_with_a_true_verdict(browser, pages):
    """All right and sure; then all wrong."""
    path, record = pages["tales"]
    for sure, right in ((0.99, True), (0.6, False)):
        browser.open(path, "view=bet")
        enter(browser, "section:not([hidden]) input[type=range]", sure)
        first = len(shown(browser, ".tokens")) - 1
        for character in record["bet"]["story"][first : first + 12]:
            enter(browser, FIELD, character if right else "&")
            browser.find("section:not([hidden]) .begin").click()
        you, bigram, own, exact = (float(x) for x in table(browser, "losses in nats")[-1][1:])
        words = shown(browser, "section:not([hidden]) [role=status]")
        assert {f"{you:.2f}", f"{exact:.2f}"} <= {*facts(words)}
        assert ("bigram" in words) == (you < bigram)
        assert ("luck" in words) == (min(you, bigram, own) < exact)
