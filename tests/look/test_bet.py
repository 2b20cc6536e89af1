"""The game: its losses are Python's, its verdict is true, and the reader's text stays."""

import numpy as np
from look_page import ENTER, agrees, enter, expected, shown, softmax, stored, table

from npgpt import tales
from npgpt.ngram import NgramModel


def test_a_bet_costs_what_python_says_and_the_text_stays(browser, pages, subjects):
    path, record = pages["tales"]
    browser.open(path, "view=bet&text=A+hen")
    field = browser.find("input[aria-label='the next character']")
    story, tokenizer = record["bet"]["story"], subjects["tales"].tokenizer
    first = len(shown(browser, ".tokens")) - 1
    assert first >= 30 and shown(browser, ".tokens") == f"{story[:first]}…"
    for guess in (story[first], "q"):  # one right, one wrong
        field.send_keys(guess, ENTER)
        assert field.get_attribute("value") == ""  # for the next one
    assert story[first + 1] != "q"
    ids = tokenizer.encode(story[: first + 2])
    model = softmax(expected(stored(subjects["tales"]), ids)[0])
    bigrams = NgramModel(tokenizer.encode(tales.generate(200_000)), tokenizer.vocab_size, 2)
    head, *rows = table(browser, "losses in nats")
    assert head == ["character", "you", "bigram model", "the model", "exact odds"]
    V = tokenizer.vocab_size
    for i, yours in enumerate((None, None, None, 0.7, 0.3 / (V - 1))):  # three are shown before
        t = first - 3 + i
        p = (yours, bigrams.probabilities([ids[t - 1]])[ids[t]], model[t - 1, ids[t]])
        assert rows[i][1:4] == ["" if x is None else f"{-np.log(x):.2f}" for x in p]
    assert rows[-1][0] == "mean"
    means = np.mean([[float(x) for x in row[1:4]] for row in rows[3:5]], axis=0)
    assert np.allclose([float(x) for x in rows[-1][1:4]], means, atol=0.011)
    assert f"that cost you {rows[4][1]} nats" in shown(browser)
    assert browser.run("return npgpt.state.text") == "A hen"


def test_the_story_is_a_whole_one_that_no_run_has_learned(pages):
    story = pages["tales"][1]["bet"]["story"]
    assert story.startswith("A wise grey pig of Lararia did not cross the small street because it")
    assert tales.stories(story) == [story] and story not in tales.generate(2_000_000)


def test_twelve_bets_end_with_a_true_verdict(browser, pages):
    """All right and sure; then all wrong."""
    path, record = pages["tales"]
    for sure, right in ((0.99, True), (0.6, False)):
        browser.open(path, "view=bet")
        enter(browser, "section:not([hidden]) input[type=range]", sure)
        assert agrees(shown(browser, "section:not([hidden]) .slider b"), sure)
        first = len(shown(browser, ".tokens")) - 1
        for character in record["bet"]["story"][first : first + 12]:
            browser.run("document.querySelector('[aria-label=\"the next character\"]').value ="
                        "arguments[0]", character if right else "&")
            browser.find("section:not([hidden]) .begin").click()
        you, bigram, own, exact = (float(x) for x in table(browser, "losses in nats")[-1][1:])
        words = shown(browser, "section:not([hidden]) [role=status]")
        assert f"Your mean is {you:.2f} nats" in words and f"grammar loses {exact:.2f}" in words
        assert ("the bigram model" in words) == (you < bigram)
        assert ("the model" in words.replace("bigram model", "")) == (you < own)
        assert ("luck" in words) == (min(you, bigram, own) < exact)
        assert ("all three" in words) == (you >= bigram and you >= own)
