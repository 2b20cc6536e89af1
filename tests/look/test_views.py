"""The numbers, words and pixels that a reader sees in each view are Python's."""

import math
import re

import numpy as np
import pytest
from look_page import (
    PAIRS,
    PASTE,
    STRONG,
    TALE,
    VIEWS,
    agrees,
    canvas_texts,
    differ,
    expected,
    facts,
    forward,
    knocked_out,
    label,
    losses,
    media,
    on_paper,
    open_written,
    opened,
    page_of,
    pixel,
    press,
    same_colour,
    shown,
    softmax,
    stored,
    strip,
    table,
    until,
    wait,
)

from npgpt.look.record import record_gradient
from npgpt.sampling import Sampling


def test_tokens(browser, pages, subjects):
    settings = "view=tokens&temperature=2&topK=4"
    model, ids_T, labels = opened(browser, pages, subjects, "tales", settings, TALE)
    logits_TV, _, _ = expected(model, ids_T)
    probs_TV, nats, T = softmax(logits_TV), losses(logits_TV, ids_T), len(ids_T)
    exact = dict(browser.run("return [...npgpt.pass.grammar.at(-1)]"))
    for t, (text, title) in enumerate(strip(browser, "The text, token by token")):
        wanted = [labels[t], math.exp(-nats[t - 1]), f"{nats[t - 1]:.2f}", t + 1, T, ids_T[t]]
        assert text == labels[t] and (t == 0 or differ(facts(title), wanted) == [])
    vocabulary = {subjects["tales"].tokenizer.decode([v]): v for v in range(len(probs_TV[0]))}
    drawn = Sampling(2, 4, 1).probabilities(logits_TV[-1])
    _, *rows = table(browser, "distribution of the next token")
    assert len(rows) >= 6
    for text, p, q, r in rows:
        character = {"␣": " ", "⏎": "\n"}.get(text, text)
        v = vocabulary[character]
        assert agrees(p, probs_TV[-1, v]) and agrees(r, exact.get(character, 0)), text
        assert agrees(q, drawn[v]) if drawn[v] else "%" not in q, text
    for t, probs_V in enumerate(probs_TV):
        browser.run("npgpt.set({ t: arguments[0] })", t)
        rows = table(browser, "distribution of the next token")[1:7]
        assert all(map(agrees, (row[1] for row in rows), np.sort(probs_V)[::-1])), t
    browser.run("npgpt.set({ t: 2 });" + PASTE, "One dawn")  # the last is chosen after typing
    assert browser.run("return npgpt.state.t") == 7


def test_attention(browser, pages, subjects):
    where = "view=attention&layer=1&head=4"
    model, ids_T, labels = opened(browser, pages, subjects, "bpe", where, PAIRS)
    T, t, s = len(ids_T), 7, 3
    browser.run("npgpt.set({ t: 7, s: 3 })")
    browser.find("section:not([hidden]) > details:not([open]) > summary").click()
    wait(browser, "[aria-label='queries and keys']")
    _, qkv, weights = forward(model, ids_T)
    a = weights[1, 4]
    picture = "canvas[tabindex]"
    size = browser.run("return document.querySelector('canvas[tabindex]').width - 96")
    cell = size / T
    for i in range(T):
        for j in range(i + 1):
            found = pixel(browser, picture, (j + 0.5) * cell, (i + 0.4) * cell)
            assert same_colour(found, STRONG, a[i, j] ** 0.6), (i, j)
    *rows, column = (text[0] for text in canvas_texts(browser, picture))
    assert rows == labels and column == labels[s]

    for j, (_, title) in enumerate(strip(browser, "What the chosen position reads")):
        assert differ(facts(title), [labels[j], j + 1, a[t, j]] if j <= t else []) == []

    q, k, v = (qkv[1, part, 4, i] for part, i in ((0, t), (1, s), (2, s)))
    _, *rows, total = table(browser, "queries and keys")
    for found, numbers in zip(rows, zip(q, k, q * k, strict=True), strict=True):
        assert all(map(agrees, found[1:], numbers))
    assert agrees(total[-1], q @ k)
    scores = qkv[1, 1, 4, : t + 1] @ q / math.sqrt(len(q))
    powers, steps = np.exp(scores - scores.max()), table(browser, "from products to a weight")[1:]
    assert differ(facts(steps[-1][0]), [t + 1, powers.sum()]) == []
    for (_, found), value in zip(
        steps,
        (q @ k, scores[s], powers[s], a[t, s]), strict=True,
    ):
        assert agrees(found.split(",")[0], value)
    _, *rows = table(browser, "values")
    for found, numbers in zip(
        rows, zip(v, a[t, s] * v, a[t] @ qkv[1, 2, 4], strict=True), strict=True
    ):
        assert all(map(agrees, found[1:], numbers))


