"""The opening, the overview and the tour: what they show of a model holds, and is Python's."""

import dataclasses
import math
import re

import numpy as np
import pytest
from look_page import (
    ESCAPE,
    PASTE,
    agrees,
    differ,
    expected,
    facts,
    far_reads,
    forward,
    knocked_out,
    label,
    losses,
    media,
    page_of,
    press,
    softmax,
    stored,
    table,
    until,
    wait,
    word_around,
)
from tiny_run import ROOT

from npgpt import tales
from npgpt.config import GPTConfig
from npgpt.generate import window_start
from npgpt.gpt import GPT
from npgpt.loading import Loaded
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.look import page
from npgpt.look.page import open_subject
from npgpt.tokenizers import CharTokenizer, WordTokenizer


@pytest.fixture(scope="module")
def more(subjects, pages, tmp_path_factory):
    """Return {name: (subject, path, record)}: two test models, an untrained, and the two that the
    repository has."""
    untrained = GPT(subjects["tales"].model.config, seed=0)
    new = {"untrained": dataclasses.replace(subjects["tales"], model=untrained),
           "shipped": open_subject(SHIPPED_RUN), "words": open_subject(ROOT / "examples/stories")}
    return {kind: (subjects[kind], *pages[kind]) for kind in ("tales", "untied")} | {
        name: (subject, *page_of(subject, tmp_path_factory.mktemp(name)))
        for name, subject in new.items()}


def least_certain(probs_TV):
    T = len(probs_TV)
    third = np.arange(math.ceil(2 * T / 3), T)
    return third[probs_TV[third].max(axis=1).argmin()]


@pytest.mark.parametrize("width", [400, 1280])
def test_the_first_screen_says_what_the_page_is_and_what_to_press(browser, more, width):
    browser.open(more["shipped"][1], "", width)
    assert browser.run("return [npgpt.state.view, npgpt.state.t]") == ["overview", 87]
    lead, *parts = (browser.find(css) for css in ("#lead", "h1", ".begin", "#pitch", "#tab-bet"))
    assert all(0 < part.rect["y"] < 500 for part in parts)
    assert "GPT" in parts[0].text and len(lead.text.split()) <= 12
    assert "826,752" in parts[2].text and "npgpt" in parts[2].text
    browser.run(PASTE, 5000 * "A hen ")
    assert browser.find("#prompt").rect["height"] < 250
    press(browser, "Teach it a sentence")
    assert browser.run("return npgpt.state.view") == "teach"
    assert "sentence" in browser.run("return document.activeElement.labels[0].textContent")


def test_a_vocabulary_of_one_token_has_no_rival_and_no_open_future(browser, tmp_path):
    tokenizer = CharTokenizer.train("aaaa")
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, n_layer=1, n_head=2, n_embd=8), seed=0)
    path, _ = page_of(Loaded("one", model, tokenizer, None), tmp_path, "aaa")
    assert len(list(walk(browser, path))) > 1
    browser.open(path, "view=residual")
    assert "NaN" not in browser.find("#view").text and browser.logs()[0] == []


def test_patching_opens_on_the_vector_that_brings_back_most_before_the_last_token(browser, more):
    browser.open(more["shipped"][1], "view=patch", 1280)
    until(browser, lambda: len(table(browser, "answers")) == 4, 90)
    words = browser.find("section:not([hidden]) [aria-live]").text
    t, share = re.search(r"token (\d+)\b.* ([\d.-]+) %", words).groups()
    assert 76 <= int(t) < 88 and float(share) > 50  # 88 has all of it, whatever the model

def test_the_buttons_above_the_text_try_something(browser, more):
    _, path, record = more["tales"]
    text = record["prompt"]
    browser.open(path)

    def now():
        return browser.find("#prompt").get_attribute("value")

    for words, to in (
        ("tired → hungry", text.replace("tired", "hungry")), ("the first text", text),
        ("because → esuaceb", text.replace("because", "esuaceb")), ("the first text", text),
        ("say it twice", text + text),
    ):
        press(browser, words)
        assert now() == to
    browser.run(PASTE, "One dawn")
    assert "tired" not in browser.find(".chips").text
    press(browser, "write on")
    until(browser, lambda: len(now()) == len("One dawn") + 40)
    press(browser, "write on")
    browser.run(PASTE, "A hen")  # which ends it
    browser.driver.execute_async_script("setTimeout(arguments[0], 200)")
    assert now() == "A hen"


