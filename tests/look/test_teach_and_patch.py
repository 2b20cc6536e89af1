"""Teaching, patching, steering and the names of heads show Python's numbers."""

import dataclasses
import re
from contextlib import ExitStack
from urllib.parse import quote

import numpy as np
import pytest
from look_page import (
    CHART,
    DOWN,
    LEFT,
    UP,
    agrees,
    continued,
    expected,
    facts,
    forward,
    label,
    losses,
    mouse,
    opened,
    page_of,
    press,
    scale,
    shown,
    softmax,
    stored,
    table,
    until,
    wait,
)

from npgpt import AdamW
from npgpt.config import TrainConfig
from npgpt.data.corpora import load_corpus
from npgpt.data.tokens import scan
from npgpt.gpt import GPT
from npgpt.look.history import open_text, validation_text
from npgpt.look.page import make_page

LESSON, OTHER, TIRED = "Once shy hens", "A red hen sat in", "It was too tired, so it "
STATUS, CHOSEN = "section:not([hidden]) [role=status]", "section:not([hidden]) [aria-live]"
COPY = """
window.before = Object.fromEntries(
  Object.entries(npgpt.model.weights).map(([name, weight]) => [name, weight.slice()]));
"""


def teach(model, ids_T, others_T, steps, rate):
    """Take steps of AdamW; return the losses of both texts before each and after the last."""
    optimizer, found = AdamW(model.parameters(), lr=rate), []
    for step in range(steps + 1):
        loss = model.loss(ids_T[None, :-1], ids_T[None, 1:])
        found.append((loss.item(), losses(expected(model, others_T)[0], others_T).mean()))
        if step < steps:
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
    return np.array(found)


def largest_difference(browser, model):
    found = browser.run("return Object.fromEntries(Object.entries(npgpt.model.weights)"
                        ".map(([name, weight]) => [name, [...weight]]))")
    return max(
        np.abs(np.ravel(weight.data) - found[name]).max()
        for name, weight in model.parameters().items()
    )


