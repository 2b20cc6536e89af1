"""The numbers, words and pixels that a reader sees in each view are Python's."""

import dataclasses
import math
import re
from itertools import pairwise

import numpy as np
import pytest
from look_page import (
    CHART,
    HISTORY,
    LESS,
    MORE,
    NUMBER,
    PAIRS,
    PASTE,
    STRONG,
    TALE,
    VIEWS,
    agrees,
    canvas_texts,
    enter,
    expected,
    forward,
    knocked_out,
    label,
    losses,
    media,
    mouse,
    on_paper,
    open_written,
    opened,
    page_of,
    pixel,
    press,
    same_colour,
    scale,
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
    probs_TV, nats = softmax(logits_TV), losses(logits_TV, ids_T)
    exact = browser.run(
        "return npgpt.nextCharacters(npgpt.record.grammar, arguments[0]).map((m) => [...m])", TALE
    )
    exact = [dict(options) for options in exact[1:]]
    for t, (text, title, colour) in enumerate(strip(browser, "The text, token by token")):
        assert text == labels[t]
        if t:
            assert same_colour(colour, STRONG, nats[t - 1] / 6), t
            p, loss = re.search(rf"probability of (.*), ({NUMBER}) nats", title).groups()
            assert agrees(p, np.exp(-nats[t - 1])) and abs(float(loss) - nats[t - 1]) < 0.006
            assert f"(token {t + 1} of {len(ids_T)}, id {ids_T[t]})" in title
    vocabulary = {subjects["tales"].tokenizer.decode([v]): v for v in range(len(probs_TV[0]))}
    drawn = Sampling(2, 4, 1).probabilities(logits_TV[-1])
    head, *rows = table(browser, "distribution of the next token")
    assert head == ["token", "the model", "as it is drawn", "the grammar"] and len(rows) >= 6
    for text, p, q, r in rows:
        character = {"␣": " ", "⏎": "\n"}.get(text, text)
        v = vocabulary[character]
        assert agrees(p, probs_TV[-1, v]) and agrees(r, exact[-1].get(character, 0)), text
        assert q == "falls away" if drawn[v] == 0 else agrees(q, drawn[v]), text
    best = np.argsort(-probs_TV[-1])[:6]
    assert [row[0] for row in rows[:6]] == [label(subjects["tales"].tokenizer, v) for v in best]
    for t, probs_V in enumerate(probs_TV):
        browser.run("npgpt.set({ t: arguments[0] })", t)
        rows = table(browser, "distribution of the next token")[1:7]
        assert all(map(agrees, (row[1] for row in rows), np.sort(probs_V)[::-1])), t


def test_the_last_token_is_chosen_after_typing_and_a_click_chooses(browser, pages):
    browser.open(pages["tales"][0], "view=tokens&t=2&text=One+dawn")
    assert "“e” had" in shown(browser) and "token 3 of 8" in shown(browser)
    browser.run(PASTE, "One dawn shy")
    assert "“y” had" in shown(browser) and "token 12 of 12" in shown(browser)
    browser.driver.find_elements("css selector", "[role=option]")[1].click()
    assert "“n” had" in shown(browser) and "token 2 of 12" in shown(browser)


def test_attention(browser, pages, subjects):
    where = "view=attention&layer=1&head=4"
    model, ids_T, labels = opened(browser, pages, subjects, "bpe", where, PAIRS)
    T, t, s = len(ids_T), 7, 3
    browser.run("npgpt.set({ t: 7, s: 3 })")
    question = browser.find("section:not([hidden]) > details:not([open]) > summary")
    assert f"“{labels[t]}” (token 8) reads from “{labels[s]}” (token 4)" in question.text
    question.click()
    wait(browser, "[aria-label='queries and keys']")
    _, qkv, weights = forward(model, ids_T)
    a = weights[1, 4]
    picture = "canvas[tabindex]"
    size = browser.run("return document.querySelector('canvas[tabindex]').width - 96")
    cell = size / T
    for i in range(T):
        for j in range(T):
            found = pixel(browser, picture, (j + 0.5) * cell, (i + 0.4) * cell)
            if j <= i:
                assert same_colour(found, STRONG, a[i, j] ** 0.6), (i, j)
    beyond = [pixel(browser, picture, (T - 0.5) * cell, i * cell) for i in (t - 1, t, t + 1, t + 2)]
    assert beyond[0] == beyond[3] not in beyond[1:3]  # the frame of the chosen row
    for h in (0, 4):  # the small pictures, without smoothing between their cells
        found = pixel(browser, f"button[aria-label^='1.{h}'] canvas", 72 / T * 1.5, 72 / T * 5.5)
        assert same_colour(found, STRONG, weights[1, h, 5, 1] ** 0.6), h
    for e in browser.driver.find_elements("css selector", ".heads button"):
        assert re.fullmatch(r"(\d)\.(\d).*: block \1, head \2", e.get_attribute("aria-label"))
    for share, swatch in zip(
        (0, 0.03, 0.1, 0.3, 1), browser.driver.find_elements("css selector", ".swatch"), strict=True
    ):
        colour = re.findall(r"\d+", swatch.value_of_css_property("background-color"))
        assert agrees(swatch.text, share) and same_colour(colour, STRONG, share**0.6)

    def reads(words, i, j):
        start = f"“{labels[i]}” (token {i + 1}) reads "
        end = f" from “{labels[j]}” (token {j + 1})"
        found = re.search(f"{re.escape(start)}([^“]*){re.escape(end)}", words)
        return found and agrees(found[1], a[i, j])

    words = shown(browser, "section:not([hidden]) [aria-live]")
    assert reads(words, t, a[t].argmax()) and reads(words, t, s)
    mouse(browser, "canvas[tabindex]", 2.5 * cell, 5.5 * cell, "mousemove")
    assert reads(shown(browser, ".under"), 5, 2)
    arcs = browser.run(
        "return [...document.querySelectorAll('.arcs path')].map((p) =>"
        "[p.textContent, p.getAttribute('stroke-width')])"
    )
    seen = [j for j in range(t + 1) if a[t, j] >= 0.01 or j == s]
    assert len(arcs) == len(seen)
    for j, (title, thickness) in zip(seen, arcs, strict=True):
        assert title.startswith(f"“{labels[j]}” (token {j + 1}): ")
        assert agrees(title.split(": ")[-1], a[t, j])
        assert math.isclose(float(thickness), 1 + 7 * a[t, j], rel_tol=1e-6)

    q, k, v = (qkv[1, part, 4, i] for part, i in ((0, t), (1, s), (2, s)))
    head, *rows, total = table(browser, "queries and keys")
    assert head[1:3] == [f"q of “{labels[t]}”", f"k of “{labels[s]}”"]
    for found, numbers in zip(rows, zip(q, k, q * k, strict=True), strict=True):
        assert all(map(agrees, found[1:], numbers))
    assert agrees(total[-1], q @ k)
    scores = qkv[1, 1, 4, : t + 1] @ q / math.sqrt(len(q))
    powers, steps = np.exp(scores - scores.max()), table(browser, "from products to a weight")[1:]
    row = re.fullmatch(r"divided by the sum of the row's (\d+), (.*)", steps[-1][0])
    assert int(row[1]) == t + 1 and agrees(row[2], powers.sum())
    for (_, found), value in zip(
        steps,
        (q @ k, scores[s], None, powers[s], a[t, s]), strict=True,
    ):
        assert value is None or agrees(found.split(",")[0], value)
    head, *rows = table(browser, "values")
    assert head[1:] == [f"v of “{labels[s]}”", "weight × v", "sum over the row"]
    for found, numbers in zip(
        rows, zip(v, a[t, s] * v, a[t] @ qkv[1, 2, 4], strict=True), strict=True
    ):
        assert all(map(agrees, found[1:], numbers))


@pytest.mark.parametrize(("kind", "width"), [("tales", 1280), ("bpe", 400), ("bpe", 1280)])
def test_labels_of_the_attention_picture_are_the_text_and_inside(browser, pages, kind, width):
    for t, s in ((999, 999), (999, 0), (1, 0)):
        open_written(browser, pages[kind][0], f"view=attention&t={t}&s={s}", width)
        labels, chosen = browser.run("return [npgpt.pass.labels, npgpt.state]")
        size = browser.run("return document.querySelector('canvas[tabindex]').width")
        row, column = canvas_texts(browser, "canvas[tabindex]")
        for _, x, _, w, _, _, align in (row, column):
            assert x >= (0 if align == "left" else w) - 1 and x + w * (align == "left") <= size + 1
        assert 0 < len(row[0]) <= 10 and "".join(labels[: chosen["t"] + 1]).endswith(row[0])
        assert chosen["s"] < 0 or "".join(labels[: chosen["s"] + 1]).endswith(column[0])


def test_residual(browser, pages, subjects):
    model, ids_T, labels = opened(browser, pages, subjects, "bpe", "view=residual", PAIRS)
    t = 6
    browser.run("npgpt.set({ t: 6, answer: 40, rival: 50 })")
    stream, qkv, weights = forward(model, ids_T)
    _, _, lens = expected(model, ids_T)
    tokenizer = subjects["bpe"].tokenizer
    added = np.diff(stream[:, t], axis=0, prepend=0 * stream[:1, t])
    last = stream[-1, t]
    direction = model.wte.weight.data[40] - model.wte.weight.data[50]
    out = direction * model.ln_f.weight.data / np.sqrt(last.var() + 1e-5)
    shares = (added - added.mean(axis=1, keepdims=True)) @ out
    head, *rows, bias = table(browser, "the stream at the chosen token")
    assert head == [
        "after", "adds, length", "stream, length", "logit lens", "contribution"]
    names = ["embeddings", "block 0 attention", "block 0 MLP", "block 1 attention", "block 1 MLP"]
    assert [row[0] for row in rows] == names and agrees(bias[4], direction @ model.ln_f.bias.data)
    for k, (_, adds, length, likely, share) in enumerate(rows):
        assert agrees(adds, np.linalg.norm(added[k]))
        assert agrees(length, np.linalg.norm(stream[k, t]))
        assert agrees(share, shares[k])
        best = np.argsort(-lens[k, t])[:3]
        found = re.findall(r"(\S+) ((?:[<>] )?[\d.]+ %)", likely)
        for v, (text, p) in zip(best, found, strict=True):
            assert agrees(p, lens[k, t, v])
            assert "\\u" in text or text == label(tokenizer, v)
    browser.find("section:not([hidden]) > details:not([open]) > summary").click()
    for block, (_, *heads) in enumerate(table(browser, "contributions of heads")[1:]):
        D, y = 4, weights[block, :, t, None] @ qkv[block, 2]
        c_proj = model.h[block].attn.c_proj.weight.data
        assert len(heads) == len(y)
        for h, text in enumerate(heads):
            own = y[h, 0] @ c_proj[h * D : h * D + D]
            assert agrees(text, (own - own.mean()) @ out), (block, h)
    first = browser.run("return npgpt.pass.T") - len(ids_T)
    written = canvas_texts(browser, "[aria-label='logit lens'] canvas")
    cells = [each for each in written if each[1] > 100]
    T = len(cells) // 6
    cells = [cell for k in (4, 3, 2, 1, 0, 5) for cell in cells[k * T : k * T + T]]
    assert first == 0 and len(ids_T) == T
    for k in range(5):
        for i in range(T):
            text, x, y, *_ = cells[k * T + i]
            v = lens[k, i].argmax()
            assert "\\u" in text or text == label(tokenizer, v), (k, i)
            found = pixel(browser, "[aria-label='logit lens'] canvas", x - 1, y - 9)
            assert same_colour(found, STRONG, lens[k, i, v]), (k, i)
    assert [cell[0] for cell in cells[5 * T :]] == labels


def test_knockout(browser, pages, subjects):
    model, ids_T, _ = opened(browser, pages, subjects, "bpe", "view=knockout&heads=0.3", PAIRS)

    def nats(model):
        return losses(expected(model, ids_T)[0], ids_T)

    before, now = nats(model), nats(knocked_out(subjects["bpe"], (0, 3)))
    for t, (_, title, colour) in enumerate(strip(browser, "What each token loses")):
        if t:
            by = now[t - 1] - before[t - 1]
            assert same_colour(colour, LESS if by < 0 else MORE, abs(by) / 3), t
            parts = re.match("(.*) before, (.*) now", title).groups()
            assert all(map(agrees, parts, (np.exp(-before[t - 1]), np.exp(-now[t - 1]))))
    wait(browser, "[aria-label$='block 1, MLP'][style]")  # without a click
    closed = {text for row in table(browser, "parts of the model")[1:] for text in row}
    assert closed == {"0", "1", "in", "out"}
    browser.find(".digits").click()
    head, *rows = table(browser, "parts of the model")
    assert head == ["block", *(f"head {h}" for h in range(6)), "MLP"]
    for block, (_, *cells) in enumerate(rows):
        for h, text in enumerate(cells):
            one = {"mlp": block} if h == 6 else {"head": (block, h)}
            by = nats(knocked_out(subjects["bpe"], **one)).mean() - before.mean()
            state, cost = text.split(" ")
            assert state == ("out" if (block, h) == (0, 3) else "in")
            assert math.isclose(float(cost.replace("−", "-")), by, abs_tol=0.0051), text
    cell = browser.find("[aria-label$='block 1, MLP']")
    colour = re.findall(r"\d+", cell.value_of_css_property("background-color"))
    assert same_colour(colour, LESS if by < 0 else MORE, abs(by) / 1.5)


def test_backward(browser, pages, subjects):
    model, ids_T, labels = opened(
        browser, pages, subjects, "bpe", "view=backward&weight=h.1.mlp.c_fc.weight&at=77", PAIRS)
    wait(browser, ".verdict.good")
    shown_now = browser.run(PASTE + "return [...document.querySelectorAll('section:not([hidden]) "
                            ":is([role=option], .bar, .verdict)')].filter((e) => "
                            "e.checkVisibility()).length", PAIRS[:-1])
    assert shown_now == 0  # nothing of the text before stays beside a new one
    browser.run(PASTE, PAIRS)
    until(browser, lambda: browser.find(".verdict.good").is_displayed())
    model.loss(ids_T[None, :-1], ids_T[None, 1:]).backward()
    grads = {name: weight.grad for name, weight in model.parameters().items()}
    saliency = np.array([*record_gradient(stored(subjects["bpe"]), ids_T)["saliency"], 0])
    assert len(saliency) == len(labels)
    for each, (text, title, colour), name in zip(
        saliency, strip(browser, "Saliency"), labels, strict=True
    ):
        assert text == name and agrees(title, each)
        assert same_colour(colour, STRONG, each / saliency.max())
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


@pytest.mark.parametrize("width", [400, 1280, 2000])
def test_training(browser, subjects, tmp_path, width):
    path, _ = page_of(subjects["untied"], tmp_path, training=HISTORY)
    browser.open(path, "view=teach", width)
    browser.run("[...document.querySelectorAll('#view details')].at(-1).open = true")
    wait(browser, "[aria-label='gradient norm by step']")
    found = browser.run(CHART, "loss by step")
    x, y = scale(found["x"], lambda t: t[1]), scale(found["y"], lambda t: t[2] - 4)
    (style, training), (_, validation) = found["lines"]
    assert "faint" in style
    for drawn, points in (
        (training, zip(HISTORY["step"], HISTORY["loss"], strict=True)),
        (validation, HISTORY["val"]),
    ):
        for at, (step, loss) in zip(drawn, points, strict=True):
            assert math.isclose(x(at[0]), step, rel_tol=1e-3)
            assert math.isclose(y(at[1]), loss, rel_tol=1e-3)
    assert np.allclose([y(at) for at in found["levels"]], [3.9, 0.39], rtol=1e-3)
    names = sorted(found["names"], key=lambda name: name[2])
    assert [name[0] for name in names] == [
        "a uniform guess 3.90", "validation", "training", "the entropy 0.390"]
    for above, below in pairwise(names):
        assert above[3] + above[4] <= below[3] + 6
    assert max(name[2] for name in names) < found["x"][0][2] - 16  # above the axis
    assert found["width"] > 0.6 * width and found["fits"]
    norms = browser.run(CHART, "gradient norm by step")
    y = scale(norms["y"], lambda t: t[2] - 4)
    drawn = [y(at[1]) for at in norms["lines"][0][1]]
    assert np.allclose(drawn, HISTORY["grad_norm"], rtol=1e-3)
    written = "details[open] pre"
    assert "after step 1,000" in shown(browser) and "last words" in shown(browser, written)
    enter(browser, "#view details input", 0)
    assert "after step 10" in shown(browser) and shown(browser, written) == "first words"


# ---- what holds in all views


def test_a_planted_fault_is_found_and_honest_rules_are_right(browser, pages, subjects):
    opened(browser, pages, subjects, "bpe", "view=backward&fault=linear", PAIRS)
    wait(browser, ".verdict")
    options = browser.driver.find_elements("css selector", "select option")
    faults = [e.text for e in options if "." not in e.text]
    weights = browser.run("return Object.keys(npgpt.model.weights).length")
    for fault in ("", *faults):
        browser.run("npgpt.set({ fault: arguments[0] })", fault)
        until(browser, lambda: "Computing" not in shown(browser))
        press(browser, "Check one entry of every weight")
        wait(browser, f"[aria-label='one entry of every weight'] tr:nth-child({weights})", 60)
        rows = table(browser, "one entry of every weight")[1:]
        assert any(row[-1] == "✗" for row in rows) == bool(fault), fault
        for name, at, rule, near, error, mark in rows:
            honest, found = browser.run(
                "const { gradients, model, pass, state } = npgpt, [name, at] = arguments;"
                "return ['', state.fault].map((fault) => gradients(model, pass.trace,"
                "[...pass.ids.slice(1), -1], fault).grads[name][at])", name, int(at))
            assert agrees(rule, found) and (mark == "✗") == (float(error) > 1e-4), (fault, name)
            assert math.isclose(float(near), honest, rel_tol=6e-3, abs_tol=1e-8), (fault, name)
    press(browser, "Take the fault out")
    wait(browser, ".verdict.good")
    browser.run(PASTE, "Once")  # the checks are of another text
    until(browser, lambda: not table(browser, "one entry of every weight"))


def test_the_page_goes_on_as_generate_does(browser, pages, subjects):
    """Beyond the window of 16 too, and whatever token is chosen, by drawing at temperature 0."""
    model, tokenizer = stored(subjects["untied"]), subjects["untied"].tokenizer
    browser.open(pages["untied"][0], "view=tokens&temperature=0&t=2&text=One+dawn")
    for _ in range(30):
        press(browser, "Draw one token")
    text = tokenizer.decode(model.generate(tokenizer.encode("One dawn"), 30, temperature=0))
    assert browser.find("#prompt").get_attribute("value") == text
    assert shown(browser, "#note") == (
        "The last 14 tokens; the 24 before them are not read, as a window that is full moves on "
        "by 8")


def test_rounding_is_stated_beside_the_runs_own_loss(browser, subjects, tmp_path):
    subject = subjects["bpe"]
    browser.open(page_of(subject, tmp_path, PAIRS, "int8")[0], "view=tokens")
    ids_T = subject.tokenizer.encode(PAIRS)
    logits = [expected(stored(subject, kind), ids_T)[0] for kind in (None, "int8")]
    here, loss, moved = re.search(
        rf"text: ({NUMBER}) .* rounded to int8, the model had ({NUMBER}), .* within ({NUMBER}) of",
        shown(browser),
    ).groups()
    nats = [losses(each, ids_T).mean() for each in logits]
    assert abs(float(loss) - nats[0]) < 1e-4 > abs(float(here) - nats[1])
    assert agrees(moved, np.abs(softmax(logits[0]) - softmax(logits[1])).max())
    words = browser.run("return document.querySelector('#view .about').textContent")
    assert "int8:" in words and "to int8" in shown(browser, "#holds")
    browser.run(PASTE, "One")
    assert "int8, the model" not in shown(browser)


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
        "const rgb = (c) => c.match(/[\\d.]+/g).map(Number), lens = document.querySelector("
        "'.scroll > canvas')?.written ?? []; return [...document.querySelectorAll("
        "'[style*=background]')].map((e) => [rgb(e.style.color), rgb(e.style.backgroundColor)])"
        ".concat([...document.querySelectorAll('.part text')].map((e) => [rgb("
        "getComputedStyle(e).fill), rgb(e.parentNode.querySelector('rect')"
        ".getAttribute('fill'))]))"
        ".concat(lens.filter(([,,,,, behind]) => behind[3]).map(([,,,, ink, behind]) =>"
        "[ink.match(/\\w\\w/g).map((x) => parseInt(x, 16)), behind.slice(0, 3)]))"
    )
    count = 0
    with media(browser, "prefers-color-scheme", theme):
        for view in VIEWS[:7]:
            open_written(browser, pages["tales"][0], f"view={view}&heads=0.1,1.2&mlps=2", 1280)
            pairs = browser.run(script)
            assert all(contrast(ink, behind) >= 4.5 for ink, behind in pairs), view
            count += len(pairs)
    assert count > 500