def test_a_word_that_cannot_be_read_is_not_offered(browser, tmp_path):
    """Without the y of "hungry" neither the button nor the tour writes it."""
    tokenizer = CharTokenizer.train("a tired dog rests. ")
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, n_layer=1, n_head=2, n_embd=8), seed=0)
    path, _ = page_of(Loaded("few", model, tokenizer, None), tmp_path, "a tired dog")
    assert not any("hungry" in words for words, _ in walk(browser, path))
    assert "hungry" not in browser.find(".chips").text and browser.logs()[0] == []
    browser.run(PASTE, "a naïve dog")
    assert "→" not in browser.find(".chips").text


PICTURE = """
const root = document.querySelector(".overview svg"), of = (e, name) => e.getAttribute(name);
const sizes = (e, css) => [...e.querySelectorAll(css)].map((p) => +of(p, "stroke-width"));
return { parts: [...root.querySelectorAll(".part")].map((a) => [of(a, "aria-label"),
    [sizes(a, "path"), a.matches(".chosen")]]), trunk: sizes(root, ".trunk"),
  ribbon: sizes(root, ".ribbon"), wide: [root.getBoundingClientRect().right, innerWidth] };
"""


@pytest.mark.parametrize(("kind", "width"), [("tales", 400), ("tales", 1280), ("untied", 2000)])
def test_overview(browser, more, kind, width):
    """Widths of lines are lengths and shares; names, which are read aloud, have the numbers."""
    subject, path, record = more[kind]
    model, ids_T = stored(subject), np.array(record["ids"])
    labels = [label(subject.tokenizer, v) for v in ids_T]
    stream, _, weights = forward(model, ids_T)
    probs_TV, t = softmax(expected(model, ids_T)[0]), len(ids_T) - 2
    browser.open(path, f"t={t}", width)
    found = browser.run(PICTURE)
    assert found["wide"][0] <= found["wide"][1]
    lengths = np.linalg.norm(stream[:, t], axis=1)
    added = np.linalg.norm(np.diff(stream[:, t], axis=0, prepend=0), axis=1)
    count, best = 5 if width > 600 else 3, np.argsort(-probs_TV[t], kind="stable")
    assert np.allclose(found["trunk"], 1.5 + 12 * lengths / lengths.max(), rtol=1e-5)
    assert np.allclose(found["ribbon"], [*(1.5 + 12 * added / lengths.max()), *(
        1 + 13 * probs_TV[t, best[:count]])], rtol=1e-5)
    _, *far = far_reads(weights, [t])

    def part(words):
        name, rest = next(each for each in found["parts"] if words in each[0])
        return facts(name), facts(name.partition(words)[2]), rest

    for words, size in (("embeddings", added[0]), ("block 0 MLP", added[2])):
        assert agrees(part(words)[0][-1], size)
    for block, h in np.ndindex(weights.shape[:2]):
        row = weights[block, h, t]
        said, (what, *word, back), (curves, chosen) = part(f", block {block}, head {h}: ")
        s = t - int(back)
        assert agrees(said[1], row.max()) and math.isclose(row[s], row.max(), rel_tol=1e-9)
        assert what == {"␣": " space ", "⏎": " line end "}.get(labels[s], labels[s])
        assert "".join(word) == word_around(labels[: t + 1], s)
        assert np.allclose(curves, 1 + 6 * row[:t][row[:t] >= 0.04], rtol=1e-5)
        assert chosen == ([block, h] == far[:2] and row[far[3]] > 0.04)
    for i, v in enumerate(best[:count]):
        said, *_ = part(f"answer {i + 1}")
        assert any(agrees(fact, probs_TV[t, v]) for fact in said if "%" in fact)


def test_a_new_text_flows_once_through_the_picture_and_not_under_reduced_motion(browser, more):
    browser.open(more["tales"][1], "", 400)
    flows = "return document.getAnimations().length"
    L = more["tales"][0].model.config.n_layer
    assert browser.run(PASTE + flows, "A hen") == 2 * L + 2
    with media(browser, "prefers-reduced-motion", "reduce"):
        assert browser.run(PASTE + flows, "A shy hen") == 0


def walk(browser, path):
    """Yield (sentence, state) of each step of the tour."""
    browser.open(path, "", 1280)
    press(browser, "Take the tour")
    while True:
        yield browser.find(".tour p").text, browser.run("return npgpt.state")
        following = browser.find(".tour button:nth-of-type(2)")
        if not following.is_enabled():
            return
        following.click()


def word_of(model, tokenizer, ids_T, v):
    """Return [the word that token v begins after a text, by the likeliest letters], or []."""
    letters = []
    while tokenizer.decode([v]).isalpha() and len(letters) < 13:
        letters.append(v)
        ids = [*ids_T, *letters]
        if len(ids) > model.config.block_size:
            break
        v = expected(model, np.array(ids))[0][-1].argmax()
    is_one = len(letters) > 1 and type(tokenizer) is CharTokenizer
    return [tokenizer.decode(letters)] if is_one else []


