"""Every number in a sentence of a view is read through a pattern and computed again; then keys and
the theme."""

import math
import re
from contextlib import suppress
from types import SimpleNamespace

import numpy as np
import pytest
from look_page import (
    LESS,
    MORE,
    NUMBER,
    PASTE,
    TALE,
    agrees,
    expected,
    far_reads,
    knocked_out,
    label,
    losses,
    opened,
    pixel,
    press,
    same_colour,
    shown,
    softmax,
    table,
    until,
    wait,
)

from npgpt import tales

T_CHOSEN = 25  # not the last
TEXTS = """
return [...document.querySelectorAll("#view section:not([hidden]) :is(p, h3, summary)")].filter(
  (e) => e.checkVisibility() && e.innerText.trim() && !e.closest(".concept, .verdict, .tokens"))
  .map((e) => e.innerText.replaceAll("\\n", " "));
"""
SHARE = r"((?:[<>] )?[\d.]+ %|0)"


def overview(f, t, T, text, a, p, b, q, layer, head, share, read, word, back):
    weight, *at, s = far_reads(f.weights, [f.t])
    best = np.argsort(-f.probs[f.t])[:2]
    assert (int(t), int(T)) == (f.t + 1, len(f.ids))
    assert text == "".join(f.labels[f.t - 15 : f.t + 1])
    assert [a, b] == [f.label(v) for v in best] and agrees(p, f.probs[f.t, best[0]])
    assert agrees(q, f.probs[f.t, best[1]]) and agrees(share, weight)
    assert [int(layer), int(head), f.t] == at and int(back) == f.t - s
    assert read == f.labels[s] and read in word and word in TALE


def text_loss(f, loss, perplexity, best):
    exact = [f.odds(t)[c] for t, c in enumerate(TALE[1:])]
    assert loss == f"{f.nats.mean():.4f}" and agrees(perplexity, math.exp(f.nats.mean()))
    assert best == f"{-np.log(exact).mean():.4f}"


def token(f, text, p, nats, t, T, v):
    assert (text, int(t), int(T), int(v)) == (f.labels[f.t], f.t + 1, len(f.ids), f.ids[f.t])
    assert nats == f"{f.nats[f.t - 1]:.2f}" and agrees(p, math.exp(-f.nats[f.t - 1]))


def divergence(f, here, mean):
    every = [sum(p * math.log(p / f.probs[t, f.id(c)]) for c, p in f.odds(t).items())
             for t in range(len(f.ids))]
    assert agrees(here, every[f.t]) and agrees(mean, np.mean(every))


def head_of_attention(f, layer, head):
    assert [int(layer), int(head)] == list(far_reads(f.weights, [f.t])[1:3])


def arithmetic(f, text, t, read, s):
    row = chosen_row(f)
    assert (text, int(t)) == (f.labels[f.t], f.t + 1)
    assert (read, int(s)) == (f.labels[row.argmax()], row.argmax() + 1)


def most_read(f, text, t, share, read, s):
    arithmetic(f, text, t, read, s)
    assert agrees(share, chosen_row(f).max())


def chosen_row(f):
    _, layer, head, *_ = far_reads(f.weights, [f.t])
    return f.weights[layer, head, f.t]


def named(f, least):
    for words in f.browser.run("return [...document.querySelectorAll('.heads button')].map((e) =>"
                               "e.innerText.split('\\n').at(-1))"):
        share = re.search(r"[a-z] (\d+) %", words)
        assert not share or int(share[1]) >= int(least)


def contributions(f, together, difference, for_it, against):
    a = f.id(TALE[f.t + 1])
    b = next(v for v in np.argsort(-f.probs[f.t]) if v != a)
    real = f.logits[f.t, a] - f.logits[f.t, b]
    assert agrees(together, real) and agrees(difference, real)
    assert (for_it, against) == (f.label(a), f.label(b))
    assert f.browser.run(  # the bar of a positive number is right of the others' common foot
        "return [...document.querySelectorAll('td.signed')].every((td) => { const i ="
        "td.querySelector('i').getBoundingClientRect(), { left, width } = "
        "td.getBoundingClientRect();"
        "return td.innerText > 0 === (i.left + i.right) / 2 > left + 0.5 * width; })")


def knocked(f, before, now, text, t, nats):
    assert before == f"{f.nats.mean():.4f}" and now == f"{f.without.mean():.4f}"
    by = f.without - f.nats
    assert int(t) == by.argmax() + 2 and nats == f"{by.max():.2f}"
    assert text == f.labels[by.argmax() + 1]


