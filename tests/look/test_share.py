"""What a reader passes on: links, pictures; and the way back."""

import time
from urllib.parse import quote

import numpy as np
import pytest
from look_page import (
    END,
    HOME,
    LEFT,
    PASTE,
    RIGHT,
    VIEWS,
    changed_address,
    press,
    record_in,
    settled,
    until,
)

from npgpt.look.page import assemble


def test_back_returns_to_the_view_before_with_the_text_as_it_is(browser, pages):
    browser.driver.execute_cdp_cmd("Page.resetNavigationHistory", {})  # it holds 50 at most
    browser.open(pages["untied"][0], "view=attention")
    entries = browser.run("return history.length")
    for view in ("tokens", "residual"):
        browser.find(f"#tab-{view}").click()
    browser.run(PASTE, "The hen")  # and nothing but a view is an entry
    browser.find("#tab-backward").click()
    assert browser.run("return history.length") == entries + 3

    def goes(step, view):
        browser.run(f"history.go({step})")
        end = time.monotonic() + 60
        while browser.run("return npgpt.state.view") != view and time.monotonic() < end:
            time.sleep(0.02)
        time.sleep(0.5)  # an address that follows late would take the way forward away
        assert browser.run("return [npgpt.state.view, npgpt.state.text]")[0] == view
        return browser.run("return npgpt.state.text")

    assert goes(-1, "residual") == "The hen"
    goes(-1, "tokens")
    goes(-1, "attention")
    goes(3, "backward")
    assert browser.run("return history.length") == entries + 3


def check_opens(browser, path, address=""):
    browser.open(path, address)
    state = browser.run("return npgpt.state")
    assert (state["view"], state["text"], state["t"]) == ("attention", "The hen", 2)


def test_the_link_of_a_published_page_leads_to_its_address(browser, pages, tmp_path):
    path, address = tmp_path / "page.html", "https://example.org/a?b=1&c=2"
    path.write_text(assemble(pages["untied"][1], address), encoding="utf-8")
    browser.open(path, "view=attention")
    browser.run(PASTE, "The hen")
    browser.run("npgpt.set({ t: 2 })")
    browser.run(
        "Object.defineProperty(navigator, 'clipboard', { value: {"
        "writeText: async (text) => { window.copied = text; } } });"
    )
    press(browser, "Copy link")
    assert until(browser, lambda: browser.find(".top output").text) == "Copied"
    copied, _, view = browser.run("return window.copied").partition("#")
    assert copied == address and browser.logs()[1] == [path.as_uri()]
    browser.run("navigator.clipboard.writeText = () => Promise.reject();"
                "document.querySelector('.top output').textContent = '';"
                "window.prompt = (_, text) => { window.asked = text; }")
    press(browser, "Copy link")
    assert until(browser, lambda: browser.run("return window.asked")) == f"{copied}#{view}"
    assert browser.find(".top output").text == ""
    check_opens(browser, path, view)