def check_tour(browser, subject, path, record):
    """Walk the tour: every number is Python's, no claim is false, and nothing that holds is left
    out. Return the first words of the steps that are."""
    model, tokenizer, prompt = stored(subject), subject.tokenizer, record["prompt"]
    ids_T = np.array(record["ids"])
    logits_TV, weights, lens = expected(model, ids_T)
    probs_TV, labels = softmax(logits_TV), [label(tokenizer, v) for v in ids_T]
    T = len(logits_TV)
    steps = {" ".join(said.split()[:2]): (said, state) for said, state in walk(browser, path)}
    words = isinstance(tokenizer, WordTokenizer)
    missing = set()

    def step(start, holds):
        found = next((key for key in steps if key.startswith(start)), None)
        assert bool(found) == bool(holds), (start, holds)
        if not found:
            missing.add(start)
            return None, None
        sentence, state = steps[found]
        return facts(sentence), state

    def is_right(found, *wanted):
        assert differ(found, wanted) == []

    shown, p = lambda v: label(tokenizer, v), probs_TV[-1].max()
    found, _ = step("This is", True)
    best = probs_TV[-1].argmax()
    begins = word_of(model, tokenizer, ids_T, best)
    is_right(found, *weights.shape[:2], T, shown(best), *begins, p)

    t = least_certain(probs_TV)
    a, b = np.argsort(-probs_TV[t], kind="stable")[:2]
    found, state = step("After", probs_TV[t].max() < 0.5)
    if found:
        browser.run("npgpt.set({ text: npgpt.record.prompt })")
        exact = record["grammar"] and browser.run(
            "return [...(npgpt.pass.grammar[arguments[0]] ?? [])]", int(t))
        exact = dict(exact or []).get(tokenizer.decode([a]))
        of_grammar = (shown(a), float(exact)) if exact else ()
        before = "".join(labels[max(0, t - 15) : t + 1])
        if words:
            before = tokenizer.decode(ids_T[t - 5 : t + 1]).lstrip()
        is_right(found, before, shown(a), probs_TV[t, a], shown(b), probs_TV[t, b], *of_grammar)
        assert state["t"] == t

    lesson = "A wise old owl of London did not cross the river because it was too wet."
    of_it = tokenizer.encode(lesson)
    found, state = step("Now it", len(of_it) <= model.config.block_size)
    if found:
        before = losses(expected(model, of_it)[0], of_it).mean()
        is_right(found, lesson, 20, f"{before:.4f}", 20)
    assert not browser.run("return npgpt.pass.taught")  # put back

    readers = [t for t in range(T) if not words or len(labels[t]) > 1]
    weight, layer, head, t, s = far_reads(weights, readers, 3 if words else 8)
    found, state = step("Head", weight >= 0.3)
    if found:
        word = [word for word in [word_around(labels[: t + 1], s)] if word and not words]
        is_right(found, f"{layer}.{head}", labels[t], t + 1, weight, labels[s], *word, t - s)
        assert [state[key] for key in ("layer", "head", "t", "s")] == [layer, head, t, s]

    v = probs_TV[t].argmax()
    without = softmax(expected(knocked_out(subject, (layer, head)), ids_T[: t + 1])[0])[-1, v]
    found, state = step("Take head", probs_TV[t, v] - without >= 0.05)
    if found:
        cost = f"{math.log(probs_TV[t, v] / without):.2f}"
        is_right(found, f"{layer}.{head}", shown(v), t + 1, probs_TV[t, v], without, cost)
        assert state["heads"] == found[0]

    swap = next((pair for pair in (("tired", "hungry"), ("Velaria", "Rosania"))
                 if pair[0] in prompt), ("", ""))
    swapped = tokenizer.encode(prompt.replace(*swap))
    start = window_start(len(swapped), model.config.block_size)
    changed = softmax(expected(model, swapped[start:])[0])[-1]
    other = changed.argmax()
    found, state = step("Write", swap[0] and other != best)
    if found:
        ends = word_of(model, tokenizer, swapped[start:], other)
        answers = shown(best), *begins, p, shown(other), *ends, changed.max()
        is_right(found, *swap[::-1], *answers)
        assert state["text"] == prompt.replace(*swap)

    different = [k for k in range(len(lens) - 1) if lens[k, t].argmax() != v]
    found, state = step("Stop the", different)
    if found:
        k = different[-1]
        is_right(found, t + 1, k // 2, shown(lens[k, t].argmax()), shown(v))
        assert ("attention", "MLP")[k % 2] in steps["Stop the"][0] and state["t"] == t

    model.loss(ids_T[None, :-1], ids_T[None, 1:]).backward()
    found, state = step("A weight's", True)
    d = model.parameters()[state["weight"]].grad.flat[state["at"]]
    wrong = browser.run(
        "const { gradients, model, pass, set } = npgpt; set({ text: npgpt.record.prompt });"
        "return gradients(model, pass.trace, [...pass.ids.slice(1), -1], 'gelu').grads"
        "[arguments[0]][arguments[1]]", state["weight"], state["at"])
    is_right(found, d, d, float(wrong))
    browser.open(path, f"view=backward&weight={state['weight']}&at={state['at']}&fault=gelu")
    wait(browser, ".verdict.bad")
    step("Now you", True)
    return missing


@pytest.mark.parametrize(("model", "left_out"), [
    ("shipped", set()), ("words", set()), ("untrained", {"Head", "Take head"}),
])
def test_the_tour_is_true_and_complete_of_the_models_here(browser, more, model, left_out):
    """And has no step that does not hold."""
    assert check_tour(browser, *more[model]) >= left_out
    assert not left_out or browser.logs()[0] == []


IN_SIGHT = """
const card = document.querySelector(".tour").getBoundingClientRect();
return [...document.querySelectorAll(".pointed")].map((e) => {
  const b = e.getBoundingClientRect(), around = e.closest(".scroll, .tokens") ?? document.body,
    { left, right } = around.getBoundingClientRect();
  const free = b.bottom <= card.top + 0.5 || b.top >= card.bottom - 0.5 || b.right <= card.left
    || b.left >= card.right;
  return free && b.top >= 0 && b.bottom <= innerHeight + 0.5 && b.left >= left - 0.5
    && b.right <= right + 0.5; });
"""


@pytest.mark.parametrize("width", [400, 1280])
def test_what_a_step_of_the_tour_names_is_in_sight_and_marked(browser, more, width):
    """Of the package's model, whose tour has all steps."""
    browser.open(more["shipped"][1], "", width)
    press(browser, "Take the tour")
    for last in 8 * [False] + [True]:
        if not last:
            until(browser, lambda: (found := browser.run(IN_SIGHT)) and all(found), 150)
        press(browser, "Close" if last else "Next")
    assert browser.run("return document.querySelectorAll('.pointed').length") == 0


def test_the_tour_shows_its_first_step_within_the_time_of_two_passes(browser, more):
    browser.open(more["shipped"][1], "", 1280)
    one_pass, begins = browser.run(
        "const { model, pass } = npgpt, tour = document.querySelector('.begin');"
        "const time = (act) => { const start = performance.now(); act();"
        "return performance.now() - start; };"
        "const pairs = [1, 2, 3, 4, 5].map(() => [() => model.forward(pass.ids),"
        "() => tour.click()].map(time));"
        "return [0, 1].map((i) => Math.min(...pairs.map((pair) => pair[i])))")
    assert browser.find(".tour p").text.startswith("This is") and begins < 2 * one_pass


def test_the_tour_goes_back_and_closes(browser, more):
    browser.open(more["tales"][1], "text=A+hen&heads=0.0", 400)
    press(browser, "Take the tour")
    assert browser.find(".tour :focus").text == "Next"
    assert browser.run("return npgpt.state.text") == more["tales"][2]["prompt"]
    first = browser.find(".tour p").text
    press(browser, "Next")
    assert browser.find(".tour p").text != first
    browser.find(".tour button").click()
    assert browser.find(".tour p").text == first
    browser.run("npgpt.set({ heads: '0.1', mlps: '0' })")  # as steps of the tour do
    for leave in (lambda: press(browser, "Close"), lambda: browser.find("body").send_keys(ESCAPE)):
        leave()
        assert not browser.find(".tour").is_displayed()
        assert browser.run("return [npgpt.state.text, npgpt.state.heads, npgpt.state.mlps]") == [
            "A hen", "0.0", ""]
        press(browser, "Take the tour")


def test_nothing_is_offered_that_a_page_without_the_model_cannot_do(
    browser, subjects, tmp_path, monkeypatch
):
    monkeypatch.setattr(page, "LIVE", 1)
    # as installed without CONCEPTS.md
    path, _ = page_of(subjects["bpe"], tmp_path, "The king was so tired that he", concepts={})
    steps = [words for words, _ in walk(browser, path)]
    assert browser.logs()[0] == [] and len(steps) > 3 and tales.SENTENCE_WITH_IT not in steps
    assert not any(re.match("Take|Write|A weight", words) for words in steps)
    assert not browser.find(".chips").is_displayed()