def loss_of_text(f, loss, count):
    assert loss == f"{f.nats.mean():.4f}" and int(count) == len(f.nats)


# For each view [(a pattern of a sentence with a number, the function that computes its groups
# again)]; None where other tests do.
SENTENCES = {
    "overview": [
        (rf"At token (\d+) of (\d+), after “(.*)”, the model expects “(.*)” \({SHARE}\), or “(.*)” "
         rf"\({SHARE}\)\. Most is read from 8 or more back by head (\d+)\.(\d+): {SHARE}, from "
         r"“(.*)” of “(.*)”, (\d+) back\.", overview),
    ],
    "tokens": [
        (r"expected *.* 6 nats or more .*", None),
        (rf"Loss of this text: ({NUMBER}) nats per token, a perplexity of ([\d.e+]+)\. The "
         r"grammar loses ([\d.]+) on it\.", text_loss),
        (rf"“(.*)” had a probability of {SHARE}, ([\d.]+) nats \(token (\d+) of (\d+), "
         r"id (\d+)\)\.", token),
        (rf"Divergence from the grammar: ({NUMBER}) nats here, ({NUMBER}) on average .* of the "
         r"grammar itself, 0\.", divergence),
    ],
    "attention": [
        (r"weights: .*; a head has a name, .*, if it reads (\d+) % or more there", named),
        (r"Block (\d+), head (\d+): .*", head_of_attention),
        (rf"Most of all, “(.*)” \(token (\d+)\) reads {SHARE} from “(.*)” \(token (\d+)\)\.",
         most_read),
        (r"How much “(.*)” \(token (\d+)\) reads from “(.*)” \(token (\d+)\): the arithmetic",
         arithmetic),
    ],
    "residual": [
        (rf"Together ({NUMBER}): the difference of the two logits, ({NUMBER})\. Positive numbers "
         r"speak for (.*), negative ones for (.*)\.", contributions),
    ],
    "patch": [
        (r"The text above goes on with .*", None), (r"The stream at token .*", None),
        (r"Steering: .* \(factor 1\)", None),
    ],
    "knockout": [
        (rf"Loss ({NUMBER}) before, ({NUMBER}) now\. It costs most at “(.*)” \(token (\d+)\): "
         r"([\d.]+) nats\.", knocked),
        (r"the loss falls *rises, by 1\.5 nats .*", None),
        (r"easier to predict *harder, by 3 nats .*", None),
    ],
    "backward": [
        (r"The loss is ([\d.]+), the mean over the (\d+) tokens .*", loss_of_text),
    ],
    "teach": [(r"Step 0\. Loss of the sentence: .*", None)],
    "bet": [(r".*: 12 bets\. On the 3 characters .*", None)],
}


@pytest.fixture
def facts(browser, pages, subjects):
    """Return a function that opens a view of TALE, and gives what Python knows of it."""

    def of(view):
        address = f"view={view}&t={T_CHOSEN}" + "&heads=0.1" * (view == "knockout")
        model, ids, labels = opened(browser, pages, subjects, "tales", address, TALE)
        subject = subjects["tales"]
        logits, weights, _ = expected(model, ids)
        odds = browser.run(
            "return npgpt.nextCharacters(npgpt.record.grammar, arguments[0]).map((m) => [...m])",
            TALE)
        tokenizer = subject.tokenizer

        return SimpleNamespace(
            browser=browser, subject=subject, model=model, ids=ids, labels=labels, t=T_CHOSEN,
            logits=logits, probs=softmax(logits), weights=weights,
            nats=losses(logits, ids), odds=lambda t: dict(odds[t + 1]),
            without=losses(expected(knocked_out(subject, (0, 1)), ids)[0], ids),
            label=lambda v: label(tokenizer, v),
            id=lambda c: int(tokenizer.encode(c)[0]),
        )

    return of


@pytest.mark.parametrize("view", SENTENCES)
def test_every_number_in_the_sentences_of_a_view_is_true(facts, browser, view):
    f, patterns = facts(view), SENTENCES[view]

    def read():
        texts = [text for text in browser.run(TEXTS) if re.search(r"\d", text)]
        found = [(match, check) for pattern, check in patterns for text in texts
                 if (match := re.fullmatch(pattern, text))]
        return len(found) == len(texts) == len(patterns) and found

    with suppress(Exception):
        until(browser, read, 120)
    assert read(), browser.run(TEXTS)
    for match, check in read():
        if check:
            check(f, *match.groups())