def test_a_page_on_the_readers_own_disk_is_passed_on_as_a_file(browser, pages, tmp_path):
    """And so on: the file that was saved from the file that was saved."""
    path, allowed = pages["untied"][0], {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    browser.open(path, "view=residual")
    for view in ("tokens", "attention"):
        browser.run(PASTE, "The hen")
        browser.run("npgpt.set({ t: 2, view: arguments[0] })", view)
        assert "Copy link" not in browser.find(".top").text
        press(browser, "Save to send")
        saved = tmp_path / f"untied-{view}.html"
        until(browser, lambda saved=saved: saved.exists())
        assert browser.find(".top output").text == f"Saved {saved.name}, which opens on this view."
        browser.open(saved)
    check_opens(browser, saved)
    for view in ("tokens", "residual"):  # chosen since, it comes again after a reload, and by Back
        browser.find(f"#tab-{view}").click()
        browser.driver.refresh()
        assert browser.run("return npgpt.state.view") == view
    browser.driver.back()
    until(browser, lambda: browser.run("return npgpt.state.view") == "tokens")
    check_opens(browser, saved)
    browser.run("npgpt.pass.weights = 1")
    press(browser, "Save to send")
    assert "What you taught the model is not in it" in browser.find(".top output").text
    until(browser, lambda: not browser.find(".top output").text)
    assert record_in(saved) == record_in(path) and browser.logs()[0] == []


def test_the_keys_on_the_tabs_choose_a_view_and_stay_in_one_entry(browser, pages):
    browser.open(pages["tales"][0], "view=overview")
    entries, ring = browser.run("return history.length"), (*VIEWS[:4], "bet", *VIEWS[4:])
    for key, step in ((RIGHT, 1), (LEFT, -1)):
        for i in range(1, len(ring) + 1):
            browser.find("#views [aria-selected=true]").send_keys(key)
            assert browser.run("return document.activeElement.id") == f"tab-{ring[(step * i) % 9]}"
            assert browser.run("return npgpt.state.view") == ring[(step * i) % 9]
    for key, view in ((END, ring[-1]), (HOME, ring[0])):
        browser.find("#views [aria-selected=true]").send_keys(key)
        assert browser.run("return [document.activeElement.id, npgpt.state.view]") == [
            f"tab-{view}", view]
    assert browser.run("return history.length") == entries  # or Back would lead through all


# Values of each field of a link, the least and the largest of a number first.
FIELDS = {
    "text": ["One dawn shy and", "& # = % + é\n\u202e👩"], "view": [*VIEWS, "bet"],
    "t": [0, 9], "s": [-1, 7], "layer": [-1, 3, 1], "head": [-1, 3, 0], "rival": [-1, 0, 5],
    "answer": [-1, 0, 7], "temperature": [0, 2, 0.35], "topK": [1, "V", 5],
    "topP": [0.01, 1, 0.55], "seed": [-1, 2**31, 77], "heads": ["", "0.1,3.3"], "mlps": ["", "0,3"],
    "positions": ["", "0,5"], "weight": ["", "h.3.mlp.c_fc.weight"], "at": [-1, 65535, 7],
    "step": [-9, -1, -3.5], "fault": ["", "gelu", "linear"], "only": [0, 1], "kept": [-1],
    "sentence": ["", "A+B &c=%20"], "rate": [-5, -2, -3.25], "other": ["", "One dawn shy but"],
    "point": [-1, 8, 0], "alpha": [-2, 4, -1.5],
}
BOUNDED = ["temperature", "topP", "step", "rate", "alpha", "topK", "layer", "head"]


def test_every_field_of_a_link_comes_back_and_has_the_bounds_of_its_slider(browser, pages):
    path, record = pages["tales"]
    fields = FIELDS | {"topK": [1, record["config"]["vocab_size"], 5]}
    browser.open(path)
    assert fields.keys() == browser.run("return npgpt.state").keys()
    for i in range(9):
        state = {name: values[i % len(values)] for name, values in fields.items()}
        browser.run("npgpt.set(arguments[0])", state)
        address = changed_address(browser)
        assert browser.open(path, address[1:]).run("return npgpt.state") == state
    for end, number in enumerate(("-1e99", "1e99")):
        browser.open(path, "&".join(f"{name}={number}" for name in BOUNDED))
        state = browser.run("return npgpt.state")
        assert {name: state[name] for name in BOUNDED} == {
            name: fields[name][end] for name in BOUNDED}
    sliders = {}
    for view in VIEWS:
        sliders |= browser.run(
            "npgpt.set({ view: arguments[0] }); const found = {}; for (const e of document."
            "querySelectorAll('#view section:not([hidden]) [type=range]')) for (const end of "
            "['max', 'min']) { const before = { ...npgpt.state }; e.value = e[end]; e.oninput();"
            "for (const name in before) if (before[name] !== npgpt.state[name])"
            "  found[name] = [+e.min, +e.max]; } return found", view)
    assert {name: fields[name][:2] for name in sliders} == sliders and len(sliders) == 6


# What the view of a page, or the file of its picture, draws: the boxes are those in the file.
DRAWN = """
const LOOK = ["opacity", "fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity",
  "stroke-dasharray", "stroke-linecap", "stroke-linejoin", "paint-order", "font-family",
  "font-size", "font-weight", "font-style", "text-anchor", "text-decoration-line",
  "dominant-baseline", "visibility"];
const of = (e, names) => names.map((name) => getComputedStyle(e).getPropertyValue(name));
const FONT = ["font-family", "font-size", "font-weight"], isFile = document.rootElement,
  root = isFile || document.querySelector("section:not([hidden])");
root.classList.add("still"); // without what can be pressed
const shift = isFile ? { left: 12, top: 36 } : root.getBoundingClientRect();
const place = (b) => [b.left - shift.left + 12, b.top - shift.top + 36, b.width, b.height];
const box = (e) => isFile && e.tagName === "svg" // there it has the box of the element around it
  ? ["x", "y", "width", "height"].map((name) => +e.parentNode.getAttribute(name))
  : place(e.getBoundingClientRect());
const lines = (node, found = []) => {
  for (let i = 0, range = document.createRange(); i < node.length; i++) {
    range.setStart(node, i), range.setEnd(node, i + 1);
    const b = range.getBoundingClientRect();
    if (b.width && found.at(-1)?.at(1) !== b.top) found.push([node.data[i], b.top, b.left, b]);
    else if (b.width) Object.assign(found.at(-1), [found.at(-1)[0] + node.data[i]], { 3: b });
  }
  return found.map(([words, top, left, { right, height }]) =>
    [place({ left, top, width: right - left, height }), words, ...of(node.parentNode,
      ["color", ...FONT])]);
};
const all = [root, ...root.querySelectorAll("*")].filter((e) => isFile || (!e.ownerSVGElement
  && e.checkVisibility() && !e.closest(".controls")));
const is = (css) => all.filter((e) => e.matches(css));
const [svgs, images, rects, texts] = isFile
  ? [":root > svg > svg", ":root > image", ":root > rect", ":root > text"].map(is)
  : [is("svg"), is("canvas"), all.filter((e) => !e.matches("svg, canvas")
      && getComputedStyle(e).backgroundColor !== "rgba(0, 0, 0, 0)"), all];
const drawn = { size: isFile && ["width", "height"].map((name) => +root.getAttribute(name)),
  parts: svgs.flatMap((e) => [e, ...e.querySelectorAll(":not(title)")].map((part) =>
    [box(part), part.tagName, part.textContent, ...of(part, LOOK)])),
  images: images.map((e) => [box(e), isFile ? e.getAttribute("href") : e.toDataURL()]),
  fills: rects.map((e) => [box(e), ...of(e, [isFile ? "fill" : "background-color", "opacity"])]),
  words: isFile ? texts.map((e) => [box(e), e.textContent, ...of(e, ["fill", ...FONT])])
    : texts.flatMap((e) => [...e.childNodes]).filter((e) => e.nodeType === 3)
      .flatMap((e) => lines(e)) };
root.classList.remove("still");
return drawn;
"""
# Longer than the view in Attention and Overview, whose pictures begin later or go on to the right.
SAVED = {"overview": "One dawn shy " * 9, "attention": "One dawn shy " * 9}


@pytest.mark.parametrize("view", [*VIEWS, "bet"])
def test_a_saved_picture_has_what_the_view_shows(browser, pages, tmp_path, view):
    """Every line of words, shade, canvas and part of an SVG is where it was, and looks the same."""
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    text = SAVED.get(view, "One dawn shy")
    browser.open(pages["tales"][0], f"view={view}&text={quote(text)}")
    html = "return document.querySelector('main').innerHTML"
    shown, end = None, time.monotonic() + 120
    while shown != browser.run(html):
        assert time.monotonic() < end, "the view changed each time while it was saved"
        settled(browser)
        shown, drawn, found = browser.run(html), browser.run(DRAWN), []
        for path in tmp_path.glob("*.svg"):
            path.unlink()
        press(browser, "Save picture")
        while not any("</svg>" in path.read_text(encoding="utf-8") for path in found):
            assert time.monotonic() < end, "no picture was saved"
            time.sleep(0.05)
            found = list(tmp_path.glob("*.svg"))  # empty at first
    assert [path.name for path in found] == [f"tales-{view}.svg"]
    assert browser.find(".top output").text == f"Saved tales-{view}.svg"
    assert not browser.driver.find_elements("css selector", ".still")  # all can be pressed again
    saved = browser.open(found[0]).run(DRAWN)
    background, title = saved["fills"].pop(0), saved["words"].pop(0)
    assert title[1] == f"tales, {view}: {text}"[: len(title[1])] and len(title[1]) > 20
    assert background[1] == "rgb(255, 255, 255)"
    assert np.allclose(background[0], [0, 0, *saved["size"]])
    for kind in ("words", "fills", "images", "parts"):
        assert len(saved[kind]) == len(drawn[kind]), kind
        for (was, *rest), (box, *look) in zip(drawn[kind], saved[kind], strict=True):
            assert look == rest, kind
            if rest[0].strip():
                assert np.allclose(was, box, atol=2), (kind, was, box, rest[:2])
            if kind != "parts" or rest[0] == "svg":
                inside = min(box) >= 0 and np.add(box[:2], box[2:]) <= saved["size"]
                assert np.all(inside), (kind, box, saved["size"], rest[:2])
    assert len(drawn["words"]) > 5 and browser.logs()[0] == []
