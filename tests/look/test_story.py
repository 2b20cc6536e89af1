"""The opening, the overview and the tour: what they show of a model holds, and is Python's."""

import dataclasses
import math
import re
from contextlib import suppress
from urllib.parse import quote

import numpy as np
import pytest
from look_page import (
    ESCAPE,
    PASTE,
    agrees,
    expected,
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

BEGINNING = "The king was so tired that he"


@pytest.fixture(scope="module")
def more(subjects, pages, tmp_path_factory):
    """Return {name: (subject, path, record)}: three models, an untrained, a certain, a real one."""
    base = subjects["tales"]
    certain = stored(base)
    certain.ln_f.weight.data *= 25
    folder, found = tmp_path_factory.mktemp("more"), {"tales": (base, *pages["tales"])}
    for name, model, prompt in (
        ("untrained", GPT(base.model.config, seed=0), None),
        ("certain", certain, None),
        ("pairs", subjects["bpe"].model, BEGINNING),
        ("untied", subjects["untied"].model, "A shy hen"),
    ):
        subject = dataclasses.replace(subjects.get({"pairs": "bpe"}.get(name, name), base),
                                      model=model)
        (folder / name).mkdir()
        found[name] = subject, *page_of(subject, folder / name, prompt)
    shipped = open_subject(SHIPPED_RUN)
    (folder / "words").mkdir()
    words = open_subject(ROOT / "examples" / "stories")
    return found | {"shipped": (shipped, *page_of(shipped, folder)),
                    "words": (words, *page_of(words, folder / "words"))}


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
    views, room, scrolls = browser.run(
        "const views = document.querySelector('#views'); return [views.scrollWidth, "
        "views.clientWidth, getComputedStyle(views).overflowX]")
    assert views <= room or scrolls == "auto"  # so that all can be brought into sight
    browser.run(PASTE, 5000 * "A hen ")
    assert browser.find("#prompt").rect["height"] < 250
    press(browser, "Teach it a sentence")
    assert browser.run("return npgpt.state.view") == "teach"
    assert "sentence" in browser.run("return document.activeElement.labels[0].textContent")


@pytest.mark.parametrize(("width", "count"), [(320, 3), (360, 3), (400, 3), (1280, 5)])
def test_the_answers_fit_into_their_boxes(browser, more, width, count):
    browser.open(more["shipped"][1], "", width)
    cells = browser.run(
        "return [...document.querySelectorAll('.answers .part')].map((part) => ['rect', 'text']"
        ".map((css) => part.querySelector(css + ':last-of-type').getBBox().width))")
    assert len(cells) == count and all(text < box for box, text in cells)


def test_only_a_page_with_the_grammar_speaks_of_tales(browser, pages):
    for path, record in pages.values():
        browser.open(path)
        assert ("fairy tales" in browser.find("header").text) == bool(record["grammar"])


def test_a_view_has_a_heading_and_explains_its_words(browser, pages):
    browser.open(pages["tales"][0], "", 400)
    found = browser.run(
        "return [...document.querySelectorAll('[role=tab]')].map((tab) => { tab.click();"
        "const [heading, words] = document.querySelectorAll('section:not([hidden]) > .about > *');"
        "words.open = true; return [heading.tagName, ...words.innerText.split('\\n').slice(1)"
        ".filter(Boolean)]; })")
    assert len(found) == 9 and all(tag == "H2" for tag, *_ in found)
    meanings = {line for _, *lines in found for line in lines}
    assert len(meanings) > 13
    assert all(re.fullmatch(".+: .{20,}", line) and "undefined" not in line for line in meanings)


def test_a_vocabulary_of_one_token_has_no_rival_and_no_open_future(browser, tmp_path):
    tokenizer = CharTokenizer.train("aaaa")
    model = GPT(GPTConfig(tokenizer.vocab_size, 16, n_layer=1, n_head=2, n_embd=8), seed=0)
    path, _ = page_of(Loaded("one", model, tokenizer, None), tmp_path, "aaa")
    assert len(list(walk(browser, path))) > 1
    browser.open(path, "view=residual")
    assert "NaN" not in browser.find("#view").text and browser.logs()[0] == []
    browser.run(PASTE, "a")
    assert browser.find("#note").text == "1 token"
    assert ": 1 block, 2 heads, 8 channels, a vocabulary of 1 token." in browser.find("#holds").text


def test_patching_opens_on_the_vector_that_brings_back_most_before_the_last_token(browser, more):
    browser.open(more["shipped"][1], "view=patch", 1280)
    until(browser, lambda: len(table(browser, "answers")) == 4, 90)
    words = browser.find("section:not([hidden]) [aria-live]").text
    t, share = re.search(r"token (\d+), .* back ([\d.-]+) %", words).groups()
    assert 76 <= int(t) < 88 and float(share) > 50  # 88 has all of it, whatever the model
    other = quote(more["shipped"][2]["prompt"].replace(",", "."))
    browser.open(more["shipped"][1], f"view=patch&other={other}")
    until(browser, lambda: len(table(browser, "answers")) == 4, 90)
    words = browser.find("section:not([hidden]) [aria-live]").text
    assert re.search("token .* after block", words), words  # all is in the embeddings of the comma


def test_the_buttons_above_the_text_try_something(browser, more):
    _, path, record = more["tales"]
    text = record["prompt"]
    browser.open(path)

    def now():
        return browser.find("#prompt").get_attribute("value")

    for words, to in (
        ("tired → hungry", text.replace("tired", "hungry")), ("hungry → tired", text),
        ("Velaria → Rosania", text.replace("Velaria", "Rosania")), ("the first text", text),
        ("because → esuaceb", text.replace("because", "esuaceb")), ("the first text", text),
        ("say it twice", text + text),
    ):
        press(browser, words)
        assert now() == to and browser.find("#note").text == f"{len(to)} tokens"
    browser.run(PASTE, "One dawn")
    shown = browser.find(".chips").text
    assert "tired" not in shown and "dawn → nwad" in shown
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
const paths = (e) => [...e.querySelectorAll("path")].map((p) =>
  [of(p, "class"), Number(of(p, "stroke-width")), of(p, "d").match(/[\\d.]+/g).map(Number)]);
return {
  parts: [...root.querySelectorAll(".part")].map((a) => [of(a, "aria-label"),
    [...a.querySelectorAll("text")].map((e) => e.textContent.trim()), paths(a),
    of(a.querySelector("rect"), "fill").match(/\\d+/g).map(Number), a.matches(".chosen")]),
  branches: paths(root).filter(([name]) => name === "trunk" || name === "ribbon"),
  tokens: [...root.querySelectorAll(".token")].map((e) => [e.textContent, Number(of(e, "x"))]),
  words: root.querySelectorAll(".read-word").length,
  wide: [root.getBoundingClientRect().right, innerWidth],
};
"""


def word_around(labels, s):
    """Return the word that has a letter, or ""."""
    text, at = "".join(labels), len("".join(labels[: s + 1])) - 1
    return next((m[0] for m in re.finditer(r"[^\W\d_]+", text) if m.start() <= at < m.end()), "")


def spoken(text):
    return text.replace("␣", " space ").replace("⏎", " line end ")


def test_a_blank_and_a_line_end_are_spoken_as_words(browser, pages):
    browser.open(pages["tales"][0], f"view=tokens&text={quote('A hen sat.' + chr(10) + 'Oh')}")
    found = browser.run("return [...document.querySelectorAll('[role=option]')].map((e) =>"
                        "[e.textContent, e.getAttribute('aria-label')])")
    assert {"␣", "⏎"} <= {text for text, _ in found}
    for text, said in found:
        assert said == (spoken(text) if text in "␣⏎" else None)


@pytest.mark.parametrize(("kind", "width"), [
    ("tales", 400), ("tales", 1280), ("tales", 2000), ("pairs", 400), ("untied", 1280),
])
def test_overview(browser, more, kind, width):
    subject, path, record = more[kind]
    model, ids_T = stored(subject), np.array(record["ids"])
    labels = [label(subject.tokenizer, v) for v in ids_T]
    stream, _, weights = forward(model, ids_T)
    probs_TV = softmax(expected(model, ids_T)[0])
    L, H, T, _ = weights.shape
    t = T - 2
    browser.open(path, f"t={t}", width)
    found = browser.run(PICTURE)
    parts = {name: rest for name, *rest in found["parts"]}
    assert found["wide"][0] <= found["wide"][1]
    tokens = dict(found["tokens"][::-1])
    texts = [text for text, _ in found["tokens"]]
    (first, *_) = [  # of the tokens that are shown
        i for i in range(T) if [name[:10] for name in labels[i : i + len(texts)]] == texts]
    lengths = np.linalg.norm(stream[:, t], axis=1)
    added = np.linalg.norm(np.diff(stream[:, t], axis=0, prepend=0 * stream[:1, t]), axis=1)
    thick = [1.5 + 12 * size / lengths.max() for size in (lengths, added)]
    drawn = {name: [size for other, size, _ in found["branches"] if other == name]
             for name in ("trunk", "ribbon")}
    assert np.allclose(drawn["trunk"], thick[0], rtol=1e-5)
    assert np.allclose(drawn["ribbon"][: 2 * L + 1], thick[1], rtol=1e-5)
    said = [agrees(re.search(r"length (\S+)$", name)[1], size) for name, size in zip(
        [next(name for name in parts if name.startswith(start)) for start in
         ["embeddings", *(f"block {i} MLP" for i in range(L))]], added[::2], strict=True)]
    assert all(said)

    far, drawn_much = far_reads(weights, [t]), False
    for (block, h), _a in np.ndenumerate(weights[:, :, t, 0] * 0):
        row = weights[block, h, t]
        name = next(name for name in parts if f", block {block}, head {h}: " in name)
        texts, curves, fill, chosen = parts[name]
        pattern = rf"{block}\.{h} ([^“]* %).*, block .*: “(.*?)”(.*?), is (\d+) back"
        reads, what, end, back = re.fullmatch(pattern, name).groups()
        s = t - int(back)
        assert agrees(reads, row.max()) and math.isclose(row[s], row.max(), rel_tol=1e-9)
        assert what == spoken(labels[s][:10]) and texts[1].startswith(reads)
        word = "" if kind == "pairs" else word_around(labels[: t + 1], s)
        assert end == (word and f" of “{word}”")
        drawn_much |= row.max() >= 0.3 and s >= first and s < t
        assert texts[0] == f"{block}.{h}"
        seen = [i for i in range(t) if row[i] >= 0.04]
        assert np.allclose([size for _, size, _ in curves], 1 + 6 * row[seen], rtol=1e-5)
        assert fill != [255, 255, 255]
        for i, (name, _, d) in zip(seen, curves, strict=True):  # from the column of the token read
            assert name == ("beyond" if i < first else None)
            assert labels.count(labels[i]) > 1 or abs(d[0] - tokens.get(labels[i][:10], 2)) < 1e-3
        assert chosen == (far[0] > 0.04 and (block, h) == tuple(far[1:3]))
    assert bool(found["words"]) == drawn_much
    count = sum("answer" in name for name in parts)
    assert count == (5 if width > 600 else 3)
    best = np.argsort(-probs_TV[t], kind="stable")[:count]
    for i, v in enumerate(best):
        name = next(name for name in parts if f"answer {i + 1}" in name)
        assert agrees(parts[name][0][1], probs_TV[t, v])
        assert ("as in the text" in name) == (v == ids_T[t + 1]) == ("✓" in parts[name][0][0])
        assert math.isclose(drawn["ribbon"][2 * L + 1 + i], 1 + 13 * probs_TV[t, v], rel_tol=1e-5)


def test_a_new_text_flows_once_through_the_picture_and_not_under_reduced_motion(browser, more):
    browser.open(more["tales"][1], "", 400)
    flows = "return document.getAnimations().length"
    L = more["tales"][0].model.config.n_layer
    assert browser.run(PASTE + flows, "A hen") == 2 * L + 2
    assert browser.run("npgpt.set({ t: 2 });" + flows) == 0  # the same text
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


def facts(sentence):
    """Return the words in quotes, without these, and the numbers and shares of a sentence."""
    found = re.findall(r"“[^”]*”|(?:[<>] )?−?-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?: %)?", sentence)
    return [fact.strip("“”") for fact in found]


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
        """Compare facts with words, whole numbers and floats."""
        assert len(found) == len(wanted), found
        for fact, value in zip(found, wanted, strict=True):
            right = agrees(fact, value) if isinstance(value, float) else fact == str(value)
            assert right, (found, wanted)

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


@pytest.mark.parametrize("model", ["shipped", "words"])
def test_the_tour_of_a_model_that_the_repository_has_is_true_and_complete(browser, more, model):
    assert check_tour(browser, *more[model]) == set()


@pytest.mark.slow
def test_the_tour_is_true_of_six_models(browser, more):
    """Each step that can be false is shown for one of them, and left out for another."""
    left_out = []
    for name, (subject, path, record) in more.items():
        left_out.append(check_tour(browser, subject, path, record))
        assert browser.logs()[0] == [], name
    most = {"Now it", "After", "Head", "Take head", "Write", "Stop the"}
    assert set.union(*left_out) == most and not set.intersection(*left_out)


IN_SIGHT = """
const card = document.querySelector(".tour").getBoundingClientRect();
return [...document.querySelectorAll(".pointed")].map((e) => {
  const b = e.getBoundingClientRect(), around = e.closest(".scroll, .tokens") ?? document.body,
    { left, right } = around.getBoundingClientRect();
  const free = b.bottom <= card.top + 0.5 || b.top >= card.bottom - 0.5 || b.right <= card.left
    || b.left >= card.right;
  return [e.value || e.textContent, free && b.top >= 0 && b.bottom <= innerHeight + 0.5
    && b.left >= left - 0.5 && b.right <= right + 0.5]; });
"""
NAMED = {  # by the first words of a step: which of its facts, or what else, stands where it points
    "This is": slice(3, 6, 2), "After ": slice(1, 5), "Now it": ["Step 20."],
    "Head ": slice(4, 5), "Take head": slice(1, 6, 4),
    "Write “hungry”": slice(5, 8, 2), "Stop the": slice(2, 3),
    "A weight's": ["They differ"], "Now you": [],
}


@pytest.mark.parametrize("width", [400, 1280, 2000])
def test_what_a_step_of_the_tour_names_is_in_sight_and_marked(browser, more, width):
    """Of the package's model, whose tour has all steps."""
    browser.open(more["shipped"][1], "", width)
    press(browser, "Take the tour")
    for start, which in NAMED.items():
        sentence = browser.find(".tour p").text
        assert sentence.startswith(start)
        named = which if isinstance(which, list) else facts(sentence)[which]

        def seen(named=named):
            found = browser.run(IN_SIGHT)
            words = " ".join(text for text, _ in found)
            return found and all(good for _, good in found) and all(n in words for n in named)

        with suppress(Exception):
            until(browser, seen, 150)
        assert seen(), (start, named, browser.run(IN_SIGHT))
        if start != "Now you":
            press(browser, "Next")
        if start == "Now it":
            assert not browser.run("return npgpt.pass.taught")  # as they were
    assert browser.find(".tour span").text == f"Step {len(NAMED)}"
    press(browser, "Close")
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


LEADS = """
document.querySelector("footer").style.height = "2000px";
scrollTo(0, 9e9);
const at = scrollY;
if (arguments[0]) dispatchEvent(new Event(arguments[0]));
npgpt.set({});
return at > 100 && scrollY < at;
"""


def test_the_tour_goes_back_and_closes(browser, more):
    browser.open(more["tales"][1], "text=A+hen&heads=0.0", 400)
    assert not browser.find(".tour").is_displayed()
    press(browser, "Take the tour")
    assert browser.run("return npgpt.state.text") == more["tales"][2]["prompt"]
    first = browser.find(".tour p").text
    press(browser, "Next")
    assert browser.find(".tour p").text != first
    browser.find(".tour button").click()
    assert browser.find(".tour p").text == first
    for gesture, button in (("wheel", 2), ("touchmove", 1)):
        assert browser.run(LEADS, None) and not browser.run(LEADS, gesture)
        browser.find(f".tour button:nth-of-type({button})").click()  # whose step leads again
    assert browser.run(LEADS, None)
    browser.run("npgpt.set({ heads: '0.1', mlps: '0' })")  # as steps of the tour do
    for leave in (lambda: press(browser, "Close"), lambda: browser.find("body").send_keys(ESCAPE)):
        leave()
        assert not browser.find(".tour").is_displayed()
        assert browser.run("return [npgpt.state.text, npgpt.state.heads, npgpt.state.mlps]") == [
            "A hen", "0.0", ""]
        press(browser, "Take the tour")


def test_the_tour_of_a_taught_model_begins_with_its_own_weights(browser, more):
    browser.open(more["untied"][1], "view=teach&sentence=One+dawn")
    press(browser, "Teach it, 20 steps")
    until(browser, lambda: "Step 20." in browser.find("#view").text)
    press(browser, "Take the tour")
    assert not browser.run("return npgpt.pass.taught")
    assert "own weights are put back" in browser.find(".tour p").text


def test_paragraphs_of_the_concepts_unfold(browser, more):
    _, path, record = more["untied"]
    browser.open(path, "view=backward")
    found = browser.find("section:not([hidden]) .concept:nth-of-type(3)")
    assert found.text == "Gradients"
    found.find_element("css selector", "summary").click()
    assert found.text.split("\n") == ["Gradients", *record["concepts"]["Gradients"]]


def test_nothing_is_offered_that_a_page_without_the_model_cannot_do(
    browser, subjects, tmp_path, monkeypatch
):
    monkeypatch.setattr(page, "LIVE", 1)
    # as installed without CONCEPTS.md
    path, _ = page_of(subjects["bpe"], tmp_path, BEGINNING, concepts={})
    steps = [words for words, _ in walk(browser, path)]
    assert browser.logs()[0] == [] and len(steps) > 3 and tales.SENTENCE_WITH_IT not in steps
    assert not any(re.match("Take|Write|A weight", words) for words in steps)
    assert not browser.find(".chips").is_displayed()
    assert {e.text for e in browser.driver.find_elements("css selector", ".concept")} <= {
        "Words", ""}
    assert "CONCEPTS" not in browser.find("#view").text