def test_the_verdict_on_a_gradient_says_how_far_the_rules_are_from_the_engine(browser, pages):
    path, record = pages["bpe"]
    browser.open(path, "view=backward", 1280)
    wait(browser, ".verdict.good")
    apart = browser.run(
        "const { gradients, model, pass, record } = npgpt;"
        "const { grads } = gradients(model, pass.trace, [...pass.ids.slice(1), -1], '');"
        "return Object.entries(record.gradient.weights).flatMap(([name, { at, values }]) => {"
        "  const d = grads[name], most = Math.max(...d.map(Math.abs));"
        "  return at.map((i, j) => Math.abs(d[i] - values[j]) / (Math.max("
        "    Math.abs(d[i]), Math.abs(values[j]), 2e-4 * most) || 1)); })")
    words = shown(browser, ".verdict p")
    count, most = re.search(r"Over the ([\d,]+) entries .* at most ([\d.e-]+)\.", words).groups()
    assert count == f"{len(apart):,}" and float(most) == float(f"{max(apart):.0e}")
    error, limit, floor = re.search(
        r"by ([\d.e-]+) of .*; the limit is (\S+) .* below ([\d.e-]+) of the la", words).groups()
    assert float(limit) == 1e-4 > float(error) and float(floor) == 2e-4
    rule, near = (float(row[1]) for row in table(browser, "three gradients of one weight")[1:3])
    assert float(error) < 1e-9 or abs(rule - near) <= 1.2 * float(error) * max(abs(rule), abs(near))
    assert "h = 1.00e-5" in shown(browser, ".verdict table")


def test_the_odds_of_the_grammar_are_those_of_the_token_in_a_text_longer_than_the_window(
    browser, pages
):
    text = tales.generate(2000, seed=5)[:700]
    browser.open(pages["tales"][0], "view=tokens&t=9")
    browser.run(PASTE + "npgpt.set({ t: 9 })", text)
    window = pages["tales"][1]["config"]["block_size"]
    cut = browser.run("return npgpt.pass.cut")
    assert text[:cut].count(".\n\n") > 1  # stories that are not parsed
    every = browser.run("return npgpt.nextCharacters(npgpt.record.grammar, npgpt.state.text)"
                        ".slice(npgpt.pass.cut + 1).map((m) => [...m])")
    assert browser.run("return npgpt.pass.grammar.map((m) => [...m])") == every
    odds = every[9]
    shapes = {" ": "␣", "\n": "⏎"}
    rows = {row[0]: row[3] for row in table(browser, "distribution of the next token")[1:]}
    assert cut > 0 and odds and all(agrees(rows[shapes.get(c, c)], p) for c, p in odds)
    assert shown(browser, "#note") == (
        f"The last {700 - cut} tokens; the {cut} before them are not read, as a window that is "
        f"full moves on by {window // 2}")
    browser.run(PASTE, text * 9)
    assert f"the {browser.run('return npgpt.pass.cut'):,} before" in shown(browser, "#note")


def test_light_or_dark_and_legends_reach_every_picture(browser, pages):
    browser.open(pages["tales"][0], "view=attention&text=One+dawn+a+shy+hen", 1280)
    before = pixel(browser, "canvas[tabindex]", 2, 600)
    press(browser, "Dark")
    dark = browser.run("return getComputedStyle(document.body).backgroundColor")
    assert dark == "rgb(20, 23, 27)"
    now = [pixel(browser, "canvas[tabindex]", 4, y) for y in (4, 300, 500)]
    browser.driver.execute_async_script("setTimeout(arguments[0], 400)")
    browser.driver.refresh()  # it stays
    assert browser.run("return getComputedStyle(document.body).backgroundColor") == dark
    press(browser, "Light")
    light = [pixel(browser, "canvas[tabindex]", 4, y) for y in (4, 300, 500)]
    assert now != light and pixel(browser, "canvas[tabindex]", 2, 600) == before
    browser.run("npgpt.set({ view: 'knockout' })")
    for ramp in browser.driver.find_elements("css selector", "section:not([hidden]) .ramp.both"):
        colours = re.findall(r"rgb\((\d+), (\d+), (\d+)\)", ramp.value_of_css_property(
            "background-image"))
        assert same_colour(colours[0], LESS, 1) and same_colour(colours[-1], MORE, 1)
