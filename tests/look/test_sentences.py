"""Every number in a sentence of a view is Python's, in the order of the sentences; the theme."""

import math
import re

import numpy as np
import pytest
from look_page import (
    PASTE,
    TALE,
    agrees,
    differ,
    expected,
    facts,
    far_reads,
    knocked_out,
    label,
    losses,
    opened,
    pixel,
    press,
    shown,
    softmax,
    stored,
    table,
    until,
    wait,
    word_around,
)

from npgpt import tales

TEXTS = """
return [...document.querySelectorAll("#said, #view section:not([hidden]) :is(p, h3, summary)")]
  .filter((e) => e.checkVisibility() &&
  /\\d/.test(e.innerText) && !e.querySelector(".swatch, .ramp") &&
  !e.closest(".concept, .verdict, .tokens")).map((e) => e.innerText).join(" ");
"""
ODDS = ("return npgpt.nextCharacters(npgpt.record.grammar, arguments[0]).slice(1)"
        ".map((m) => [...m])")


def wanted(view, subject, odds):
    """Return what the sentences of a view of TALE name, at its token 26."""
    model, encode = stored(subject), subject.tokenizer.encode
    ids, t = encode(TALE), 25
    logits, weights, _ = expected(model, ids)
    probs, nats, T = softmax(logits), losses(logits, ids), len(ids)
    labels = [label(subject.tokenizer, v) for v in ids]
    share, layer, head, _, s = far_reads(weights, [t])
    a, b = np.argsort(-probs[t])[:2]
    names = [label(subject.tokenizer, v) for v in (a, b)]
    row = weights[layer, head, t]
    most = row.argmax()
    loss = f"{nats.mean():.4f}"
    if view == "overview":
        return [f"{layer}.{head}", labels[t], word_around(labels[: t + 1], t), labels[s],
                word_around(labels, s), share, t + 1, T, "".join(labels[t - 15 : t + 1]),
                names[0], probs[t, a], names[1], probs[t, b]]
    if view == "attention":
        return [layer, head, labels[t], t + 1, row[most], labels[most], most + 1,
                labels[t], t + 1, labels[most], most + 1]
    if view == "residual":
        a = ids[t + 1]
        b = next(v for v in np.argsort(-probs[t]) if v != a)
        return [0, 0] + 2 * [logits[t, a] - logits[t, b]]
    if view == "knockout":
        without = losses(expected(knocked_out(subject, (0, 1)), ids)[0], ids)
        at = (without - nats).argmax()
        return [loss, f"{without.mean():.4f}", labels[at + 1], at + 2,
                f"{(without - nats)[at]:.2f}"]
    if view == "backward":
        return [loss, T - 1]
    exact = -np.mean([math.log(dict(each)[c]) for c, each in zip(TALE[1:], odds, strict=False)])
    return [loss, math.exp(nats.mean()), f"{exact:.4f}", labels[t], math.exp(-nats[t - 1]),
            f"{nats[t - 1]:.2f}", t + 1, T, ids[t]]


@pytest.mark.parametrize(
    "view", ["overview", "tokens", "attention", "residual", "knockout", "backward"])
def test_every_number_in_the_sentences_of_a_view_is_true(browser, pages, subjects, view):
    opened(browser, pages, subjects, "tales", f"view={view}&t=25&heads=" +
           "0.1" * (view == "knockout"), TALE)
    numbers = wanted(view, subjects["tales"], browser.run(ODDS, TALE))
    until(browser, lambda: len(facts(browser.run(TEXTS))) >= len(numbers))
    assert differ(facts(browser.run(TEXTS)), numbers) == []


def test_the_verdict_on_a_gradient_says_how_far_the_rules_are_from_the_engine(browser, pages):
    browser.open(pages["bpe"][0], "view=backward", 1280)
    wait(browser, ".verdict.good")
    apart = browser.run(
        "const { gradients, model, pass, record } = npgpt;"
        "const { grads } = gradients(model, pass.trace, [...pass.ids.slice(1), -1], '');"
        "return Object.entries(record.gradient.weights).flatMap(([name, { at, values }]) => {"
        "  const d = grads[name], most = Math.max(...d.map(Math.abs));"
        "  return at.map((i, j) => Math.abs(d[i] - values[j]) / (Math.max("
        "    Math.abs(d[i]), Math.abs(values[j]), 2e-4 * most) || 1)); })")
    found = facts(shown(browser, ".verdict p"))
    assert f"{len(apart):,}" in found and float(f"{max(apart):.0e}") in map(float, (
        fact for fact in found if "e" in fact))


def test_the_odds_of_the_grammar_are_those_of_the_token_in_a_text_longer_than_the_window(
    browser, pages
):
    text = tales.generate(2000, seed=5)[:700]
    browser.open(pages["tales"][0], "view=tokens&t=9")
    browser.run(PASTE + "npgpt.set({ t: 9 })", text)
    cut, odds = browser.run("return [npgpt.pass.cut, npgpt.pass.grammar.map((m) => [...m])]")
    assert text[:cut].count(".\n\n") > 1  # stories that are not parsed
    assert odds == browser.run(ODDS, text)[cut:]
    rows = {row[0]: row[3] for row in table(browser, "distribution of the next token")[1:]}
    assert all(agrees(rows[{" ": "␣", "\n": "⏎"}.get(c, c)], p) for c, p in odds[9])
    assert facts(shown(browser, "#note")) == [str(700 - cut), str(cut)]
    browser.run(PASTE, text * 9)
    assert facts(shown(browser, "#note"))[1] == f"{browser.run('return npgpt.pass.cut'):,}"


def test_light_or_dark_reaches_every_picture_and_stays(browser, pages):
    browser.open(pages["tales"][0], "view=attention&text=One+dawn+a+shy+hen", 1280)

    def seen():
        colour = browser.run("return getComputedStyle(document.body).backgroundColor")
        return re.findall(r"\d+", colour), pixel(browser, "canvas[tabindex]", 4, 300)

    browser.run("scrollTo(0, 0)")
    light = seen()
    press(browser, "Dark")
    dark = seen()
    assert light[0] != dark[0] and light[1] != dark[1]
    browser.driver.execute_async_script("setTimeout(arguments[0], 400)")
    browser.driver.refresh()
    assert seen() == dark
    press(browser, "Light")
    assert seen() == light
