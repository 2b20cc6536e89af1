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
        until(browser, lambda: browser.run("return npgpt.state.view") == view, 60)
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
    for key, at in [(RIGHT, i % 9) for i in range(1, 10)] + [(LEFT, 8), (LEFT, 7), (HOME, 0),
                                                             (END, 8), (RIGHT, 0)]:
        browser.find("#views [aria-selected=true]").send_keys(key)
        now = browser.run("return [document.activeElement.id, npgpt.state.view]")
        assert now == [f"tab-{ring[at]}", ring[at]]
        assert browser.find("#view").get_attribute("aria-labelledby") == f"tab-{ring[at]}"
    outline = "return getComputedStyle(document.activeElement).outlineStyle"
    assert browser.run(outline) == "solid"  # for who has no mouse
    assert browser.run("return history.length") == entries  # or Back would lead through all


# Values of each field of a link, the least and the largest of a number first.
FIELDS = {
    "text": ["One dawn shy and", "& # = % + é\n\u202e👩"], "view": ["bet", "patch", "teach"],
    "t": [0, 9], "s": [-1, 7], "layer": [-1, 3, 1], "head": [-1, 3, 0], "rival": [-1, 0, 5],
    "answer": [-1, 0, 7], "temperature": [0, 2, 0.35], "topK": [1, "V", 5],
    "topP": [0.01, 1, 0.55], "seed": [-1, 2**31, 77], "heads": ["", "0.1,3.3"], "mlps": ["", "0,3"],
    "positions": ["", "0,5"], "weight": ["", "h.3.mlp.c_fc.weight"], "at": [-1, 65535, 7],
    "step": [-9, -1, -3.5], "fault": ["", "gelu", "linear"], "only": [0, 1], "kept": [-1],
    "sentence": ["", "A+B &c=%20"], "rate": [-5, -2, -3.25], "other": ["", "One dawn shy but"],
    "point": [-1, 8, 0], "alpha": [-2, 4, -1.5],
}
SLIDERS = """
const found = {}, css = "#view section:not([hidden]) [type=range]";
for (const tab of document.querySelectorAll("[role=tab]")) for (const end of ["max", "min"])
  for (const e of tab.click() ?? document.querySelectorAll(css)) {
    const before = { ...npgpt.state };
    e.value = e[end], e.oninput();
    for (const name in before) if (before[name] !== npgpt.state[name])
      found[name] = [+e.min, +e.max];
  }
return found;
"""


def test_every_field_of_a_link_comes_back_and_has_the_bounds_of_its_slider(browser, pages):
    path, record = pages["tales"]
    fields = FIELDS | {"topK": [1, record["config"]["vocab_size"], 5]}
    browser.open(path)
    first = browser.run("return npgpt.state")
    assert fields.keys() == first.keys()
    for i in range(4):
        state = {name: values[i % len(values)] for name, values in fields.items()}
        browser.run("npgpt.set(arguments[0])", state)
        address = changed_address(browser)
        assert browser.open(path, address[1:]).run("return npgpt.state") == state
        browser.run("location.hash = '#view=bet'")  # a link in the open page: nothing else is left
        until(browser, lambda: browser.run("return npgpt.state") == first | {"view": "bet"})
    sliders = browser.run(SLIDERS)
    assert {name: fields[name][:2] for name in sliders} == sliders and len(sliders) == 6
    for end, number in enumerate(("-1e99", "1e99")):
        browser.open(path, "&".join(f"{name}={number}" for name in [*sliders, "layer", "head"]))
        state = browser.run("return npgpt.state")
        assert all(state[name] == fields[name][end] for name in [*sliders, "layer", "head"])


