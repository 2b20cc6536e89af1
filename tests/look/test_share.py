"""What a reader passes on, and the way back."""

import time

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
    assert until(browser, lambda: browser.find("#start output").text) == "Copied"
    copied, _, view = browser.run("return window.copied").partition("#")
    assert copied == address and browser.logs()[1] == [path.as_uri()]
    browser.run("navigator.clipboard.writeText = () => Promise.reject();"
                "document.querySelector('#start output').textContent = '';"
                "window.prompt = (_, text) => { window.asked = text; }")
    press(browser, "Copy link")
    assert until(browser, lambda: browser.run("return window.asked")) == f"{copied}#{view}"
    assert browser.find("#start output").text == ""
    check_opens(browser, path, view)


def test_a_page_on_the_readers_own_disk_is_passed_on_as_a_file(browser, pages, tmp_path):
    """And so on: the file that was saved from the file that was saved."""
    path, allowed = pages["untied"][0], {"behavior": "allow", "downloadPath": str(tmp_path)}
    browser.driver.execute_cdp_cmd("Browser.setDownloadBehavior", allowed)
    browser.open(path, "view=residual")
    for view in ("tokens", "attention"):
        browser.run(PASTE, "The hen")
        browser.run("npgpt.set({ t: 2, view: arguments[0] })", view)
        assert "Copy link" not in browser.find("#start").text
        press(browser, "Save to send")
        saved = tmp_path / f"untied-{view}.html"
        until(browser, lambda saved=saved: saved.exists())
        said = browser.find("#start output").text
        assert said == f"Saved {saved.name}, which opens on this view."
        browser.open(saved)
    check_opens(browser, saved)
    for view in ("tokens", "residual"):  # chosen since, it comes again after a reload, and by Back
        browser.find(f"#tab-{view}").click()
        browser.driver.refresh()
        assert browser.run("return npgpt.state.view") == view
    browser.driver.back()
    until(browser, lambda: browser.run("return npgpt.state.view") == "tokens")
    check_opens(browser, saved)
    browser.run("npgpt.pass.taught = true")
    press(browser, "Save to send")
    assert "What you taught the model is not in it" in browser.find("#start output").text
    until(browser, lambda: not browser.find("#start output").text)
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
    "fault": ["", "gelu", "linear"], "only": [0, 1], "kept": [-1],
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
    assert {name: fields[name][:2] for name in sliders} == sliders and len(sliders) == 5
    for end, number in enumerate(("-1e99", "1e99")):
        browser.open(path, "&".join(f"{name}={number}" for name in [*sliders, "layer", "head"]))
        state = browser.run("return npgpt.state")
        assert all(state[name] == fields[name][end] for name in [*sliders, "layer", "head"])
