"""The opening, the overview and the tour: what they show of a model holds, and is Python's."""

import dataclasses
import math
import re

import numpy as np
import pytest
from look_page import (
    BOX,
    ESCAPE,
    LEFT,
    PASTE,
    agrees,
    differ,
    expected,
    facts,
    far_reads,
    forward,
    label,
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

from npgpt.config import GPTConfig
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
    browser.open(more["shipped"][1], width=width)
    assert browser.run("return [npgpt.state.view, npgpt.state.t]") == ["overview", 87]
    h1, *parts = (browser.find(css) for css in ("h1", ".begin", "#groups", "#reads .chip"))
    assert "GPT" in h1.text and all(0 < part.rect["y"] < 400 for part in (h1, *parts))
    assert "826,752" in browser.find("#pitch").text and "npgpt" in browser.find("#pitch").text
    browser.run(PASTE, 5000 * "A hen ")
    assert browser.find("#prompt").rect["height"] < 250


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

def hero_text(browser):
    """Return the sentence as it is shown, without the answer."""
    return browser.run("return [...document.querySelectorAll('#reads [data-t]')].reduce("
                       "(text, e) => text + (e.previousSibling?.data ?? '') + e.textContent, '')")


def test_a_press_on_a_marked_word_changes_it_and_the_answer_is_the_models(browser, more):
    subject, path, record = more["words"]
    model, text = stored(subject, "fp16"), record["prompt"]
    browser.open(path)
    for word in ("hungry", "noisy", "tired"):
        browser.find(f"#reads .swap[title*='{word}']").click()
        now = text.replace("tired", word)
        assert hero_text(browser) == browser.run("return npgpt.state.text") == now
        probs_V = softmax(expected(model, subject.tokenizer.encode(now))[0][-1])
        answer, p = browser.find("#reads b.chip").get_attribute("textContent").split(" ", 1)
        assert agrees(p, probs_V.max()) and answer == label(subject.tokenizer, probs_V.argmax())
    press(browser, "Write your own")
    assert browser.find("#prompt") == browser.driver.switch_to.active_element
    assert not browser.find("#reads .tokens").is_displayed()
    browser.run(PASTE, "One dawn")
    assert not browser.find("#reads").find_elements("css selector", ".swap")
    press(browser, "Write on")
    until(browser, lambda: len(browser.run("return npgpt.pass.ids")) == 42)
    press(browser, "Write on")
    browser.run(PASTE, "A hen")  # which ends it
    browser.driver.execute_async_script("setTimeout(arguments[0], 200)")
    assert browser.run("return npgpt.state.text") == "A hen"
    press(browser, "The first text")
    assert browser.run("return npgpt.state.text") == text


def test_a_word_that_cannot_be_read_is_not_offered(browser, tmp_path):
    """Without the y of "hungry" neither the sentence nor the tour writes it."""
    tokenizer = CharTokenizer.train("a tired dog rests. ")
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, n_layer=1, n_head=2, n_embd=8), seed=0)
    path, _ = page_of(Loaded("few", model, tokenizer, None), tmp_path, "a tired dog")
    assert not any("hungry" in words for words, _ in walk(browser, path))
    assert not browser.find("#reads").find_elements("css selector", ".swap")
    assert browser.logs()[0] == []


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
    assert np.allclose(found["trunk"][::-1], 1.5 + 12 * lengths / lengths.max(), rtol=1e-5)
    assert np.allclose(found["ribbon"], [*(1 + 13 * probs_TV[t, best[:count]]), *(
        1.5 + 12 * added[::-1] / lengths.max())], rtol=1e-5)
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
        assert np.allclose(curves, 1 + 6 * row[:t][row[:t] >= 0.1], rtol=1e-5)
        assert chosen == ([block, h] == far[:2] and row[far[3]] > 0.1)
    for i, v in enumerate(best[:count]):
        said, *_ = part(f"answer {i + 1}")
        assert any(agrees(fact, probs_TV[t, v]) for fact in said if "%" in fact)


def test_a_window_that_shrinks_and_a_phone_that_turns_take_the_page_along(browser, pages):
    browser.open(pages["tales"][0], width=1440)
    for width, height in ((500, 900), (844, 390), (390, 844)):
        browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", {
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": False})
        until(browser, lambda width=width: browser.run(
            "return document.documentElement.scrollWidth <= arguments[0]", width))
        assert browser.run("return innerWidth") == width


def test_a_changed_word_moves_through_the_picture_but_not_while_it_is_typed(browser, more):
    """Within 900 ms, and nodes that are the same stay; not for a reader who wants less motion."""
    browser.open(more["tales"][1], width=400)
    flows = ("return Math.max(0, ...document.getAnimations().map((a) => "
             "a.effect.getComputedTiming().endTime))")
    stays = "document.querySelector('.overview rect') === window.kept"
    browser.run("window.kept = document.querySelector('.overview rect')")
    assert 500 < browser.run(PASTE + flows, "A hen") <= 900 and browser.run(f"return {stays}")
    with media(browser, "prefers-reduced-motion", "reduce"):
        assert browser.run(PASTE + flows, "A shy hen") == 0
    assert browser.run(f"{BOX}.focus();{PASTE}{flows}", "A hen") == 0


def test_a_visitor_who_touches_nothing_sees_one_word_changed_and_changed_back(browser, more):
    _, path, record = more["words"]
    changed = record["prompt"].replace("tired", "hungry")
    now = "return npgpt.state.text"
    browser.open(path, "")
    until(browser, lambda: browser.run(now) == changed)
    until(browser, lambda: browser.run(now) == record["prompt"])
    browser.open(path, "")
    browser.find("#reads [role=listbox]").send_keys(LEFT)
    browser.driver.execute_async_script("setTimeout(arguments[0], 2500)")
    assert browser.run(now) == record["prompt"]