# What the view of a page, or the file of its picture, draws: the boxes are those in the file.
DRAWN = """
const FONT = ["font-family", "font-size", "font-weight"], clear = "rgba(0, 0, 0, 0)";
const LOOK = [...getComputedStyle(document.documentElement)].filter((name) =>
  /^(fill|stroke|opacity|paint-|text-an|visib|dominant|font-(f|size$|we|st))/.test(name));
const of = (e, names) => names.map((name) => getComputedStyle(e).getPropertyValue(name));
const isFile = document.rootElement,
  root = isFile || document.querySelector("section:not([hidden])");
root.classList.add("still"); // without what can be pressed
const shift = isFile ? { left: 12, top: 36 } : root.getBoundingClientRect();
const place = (b) => [b.left - shift.left + 12, b.top - shift.top + 36, b.width, b.height];
const at = (e) => ["x", "y", "width", "height"].map((name) => +e.getAttribute(name));
const box = (e) => isFile && e.tagName === "svg" ? at(e.parentNode)
  : place(e.getBoundingClientRect());
const lines = (node) => {
  const range = document.createRange();
  range.selectNode(node);
  return [...range.getClientRects()].filter(({ width }) => width).map((line) =>
    [place(line), "", ...of(node.parentNode, ["color", ...FONT])]);
};
const all = [root, ...root.querySelectorAll("*")].filter((e) => isFile || (!e.ownerSVGElement
  && e.checkVisibility() && !e.closest(".controls")));
const is = (css) => all.filter((e) => e.matches(css));
const [svgs, images, rects, texts] = isFile
  ? [":root > svg > svg", ":root > image", ":root > rect", ":root > text"].map(is)
  : ["svg", "canvas", ":not(svg, canvas)", "*"].map(is);
const drawn = { size: isFile && at(root).slice(2),
  parts: svgs.flatMap((e) => [e, ...e.querySelectorAll(":not(title)")].map((part) =>
    [box(part), part.tagName, part.textContent, ...of(part, LOOK)])),
  images: images.map((e) => [box(e), isFile ? e.getAttribute("href") : e.toDataURL()]),
  fills: rects.map((e) => [box(e), ...of(e, [isFile ? "fill" : "background-color", "opacity"])])
    .filter(([, fill]) => fill !== clear),
  words: texts.flatMap((e) => isFile ? [[box(e), "", ...of(e, ["fill",
    ...FONT])]] : [...e.childNodes].flatMap((node) => (node.nodeType === 3 ? lines(node) : []))),
  said: texts.flatMap((e) => [...e.childNodes]).filter((node) => node.nodeType === 3 && (isFile ||
    lines(node).length)).map((node) => node.data).join("").replace(/\\s/g, "") };
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
    first = "overview" if view == "tokens" else "tokens"  # which stays in the page, hidden
    browser.open(pages["tales"][0], f"view={first}&text={quote(text)}")
    browser.run("npgpt.set({ view: arguments[0] })", view)
    settled(browser)
    drawn = browser.run(DRAWN)
    press(browser, "Save picture")
    path = tmp_path / f"tales-{view}.svg"
    until(browser, lambda: path.exists() and "</svg>" in path.read_text("utf-8"))
    assert browser.find(".top output").text == f"Saved {path.name}"
    assert not browser.driver.find_elements("css selector", ".still")  # all can be pressed again
    saved = browser.open(path).run(DRAWN)
    title = saved["said"].removesuffix(drawn["said"])  # as much of it as there is room for
    assert f"tales,{view}:{text}".replace(" ", "").startswith(title) and 18 < len(title) < 120
    drawn["words"].insert(0, saved["words"][0])
    assert saved["words"][0][2] == "rgb(26, 29, 33)"  # the ink, on white
    drawn["fills"].insert(0, [[0, 0, *saved["size"]], "rgb(255, 255, 255)", "1"])
    for kind in ("words", "fills", "images", "parts"):
        assert len(saved[kind]) == len(drawn[kind]), kind
        for (was, *rest), (box, *look) in zip(drawn[kind], saved[kind], strict=True):
            assert look == rest, kind
            assert np.allclose(was, box, atol=2) or not any(box), (kind, was, box, rest[:2])
            if kind != "parts" or rest[0] == "svg":
                inside = min(box) >= 0 and np.add(box[:2], box[2:]) <= saved["size"]
                assert np.all(inside), (kind, box, saved["size"], rest[:2])
    assert browser.logs()[0] == []