def test_nothing_is_cut_or_piled_up(browser, pages):
    """At three widths: tables fit, the columns of the lens hold their words, rows are level."""
    for kind in ("tales", "bpe"):
        for width in (400, 1280, 2000):
            browser.open(pages[kind][0], "view=attention", width)
            cut = browser.run(
                "return [...document.querySelectorAll('section:not([hidden]) .scroll:not(.arcs)')]"
                ".filter((e) => e.scrollWidth > e.clientWidth + 1).map((e) => e.ariaLabel)"
            )
            assert cut == [], (kind, width)
            open_written(browser, pages[kind][0], "view=residual", width)
            written = canvas_texts(browser, "[aria-label='logit lens'] canvas")
            assert browser.run(
                "const lens = document.querySelector('.scroll > canvas'); return lens.clientWidth -"
                "lens.parentElement.clientWidth") <= 0, (kind, width)
            for left, right in pairwise(written):
                if left[2] == right[2]:
                    assert left[1] + left[3] < right[1], (kind, width, left, right)
    token = browser.find("section:not([hidden]) [role=option]")  # of byte pairs: where does it end?
    assert token.value_of_css_property("border-right-width") == "1px"
    browser.open(pages["tales"][0], "view=knockout", 1280)
    levels = browser.run(
        "const middle = (e) => { const r = document.createRange(); r.selectNodeContents(e);"
        "const b = r.getBoundingClientRect(); return b.top + b.height / 2; };"
        "return [...document.querySelectorAll('section:not([hidden]) tbody tr')].map((row) =>"
        "[middle(row.cells[0]), middle(row.cells[1].firstChild)])"
    )
    assert levels and all(abs(a - b) < 4 for a, b in levels)
    right = browser.run(
        "return Math.max(...[...document.querySelectorAll('section:not([hidden]) [role=option]')]"
        ".map((e) => e.getBoundingClientRect().right))"
    )
    assert right > 0.75 * 1280