@pytest.mark.parametrize("kind", ["untied", "bpe"])
def test_teaching(browser, subjects, tmp_path, kind):
    """Weights after twenty steps, both losses, what it writes, and what views show."""
    subject, address = subjects[kind], f"view=teach&rate=-2.25&sentence={quote(LESSON)}"
    encode = subject.tokenizer.encode
    path, _ = page_of(subject, tmp_path, "Once a shy king", others=OTHER)
    browser.open(path, address, 1280)
    model, ids_T, others_T = stored(subject), encode(LESSON), encode(OTHER)[:24]
    texts = [subject.tokenizer.decode([v]) for v in ids_T]
    given = next(t for t in range(max(1, len(ids_T) // 4), len(ids_T))
                 if t == len(ids_T) - 1 or not (texts[t - 1][-1] + texts[t][0]).isalpha())
    count = min(model.config.block_size, len(ids_T) + 40) - given

    def recites(row):
        text = subject.tokenizer.decode(model.generate(ids_T[:given], count, temperature=0))
        written = table(browser, "what it writes")[1:]
        return len(written) > row and (
            "".join(written[row][-1].split()) == "".join(text.split()) or "\ufffd" in text)

    until(browser, lambda: recites(0))
    browser.run(COPY)
    press(browser, "Teach it, 20 steps")
    until(browser, lambda: "20" in facts(shown(browser, STATUS)))
    nats = teach(model, ids_T, others_T, 20, 10**-2.25)
    assert largest_difference(browser, model) < 1e-7
    until(browser, lambda: recites(1))
    _, *said = map(float, facts(shown(browser, STATUS)))
    assert np.allclose(said[:4], [nats[-1, 0], nats[0, 0], nats[-1, 1], nats[0, 1]], atol=1e-4)
    assert nats[-1, 0] < nats[0, 0] / 2
    drawn = browser.run(CHART, "losses by taught step")
    y = scale(drawn["y"], lambda tick: tick[2] - 4)
    for (_, line), column, steps in zip(drawn["lines"], (0, 1), (1, 4), strict=True):
        assert np.allclose([y(at[1]) for at in line], nats[::steps, column], rtol=1e-3)
        assert np.allclose(np.diff([at[0] for at in line], 2), 0, atol=1e-3)  # evenly

    def check_views(model):
        ids_T = np.array(browser.run("return npgpt.pass.ids"))
        logits_TV, _, lens = expected(model, ids_T)
        browser.run("npgpt.set({ view: 'tokens' })")
        loss = f"{losses(logits_TV, ids_T).mean():.4f}"
        assert facts(shown(browser, "[data-mark=loss]"))[0] == loss
        found = browser.run("return npgpt.likeliest(1, npgpt.pass.T - 1, 3).map(([, p]) => p)")
        assert np.allclose(found, np.sort(lens[1][-1])[:-4:-1], atol=1e-9)
        browser.run("npgpt.set({ view: 'backward' })")
        wait(browser, ".verdict.good")
        until(browser, lambda: f" {loss}" in shown(browser))

    check_views(model)
    browser.run("npgpt.set({ view: 'teach' })")
    press(browser, "Put the weights back")
    assert browser.run(
        "return Object.entries(before).every(([name, own]) =>"
        "own.every((w, i) => Object.is(w, npgpt.model.weights[name][i])))")
    until(browser, lambda: facts(shown(browser, STATUS)) == ["0", f"{nats[0, 0]:.4f}"])
    check_views(stored(subject))


def test_teaching_can_be_stopped_and_goes_on_while_another_view_is_shown(browser, pages):
    def step():
        return int(re.search(r"Step (\d+)\.|$", shown(browser, STATUS))[1] or 0)

    browser.open(pages["tales"][0], f"view=teach&sentence={quote(LESSON * 12)}")
    press(browser, "Teach it, 20 steps")
    until(browser, lambda: step() >= 2)
    browser.run("document.querySelector('section:not([hidden]) .controls button').click()")
    until(browser, lambda: len(table(browser, "what it writes")) == 3)
    last = int(table(browser, "what it writes")[2][0])
    assert 2 <= last < 20 and step() == last
    assert table(browser, "what it writes")[1][0] == "0"
    until(browser, lambda: "Teach it, 20" in shown(browser, "section:not([hidden]) .controls"))
    browser.run(
        "document.querySelector('section:not([hidden]) .controls button').click();"
        "npgpt.set({ view: 'tokens' }); window.seen = new Set(); new MutationObserver(() =>"
        "seen.add(document.querySelector('section:not([hidden]) > [data-mark=loss]')?.textContent))"
        ".observe(document.getElementById('view'), { childList: true, subtree: true })")
    until(browser, lambda: browser.run("return [...seen].filter((w) => /Loss/.test(w)).length > 3"))
    browser.run("npgpt.set({ view: 'teach', sentence: 'One dusk' })")  # ends it
    assert "Teach it, 20" in shown(browser, "section:not([hidden]) .controls")
    assert browser.logs()[0] == []


def test_a_sentence_that_cannot_be_taught_is_explained(browser, pages):
    browser.open(pages["untied"][0], "view=teach")
    box = browser.find("section:not([hidden]) textarea")
    for text, says in (
        ("One! day", "U+0021"), ("A", "two"),
        ("One dawn shy hens", "16"),
    ):
        box.clear()
        box.send_keys(text)
        assert says in shown(browser, STATUS)
        assert not browser.find("section:not([hidden]) .controls button").is_enabled()


def test_the_other_text_is_of_the_validation_split_and_the_optimizer_the_runs(subjects, tmp_path):
    subject = subjects["tales"]
    training = TrainConfig(beta1=0.8, beta2=0.95, weight_decay=0.2, grad_clip=0.5)
    run = dataclasses.replace(subject.run, training=training)
    _, record = make_page(dataclasses.replace(subject, run=run))
    assert record["optimizer"] == {
        "beta1": 0.8, "beta2": 0.95, "weight_decay": 0.2, "grad_clip": 0.5}
    assert len(record["others"]) == 256
    corpus = tmp_path / "corpus.txt"
    corpus.write_text("aab " * 90 + "ab.\n\n" + "b a " * 9, encoding="utf-8")
    stats = scan(load_corpus([str(corpus)]))
    source = dataclasses.replace(run.text, characters=stats.characters, sha256=stats.sha256)
    run = dataclasses.replace(run, training=TrainConfig(corpus=(str(corpus),)), text=source)
    with ExitStack() as stack:
        assert validation_text(open_text(run, subject.tokenizer, stack), 8) == "b a b a "
    corpus.unlink()
    assert open_text(run, subject.tokenizer, ExitStack()) is None


# ---- patching


def patched(model, ids_T, k, t, row_C):
    stream = forward(model, ids_T)[0][k].copy()
    stream[t] = row_C
    return continued(model, stream, k)


def computed(browser):
    until(browser, lambda: len(table(browser, "answers")) == 4)


def test_patching_and_steering(browser, pages, subjects):
    tokenizer = subjects["tales"].tokenizer
    text, second = TIRED, TIRED.replace("tired", "noisy")
    other_T, first = tokenizer.encode(second), text.index("tired")
    model, ids_T, labels = opened(browser, pages, subjects, "tales",
                                  f"view=patch&other={quote(second)}", text)
    computed(browser)
    above, here = (expected(model, ids)[0][-1] for ids in (ids_T, other_T))
    a, b = above.argmax(), here.argmax()
    streams = [forward(model, ids)[0] for ids in (ids_T, other_T)]
    names = [label(tokenizer, v) for v in (a, b)]
    assert facts(shown(browser, STATUS)) == [str(first + 1)]
    assert all(name in shown(browser, STATUS) for name in names)
    canvas, w = "canvas[tabindex][aria-label^='how much']", 32
    texts = browser.run("return document.querySelector(arguments[0]).written", canvas)
    cells = {(round((x - 107) / w), round(y / 24 - 0.5)): text for text, x, y, *_ in texts}
    at = [(k, t) for k in range(9) for t in range(first, len(ids_T))]
    shares = []
    for k, t in at:
        logits_V = patched(model, other_T, k, t, streams[0][k][t])[-1]
        share = (logits_V[a] - logits_V[b] - here[a] + here[b]) / (
            above[a] - above[b] - here[a] + here[b])
        assert cells[t - first, 8 - k] == str(round(100 * share)).replace("-0", "0")
        shares.append(share)
    for (k, t), share in list(zip(at, shares, strict=True))[::10]:
        browser.run("npgpt.set({ point: arguments[0], t: arguments[1] })", k, t)
        found = facts(shown(browser, CHOSEN))
        assert {str(t + 1), labels[t]} <= {*found}
        assert any("%" in fact and agrees(fact, share) for fact in found), (found, share)
    assert abs(shares[-1] - 1) < 1e-9  # the last cell has all of it
    assert [cells[i, 9] for i in range(len(ids_T) - first)] == labels[first:]

    def is_right(k, t, alpha):
        _, *rows = table(browser, "answers")
        row_C = streams[1][k][t] + alpha * (streams[0][k][t] - streams[1][k][t])
        steered = patched(model, other_T, k, t, row_C)[-1]
        right = len(rows) == 3
        for (_, *found, _), logits_V in zip(rows, (above, here, steered), strict=False):
            right &= all(map(agrees, found, softmax(logits_V)[[a, b]]))
        longer_T = other_T
        while len(longer_T) < len(other_T) + 24:
            logits_TV = patched(model, longer_T, k, t, row_C)
            longer_T = np.append(longer_T, logits_TV[-1].argmax())
        text = tokenizer.decode(longer_T[len(other_T):])
        return right and rows[2][3].split() == text.split()

    for k, t, alpha in ((0, first, 1), (4, first + 2, 2.5), (7, len(ids_T) - 1, -1)):
        browser.run("npgpt.set({ point: arguments[0], t: arguments[1], alpha: arguments[2] })",
                    k, t, alpha)
        until(browser, lambda at=(k, t, alpha): is_right(*at))


def test_a_second_text_is_explained_or_found(browser, pages, subjects):
    browser.open(pages["tales"][0], f"view=patch&text={quote(TIRED)}", 400)
    computed(browser)
    box = browser.find("section:not([hidden]) textarea")
    assert box.get_attribute("value") == "It was too noisy, so it "
    for text, says in (
        ("It was too hungry, so it ", str(len(TIRED))), (TIRED, "same"), ("It was! ", "U+0021"),
        (1500 * "ab", "3,000"),
    ):
        browser.run("npgpt.set({ other: arguments[0] })", text)
        until(browser, lambda says=says: says in shown(browser, STATUS))
        assert not browser.find("canvas[tabindex][role=img]").is_displayed()
    browser.open(pages["untied"][0], "view=patch&text=A+red+hen", 1280)
    computed(browser)
    texts = "A red hen", browser.find("section:not([hidden]) textarea").get_attribute("value")
    ids = [subjects["untied"].tokenizer.encode(text) for text in texts]
    assert (ids[0] != ids[1]).sum() == 1
    answers = [expected(stored(subjects["untied"]), each)[0][-1].argmax() for each in ids]
    assert answers[0] != answers[1]


def test_a_second_text_is_found_for_a_text_beyond_the_window_and_for_one_token(browser, pages):
    for text in (9 * "A red hen ", "A"):
        browser.open(pages["untied"][0], f"view=patch&text={quote(text)}")
        computed(browser)
        other = browser.find("section:not([hidden]) textarea").get_attribute("value")
        assert len(other) == len(text) and sum(map(str.__ne__, other, text)) == 1


def test_where_no_second_text_is_found_it_says_how_many_were_tried(browser, subjects, tmp_path):
    model = GPT(subjects["untied"].model.config, seed=0)
    model.lm_head.weight.data[...] = 0  # the first token is the answer to everything
    subject = dataclasses.replace(subjects["untied"], model=model)
    browser.open(page_of(subject, tmp_path, "A hen")[0], "view=patch")
    until(browser, lambda: "tried" in shown(browser, STATUS).lower())
    text, V = "A hen", model.config.vocab_size
    first, second = (subject.tokenizer.decode([v]) for v in (0, 1))
    changes = {f"{text[:t]}{second if text[t] == first else first}{text[t + 1:]}"
               for t in range(1, 5)} | {subject.tokenizer.decode([v]) + text[1:]
                                        for v in range(min(12, V))}
    assert facts(shown(browser, STATUS)) == [str(len(changes - {text}))]


def test_the_cells_of_patching_are_chosen_by_arrows_and_clicks(browser, pages):
    browser.open(pages["tales"][0], f"view=patch&point=7&text={quote(TIRED)}", 1280)
    computed(browser)
    canvas, at = browser.find("section:not([hidden]) canvas"), "return [npgpt.state.point, " \
        "npgpt.state.t]"
    canvas.send_keys(LEFT, UP)
    assert browser.run(at) == [8, 22]
    mouse(browser, "section:not([hidden]) canvas", 104 + 2.5 * 32, 8.5 * 24)
    assert browser.run(at) == [0, 13]
    canvas.send_keys(DOWN, *[LEFT] * 4)  # stops at the first that differs
    assert "12" in facts(shown(browser, CHOSEN))