def walk(browser, path):
    """Yield (sentence, state) of each step of the tour."""
    browser.open(path, width=1280)
    press(browser, "Take the tour")
    for step in range(1, 10):
        yield browser.find(".tour p").text, browser.run("return npgpt.state")
        number, count = facts(browser.find(".tour span").text)
        assert int(number) == step
        following = browser.find(".tour button:nth-of-type(2)")
        if not following.is_enabled():
            assert int(count) == step
            return
        following.click()
    raise AssertionError("the tour stalls")


def check_tour(browser, subject, path, record):
    """Walk the tour: no claim is false, and nothing that holds is left out. Return the first words
    of the steps that are."""
    model, tokenizer, prompt = stored(subject), subject.tokenizer, record["prompt"]
    ids_T = np.array(record["ids"])
    logits_TV, weights, lens = expected(model, ids_T)
    probs_TV, labels = softmax(logits_TV), [label(tokenizer, v) for v in ids_T]
    T = len(logits_TV)
    steps = {" ".join(said.split()[:2]): (said, state) for said, state in walk(browser, path)}
    words = isinstance(tokenizer, WordTokenizer)
    missing = set()

    def check(start, holds, *wanted, **state):
        """Compare the words and whole numbers of a step, and what it shows."""
        found = next((key for key in steps if key.startswith(start)), None)
        assert bool(found) == bool(holds), (start, holds)
        if not found:
            missing.add(start)
            return ""
        sentence, shows = steps[found]
        assert differ(facts(sentence), wanted) == []
        assert {key: shows[key] for key in state} == state
        return sentence

    def name(probs_V):
        return label(tokenizer, probs_V.argmax())

    back = 3 if words else 8

    def place(s, t):  # a letter with its word, as far as it is read
        word = not words and word_around(labels[: t + 1], s)
        return [labels[s], word] if word else [labels[s]]

    share, layer, head, t, s = far_reads(weights, [T - 1], back)
    looks = [f"{layer}.{head}", *place(t, t), *place(s, t)] if share >= 0.3 else []
    check("This is", True, *weights.shape[:2], T, name(probs_TV[-1]), *looks,
          view="overview", t=T - 1)
    t = int(least_certain(probs_TV))
    before = "".join(labels[max(0, t - 15) : t + 1])
    if words:
        before = tokenizer.decode(ids_T[t - 5 : t + 1]).lstrip()
    said = check("After", probs_TV[t].max() < 0.5, before, view="tokens", t=t)
    browser.run("npgpt.set({ text: npgpt.record.prompt })")
    known = browser.run("return Boolean(npgpt.pass.grammar?.[arguments[0]])", t)
    assert not said or ("true odds" in said) == known

    lesson = "A wise ghost did not cross the river because it was too cold."
    fits = len(tokenizer.encode(lesson)) <= model.config.block_size
    check("Now it", fits, lesson, 20, 20, view="teach")
    assert not browser.run("return npgpt.pass.taught")  # put back

    readers = [t for t in range(T) if not words or len(labels[t]) > 1]
    weight, layer, head, t, s = far_reads(weights, readers, back)
    where = {"layer": layer, "head": head, "t": t, "s": s}
    check("Head", weight >= 0.3, f"{layer}.{head}", labels[t], labels[s], t - s,
          float(weight), **where)
    check("Now head", weight >= 0.3, f"{layer}.{head}", name(probs_TV[t]), heads=f"{layer}.{head}",
          text=tokenizer.decode([*ids_T[: t + 1], probs_TV[t].argmax()]))
    swap = next((pair for pair in (("tired", "hungry"), ("Velaria", "Rosania"))
                 if pair[0] in prompt), ("", ""))
    check("Write", swap[0], *swap[::-1], name(probs_TV[-1]), text=prompt.replace(*swap))
    different = [k for k in range(len(lens) - 1) if lens[k, t].argmax() != probs_TV[t].argmax()]
    k = different[-1] if different else 0
    said = check("Stop the", different, t + 1, k // 2, name(lens[k, t]), name(probs_TV[t]), t=t)
    assert not said or ("attention", "MLP")[k % 2] in said
    check("A weight's", True, view="backward", fault="gelu")
    browser.open(path, "view=backward&weight=h.0.mlp.c_fc.weight&fault=gelu")
    wait(browser, ".verdict.bad")
    check("Now you", True, view="overview")
    return missing


@pytest.mark.parametrize(("model", "left_out"), [
    ("shipped", set()), ("words", set()), ("untrained", {"Head", "Now head"}),
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
    browser.open(more["shipped"][1], width=width)
    press(browser, "Take the tour")
    for last in 8 * [False] + [True]:
        if not last:
            until(browser, lambda: (found := browser.run(IN_SIGHT)) and all(found), 150)
        press(browser, "Close" if last else "Next")
    assert browser.run("return document.querySelectorAll('.pointed').length") == 0


@pytest.mark.parametrize("model", ["shipped", "words"])
def test_the_tour_shows_its_first_step_within_the_time_of_two_passes(browser, more, model):
    browser.open(more[model][1], width=1280)
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
    path, _ = page_of(subjects["bpe"], tmp_path, "The king was so tired that he")
    steps = [words for words, _ in walk(browser, path)]
    assert browser.logs()[0] == [] and len(steps) > 3 and steps[-1].startswith("Now you")
    assert not any(re.match("Now (it|head)|Write|A weight", words) for words in steps)
    assert "Write" not in browser.find(".tools").text