@pytest.mark.parametrize("ratio", [1, 2])
def test_a_picture_has_all_pixels_of_the_screen_and_its_size_on_the_page(browser, pages, ratio):
    browser.open(pages["tales"][0], "text=One+dawn+a+shy+hen", 1280, ratio)
    seen = 0
    for view in VIEWS:
        browser.run("npgpt.set({ view: arguments[0] })", view)
        sizes = browser.run(
            "return [...document.querySelectorAll('section:not([hidden]) canvas')].map((c) => "
            "[c.width, c.height, c.offsetWidth, c.offsetHeight]).filter((size) => size[2])")
        for *pixels, width, height in sizes:
            assert np.allclose(pixels, [ratio * width, ratio * height], atol=2), view
        seen += len(sizes)
    assert seen >= 5


def test_in_print_pictures_fit_and_headings_stay_with_what_follows(browser, pages):
    browser.open(pages["tales"][0], "view=residual", 1280)
    with on_paper(browser):
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": 720, "height": 1000, "deviceScaleFactor": 1, "mobile": False})
        assert browser.find("section:not([hidden]) h3").value_of_css_property(
            "break-after") == "avoid"
        assert shown(browser, "#views") == "Residual stream"
        right = browser.run(
            "return document.querySelector('canvas').getBoundingClientRect().right")
        assert right <= 720


def test_a_perplexity_beyond_all_bounds_and_a_certainty_are_rounded(browser, subjects, tmp_path):
    model = stored(subjects["untied"])
    model.ln_f.weight.data *= 25
    subject = dataclasses.replace(subjects["untied"], model=model)
    browser.open(page_of(subject, tmp_path, "One dawn")[0], "view=tokens")
    assert re.search(r"a perplexity of \d\.\d\de\+\d+\.", shown(browser))
    certain = 0
    for t in range(8):
        browser.run("npgpt.set({ t: arguments[0] })", t)
        p = browser.run("return npgpt.likeliest(2, npgpt.state.t, 1)[0][1]")
        assert agrees(table(browser, "distribution of the next token")[1][1], p), t
        certain += 0.9995 < p < 1
    assert certain