def test_residual(browser, pages, subjects):
    model, ids_T, labels = opened(browser, pages, subjects, "bpe", "view=residual", PAIRS)
    t = 6
    browser.run("npgpt.set({ t: 6 })")
    stream, _, _ = forward(model, ids_T)
    _, _, lens = expected(model, ids_T)
    tokenizer = subjects["bpe"].tokenizer
    added = np.diff(stream[:, t], axis=0, prepend=0 * stream[:1, t])
    last = stream[-1, t]
    a = ids_T[t + 1]
    b = next(v for v in np.argsort(-lens[-1, t]) if v != a)
    direction = model.wte.weight.data[a] - model.wte.weight.data[b]
    out = direction * model.ln_f.weight.data / np.sqrt(last.var() + 1e-5)
    shares = (added - added.mean(axis=1, keepdims=True)) @ out
    _, *rows, bias = table(browser, "the stream at the chosen token")
    assert len(rows) == 5 and agrees(bias[4], direction @ model.ln_f.bias.data)
    for k, (_, adds, length, likely, share) in enumerate(rows):
        assert agrees(adds, np.linalg.norm(added[k]))
        assert agrees(length, np.linalg.norm(stream[k, t]))
        assert agrees(share, shares[k])
        best = np.argsort(-lens[k, t])[:3]
        found = re.findall(r"(\S+) ((?:[<>] )?[\d.]+ %)", likely)
        for v, (text, p) in zip(best, found, strict=True):
            assert agrees(p, lens[k, t, v])
            assert "\\u" in text or text == label(tokenizer, v)
    written = canvas_texts(browser, "[aria-label='logit lens'] canvas")
    cells = [text for text, x, *_ in written if x > 100]
    best = [label(tokenizer, v) for row in lens[::-1] for v in row.argmax(axis=1)]
    assert [text for text, wanted in zip(cells, [*best, *labels], strict=True)
            if text != wanted and "\\u" not in text] == []


def test_knockout(browser, pages, subjects):
    model, ids_T, _ = opened(browser, pages, subjects, "bpe", "view=knockout&heads=0.3", PAIRS)

    def nats(model):
        return losses(expected(model, ids_T)[0], ids_T)

    before, now = nats(model), nats(knocked_out(subjects["bpe"], (0, 3)))
    for t, (_, title) in enumerate(strip(browser, "Positions")):
        wanted = np.exp([-before[t - 1], -now[t - 1]])
        assert t == 0 or differ(facts(title), wanted.tolist()) == []
    wait(browser, "[aria-label$='block 1, MLP'][style]")  # without a click
    _, *rows = table(browser, "parts of the model")
    for block, (_, *cells) in enumerate(rows):
        for h, text in enumerate(cells):
            one = {"mlp": block} if h == 6 else {"head": (block, h)}
            by = nats(knocked_out(subjects["bpe"], **one)).mean() - before.mean()
            state, cost = text.split(" ")
            assert state == ("out" if (block, h) == (0, 3) else "in")
            assert math.isclose(float(cost.replace("−", "-")), by, abs_tol=0.0051), text


def test_backward(browser, pages, subjects):
    model, ids_T, labels = opened(
        browser, pages, subjects, "bpe", "view=backward&weight=h.1.mlp.c_fc.weight&at=77", PAIRS)
    wait(browser, ".verdict.good")
    browser.run(PASTE, PAIRS[:-1])  # nothing of the text before stays beside a new one
    assert not browser.find(".verdict").is_displayed()
    assert [text for text, _ in strip(browser, "Saliency")] != labels
    browser.run(PASTE, PAIRS)
    until(browser, lambda: browser.find(".verdict.good").is_displayed())
    model.loss(ids_T[None, :-1], ids_T[None, 1:]).backward()
    grads = {name: weight.grad for name, weight in model.parameters().items()}
    saliency = np.array([*record_gradient(stored(subjects["bpe"]), ids_T)["saliency"], 0])
    found = strip(browser, "Saliency")
    assert [text for text, _ in found] == labels
    assert all(agrees(title, each) for each, (_, title) in zip(saliency, found, strict=True))
    head, *rows = table(browser, "gradients by block")
    for block, *cells in rows:
        for kind, text in zip(head[1:], cells, strict=True):
            assert agrees(text, np.linalg.norm(grads[f"h.{block}.{kind}"])), (block, kind)
    head, row = table(browser, "gradients outside of the blocks")
    assert all(agrees(text, np.linalg.norm(grads[name]))
               for name, text in zip(head, row, strict=True))
    _, rule, difference, engine = table(browser, "three gradients of one weight")
    d = grads["h.1.mlp.c_fc.weight"].flat[77]
    assert math.isclose(float(rule[1]), d, rel_tol=1e-8) and "not recorded" in engine[1]
    assert math.isclose(float(difference[1]), d, rel_tol=1e-5)
    browser.run("npgpt.set({ text: npgpt.record.prompt, at: -1 })")  # one that Python recorded
    until(browser, lambda: "not recorded" not in shown(browser, ".verdict") != "")
    _, rule, _, engine = table(browser, "three gradients of one weight")
    assert math.isclose(float(rule[1]), float(engine[1]), rel_tol=1e-6, abs_tol=1e-12)


