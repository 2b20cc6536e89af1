"""The slider over the checkpoints that a run has kept."""

import json
from urllib.parse import urlencode

import numpy as np
import pytest
from look_page import PASTE, VIEWS, enter, page_of, press, record_in, settled, stored, until

from npgpt import AdamW, tales
from npgpt.batches import TextSource
from npgpt.checkpoint import save_weights
from npgpt.config import GPTConfig, TrainConfig
from npgpt.gpt import GPT
from npgpt.loading.runs import Run, create_run
from npgpt.look.page import open_subject
from npgpt.tokenizers import CharTokenizer

STEPS = 0, 7, 40
PROMPT = "The hen was tired"


def lively(config, seed):
    """Return a GPT whose predictions are far from uniform."""
    model = GPT(config, seed=seed)
    for weight in model.parameters().values():
        weight.data *= 5
    return model


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


def logits_of(folder, name, kind):
    """Return Python's logits with the weights in a file as a page stores them, in float64."""
    subject = open_subject(folder / name if name else folder)
    return stored(subject, kind)(subject.tokenizer.encode(PROMPT)[None])[0].data[0]


def shown(browser):
    found = browser.run(
        "const { pass, model } = npgpt, logits = pass.trace.arrays.get('logits');"
        "return Array.from(logits.slice(0, pass.T * model.V));"
    )
    return np.array(found), browser.find("#kept b").text


def slide(browser, position):
    enter(browser, "#kept input", position)


def test_the_slider_shows_the_model_as_it_was(browser, page):
    path, folder, record = page
    assert [step for step, _ in record["kept"]] == list(STEPS)
    browser.open(path, "view=tokens")
    browser.run("npgpt.set({ t: 3, s: 2, heads: '0.1' })")
    choices = browser.run("return npgpt.state")
    browser.run("window.drawn = document.querySelector('#view').innerText")
    for position in (3, 1, 0, 2, 3):
        slide(browser, position)
        kept = position if position < 3 else -1
        assert browser.run("return npgpt.state") == choices | {"kept": kept}
        name = f"kept-{STEPS[position]}.safetensors" if position < 3 else ""
        logits, said = shown(browser)
        wanted = logits_of(folder, name, "int8" if name else "fp16").ravel()
        assert np.abs(logits - wanted).max() < 1e-10 * np.abs(wanted).max()
        assert (f" {STEPS[position]}, int8" if name else "own") in said
        same = browser.run("return document.querySelector('#view').innerText === window.drawn")
        assert same == (position == 3)
    assert browser.logs()[0] == []


@pytest.mark.parametrize("step", ["3", "x"])
def test_a_link_with_a_step_that_is_not_there_is_the_models_own(browser, page, step):
    browser.open(page[0], f"kept={step}")
    assert "own" in shown(browser)[1] and not browser.run("return npgpt.pass.taught")
    assert browser.logs()[0] == []


def test_the_recorded_gradient_is_of_the_models_own_weights_only(browser, page):
    other = "record is of"  # a different text, or other weights
    browser.open(page[0], "view=backward")

    def verdict():
        return browser.run("return document.querySelector('.verdict')?.innerText ?? ''")

    own = 3, PROMPT
    for position, text in (own, (0, PROMPT), own, (3, f"{PROMPT} so"), own):
        browser.run(PASTE, text)
        slide(browser, position)
        stated = (position, text) != own
        until(browser, lambda stated=stated: verdict() and (other in verdict()) == stated)


# Another choice for each field of an address, and the script that comes from there to the present
# ones: from all others first, and by one as the last.
AWAY = {
    "text": "One dawn a cat", "kept": 1, "view": "bet", "t": 5, "s": 1, "layer": 1, "head": 1,
    "heads": "1.0", "mlps": "0", "positions": "2", "temperature": 0.5, "topK": 3, "topP": 0.5,
    "seed": 2, "weight": "h.0.mlp.c_fc.weight", "at": 3, "fault": "gelu",
    "rival": 3, "answer": 3, "other": "One dawn a shy owl", "point": 2, "alpha": 2, "rate": -2,
    "sentence": "A cat",
}
BACK = """
const [name, away] = arguments, { set, state } = npgpt, all = { ...state }, { text, t } = state;
set({ ...away, view: state.view });
set({ ...all, [name]: away[name] });
set({ ...(["text", "kept"].includes(name) ? { text, t } : {}), [name]: all[name] });
"""


@pytest.mark.parametrize("view", [*VIEWS, "bet"])
def test_a_view_is_the_same_whichever_way_a_reader_comes_to_it(browser, page, view):
    """By a link to a kept step, from the model's own weights and another text and token, from any
    other choice, or from taught weights that are put back."""
    seen = ("const main = document.querySelector('main').cloneNode(true);"
            "for (const e of main.querySelectorAll('[hidden]')) e.remove();"
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

    for name in AWAY:
        browser.run(BACK, name, AWAY)
        until(browser, same)
    browser.run("npgpt.set({ view: 'teach' })")
    press(browser, "Teach it,")
    until(browser, lambda: "taught" in browser.find("#note").text)
    press(browser, "Put the weights back")
    browser.run("npgpt.set({ view: arguments[0] })", view)
    until(browser, same)
    assert browser.logs()[0] == []


def test_the_command_says_how_large_they_are(page, done, tmp_path):
    out = done("look", page[1], "--prompt", PROMPT, "--out", tmp_path / "a.html")
    kept = json.dumps(record_in(tmp_path / "a.html")["kept"])
    assert f" {len(STEPS)} checkpoints" in out and f" {len(kept) / 1e6:.2f} MB, as int8" in out


def test_without_kept_weights_there_is_no_slider(browser, pages):
    browser.open(pages["untied"][0])
    assert not browser.find("#kept").is_displayed()
