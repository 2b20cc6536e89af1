"""The slider over the checkpoints that a run has kept."""

from urllib.parse import urlencode

import numpy as np
import pytest
from look_page import (
    CHOICES,
    PASTE,
    VIEWS,
    enter,
    lively,
    page_of,
    press,
    settled,
    shown,
    stored,
    until,
)

from npgpt import AdamW, tales
from npgpt.batches import TextSource
from npgpt.checkpoint import save_weights
from npgpt.config import GPTConfig, TrainConfig
from npgpt.loading.runs import Run, create_run
from npgpt.look.page import open_subject
from npgpt.tokenizers import CharTokenizer

STEPS = 0, 7, 40
PROMPT = "The hen was tired"


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """Return (path of a page, the folder of its run, its record)."""
    folder = tmp_path_factory.mktemp("kept") / "run"
    tokenizer = CharTokenizer.train(tales.generate(20_000, seed=3))
    config = GPTConfig(tokenizer.vocab_size, 32, 2, 2, 16)
    run = Run(folder, config, TrainConfig(corpus=("a.txt",)), TextSource("a", None, "", None))
    model = lively(config, seed=9)
    create_run(run, tokenizer, model, AdamW(model.parameters()))
    for seed, step in enumerate(STEPS):
        save_weights(folder / f"kept-{step}.safetensors", lively(config, seed))
    path, record = page_of(open_subject(folder), folder.parent, PROMPT)
    return path, folder, record


def slide(browser, position):
    enter(browser, "#kept input", position)


def test_the_slider_shows_the_model_as_it_was(browser, page):
    path, folder, record = page
    assert [step for step, _ in record["kept"]] == list(STEPS)
    browser.open(path, "view=tokens")
    browser.run("npgpt.set({ t: 3, s: 2, heads: '0.1' })")
    choices, drawn = browser.run("return npgpt.state"), shown(browser)
    for position in (3, 1, 0, 2, 3):
        slide(browser, position)
        name = f"kept-{STEPS[position]}.safetensors" if position < 3 else ""
        assert browser.run("return npgpt.state") == choices | {"kept": position if name else -1}
        logits = browser.run(
            "const { pass, model } = npgpt, logits = pass.trace.arrays.get('logits');"
            "return Array.from(logits.slice(0, pass.T * model.V));")
        subject = open_subject(folder / name)
        model = stored(subject, "int8" if name else "fp16")
        wanted = model(subject.tokenizer.encode(PROMPT)[None])[0].data.ravel()
        assert np.abs(logits - wanted).max() < 1e-10 * np.abs(wanted).max()
        assert not name or f" {STEPS[position]}," in browser.find("#kept b").text
        assert (shown(browser) == drawn) == (not name)
    assert browser.logs()[0] == []


# From all other choices first, and by one as the last.
BACK = """
const [name, away] = arguments, { set, state } = npgpt, all = { ...state }, { text, t } = state;
set({ ...away, view: state.view });
set({ ...all, [name]: away[name] });
set({ ...(["text", "kept"].includes(name) ? { text, t } : {}), [name]: all[name] });
"""


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_is_the_same_whichever_way_a_reader_comes_to_it(browser, page, view):
    """By a link to a kept step, from the model's own weights and another text and token, from any
    other choice, or from taught weights that are put back."""
    seen = ("const main = document.querySelector('main').cloneNode(true);"
            "for (const e of main.querySelectorAll('[hidden]')) e.remove();"
            "for (const e of main.querySelectorAll('*'))"  # attributes: in one order, none empty
            "  for (const { name, value } of [...e.attributes].sort((a, b) =>"
            "    a.name < b.name ? -1 : 1)) { e.removeAttribute(name);"
            "    if (value) e.setAttribute(`_${name}`, value); }"
            "return [main.innerHTML, ...[...document.querySelectorAll('canvas')].filter((e) =>"
            "e.checkVisibility()).map((e) => e.toDataURL()), npgpt.pass.labels]")
    state = {"text": "One dawn a shy hen", "heads": "0.1", "t": 12, "s": 3, "kept": 0,
             "sentence": "A hen"}
    browser.open(page[0], f"view={view}&{urlencode(state)}")
    settled(browser)
    by_link = browser.run(seen)
    assert browser.logs()[0] == []
    browser.open(page[0], f"view={view}&heads=0.0")
    settled(browser)
    browser.run(PASTE, state["text"])
    slide(browser, 0)
    browser.run("npgpt.set(arguments[0])", state)
    settled(browser)
    assert browser.run(seen) == by_link and len(by_link[0]) > 500 and "NaN" not in by_link[0]

    def same():
        return browser.run(seen) == by_link

    for name in CHOICES:
        browser.run(BACK, name, CHOICES)
        until(browser, same)
    browser.run("npgpt.set({ view: 'teach' })")
    press(browser, "Teach it,")
    until(browser, lambda: "taught" in browser.find("#note").text)
    press(browser, "Put the weights back")
    browser.run("npgpt.set({ view: arguments[0] })", view)
    until(browser, same)
    assert browser.logs()[0] == []


def test_without_kept_weights_there_is_no_slider(browser, pages):
    browser.open(pages["untied"][0])
    assert not browser.find("#kept").is_displayed()