# ---- what holds in all views


def test_a_planted_fault_is_found_and_honest_rules_are_right(browser, pages, subjects):
    opened(browser, pages, subjects, "bpe", "view=backward&fault=linear", PAIRS)
    wait(browser, ".verdict")
    options = browser.driver.find_elements("css selector", "select option")
    faults = [e.text for e in options if "." not in e.text]
    weights = browser.run("return Object.keys(npgpt.model.weights)")
    for fault in ("", *faults):
        browser.run("npgpt.set({ fault: arguments[0] })", fault)
        until(browser, lambda: "Computing" not in shown(browser))
        differ_at = []
        for name in weights:
            browser.run("npgpt.set({ weight: arguments[0], at: -1 })", name)
            until(browser, lambda: browser.find(".verdict").is_displayed()
                  and "Computing" not in shown(browser))
            differ_at += [name] * len(
                browser.driver.find_elements("css selector", ".verdict.bad"))
        assert bool(differ_at) == bool(fault), fault
    press(browser, "Take the fault out")
    wait(browser, ".verdict.good")


def test_the_page_goes_on_as_generate_does(browser, pages, subjects):
    """Beyond the window of 16 too, and whatever token is chosen, by drawing at temperature 0."""
    model, tokenizer = stored(subjects["untied"]), subjects["untied"].tokenizer
    browser.open(pages["untied"][0], "view=tokens&temperature=0&t=2&text=One+dawn")
    for _ in range(30):
        press(browser, "Draw one token")
    text = tokenizer.decode(model.generate(tokenizer.encode("One dawn"), 30, temperature=0))
    assert browser.find("#prompt").get_attribute("value") == text
    assert facts(shown(browser, "#note")) == ["14", "24"]


def test_rounding_is_stated_beside_the_runs_own_loss(browser, subjects, tmp_path):
    subject = subjects["bpe"]
    browser.open(page_of(subject, tmp_path, PAIRS, "int8")[0], "view=tokens")
    ids_T = subject.tokenizer.encode(PAIRS)
    logits = [expected(stored(subject, kind), ids_T)[0] for kind in (None, "int8")]
    nats = [losses(each, ids_T).mean() for each in logits]
    moved = np.abs(softmax(logits[0]) - softmax(logits[1])).max()
    said = facts(shown(browser, "#view [data-mark=loss]"))
    assert differ(said[:1] + said[-2:], [f"{nats[1]:.4f}", f"{nats[0]:.4f}", moved]) == []
    assert "int8" in shown(browser, "#holds")
    browser.run(PASTE, "One")
    assert len(facts(shown(browser, "#view [data-mark=loss]"))) < len(said)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_what_is_written_on_a_colour_can_be_read(browser, pages, theme):
    """The contrast of WCAG 2 is at least 4.5, on canvases too."""

    def contrast(one, two):
        light = [
            np.dot(np.where(c <= 0.03928, c / 12.92, ((c + 0.055) / 1.055) ** 2.4),
                   (0.2126, 0.7152, 0.0722)) for c in (np.array(one) / 255, np.array(two) / 255)
        ]
        return (max(light) + 0.05) / (min(light) + 0.05)

    script = (
        "const rgb = (c) => c.match(/[\\d.]+/g).map(Number), style = getComputedStyle;"
        "return [...document.querySelectorAll('[style*=background]')].map((e) => [rgb(style(e)"
        ".color), rgb(style(e).backgroundColor)]).concat([...document.querySelectorAll("
        "'.part text')].map((e) => [rgb(style(e).fill), rgb(style(e.parentNode.querySelector("
        "'rect')).fill)]))")
    count = 0
    with media(browser, "prefers-color-scheme", theme):
        for view in VIEWS[:7]:
            open_written(browser, pages["tales"][0], f"view={view}&heads=0.1,1.2&mlps=2", 1280)
            pairs = browser.run(script)
            assert all(contrast(ink, behind) >= 4.5 for ink, behind in pairs), view
            count += len(pairs)
    assert count > 200


def test_on_paper_the_chosen_view_is_named_and_fits(browser, pages):
    browser.open(pages["tales"][0], "view=residual", 1280)
    with on_paper(browser):
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 720, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
        assert shown(browser, "#parts") == "Residual stream"
        assert browser.run("return document.documentElement.scrollWidth") <= 720
