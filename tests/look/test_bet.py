"""The game: its losses are those of Python's bets, and the reader's text comes back."""

import numpy as np
from look_page import ENTER, PASTE, expected, press, shown, softmax, stored, table

from npgpt import tales
from npgpt.ngram import NgramModel


def test_a_bet_costs_what_python_says_and_the_text_comes_back(browser, pages, subjects):
    path, record = pages["tales"]
    browser.open(path, "view=bet")
    browser.run(PASTE, "A hen")
    field = browser.find("input[aria-label='the next character']")
    assert not field.is_displayed()
    press(browser, "Begin")
    story, tokenizer = record["bet"]["story"], subjects["tales"].tokenizer
    first = browser.run("return npgpt.state.text.length")
    assert first >= 30 and browser.run("return npgpt.state.text") == story[:first]
    for guess in (story[first], "q"):  # one right, one wrong
        field.send_keys(guess, ENTER)
    assert story[first + 1] != "q"
    ids = tokenizer.encode(story[: first + 2])
    model = softmax(expected(stored(subjects["tales"]), ids)[0])
    bigrams = NgramModel(tokenizer.encode(tales.generate(200_000)), tokenizer.vocab_size, 2)
    V, rows = tokenizer.vocab_size, table(browser, "losses in nats")[1:]
    for i, yours in enumerate((0.7, 0.3 / (V - 1))):
        t = first + i
        p = (yours, bigrams.probabilities([ids[t - 1]])[ids[t]], model[t - 1, ids[t]])
        assert [float(cell) for cell in rows[i][1:4]] == [round(float(-np.log(x)), 2) for x in p]
    assert rows[-1][0] == "mean"
    means = np.mean([[float(x) for x in row[1:4]] for row in rows[:2]], axis=0)
    assert np.allclose([float(x) for x in rows[-1][1:4]], means, atol=0.011)
    assert "that cost you" in shown(browser)
    press(browser, "Back to my text")
    assert browser.run("return npgpt.state.text") == "A hen"
