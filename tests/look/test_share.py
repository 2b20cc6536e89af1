"""What a reader passes on, the way back, and links that nobody wrote."""

import re
import time

import pytest
from look_page import (
    CHOICES,
    HOME,
    LEFT,
    PASTE,
    RIGHT,
    changed_address,
    press,
    shown,
    until,
)

from npgpt.look.page import assemble


def test_back_returns_to_the_view_before_with_the_text_as_it_is(browser, pages):
    browser.driver.execute_cdp_cmd("Page.resetNavigationHistory", {})  # it holds 50 at most
    browser.open(pages["untied"][0], "view=attention")
    entries = browser.run("return history.length")
    browser.find("#tab-tokens").click()
    browser.run(PASTE, "The hen")  # and nothing but a view is an entry
    press(browser, "Learn")
    for step, view in ((-1, "tokens"), (-1, "attention"), (2, "teach")):
        browser.run(f"history.go({step})")
        until(browser, lambda view=view: browser.run("return npgpt.state.view") == view, 60)
        time.sleep(0.5)  # an address that follows late would take the way forward away
        assert browser.run("return [npgpt.state.view, history.length]") == [view, entries + 2]
        assert step == 2 or view == "attention" or browser.run("return npgpt.state.text") == (
            "The hen")


def check_opens(browser, path, address=""):
    browser.open(path, address)
    state = browser.run("return npgpt.state")
    assert (state["view"], state["text"], state["t"]) == ("attention", "The hen", 2)


def test_the_link_of_a_published_page_leads_to_its_address(browser, pages, tmp_path):
    path, address = tmp_path / "page.html", "https://example.org/a?b=1&c=2"
    path.write_text(assemble(pages["untied"][1], address), encoding="utf-8")
    browser.open(path, "view=attention")
    browser.run(PASTE + "npgpt.set({ t: 2 }); Object.defineProperty(navigator, 'clipboard', {"
                "value: { writeText: async (text) => { window.copied = text; } } });", "The hen")
    press(browser, "Copy link")
    assert until(browser, lambda: browser.find("#start output").text)
    copied, _, view = browser.run("return window.copied").partition("#")
    assert copied == address and browser.logs()[1] == [path.as_uri()]
    browser.run("navigator.clipboard.writeText = () => Promise.reject();"
                "window.prompt = (_, text) => { window.asked = text; }")
    press(browser, "Copy link")
    assert until(browser, lambda: browser.run("return window.asked")) == f"{copied}#{view}"
    check_opens(browser, path, view)


def test_the_keys_on_the_tabs_choose_a_view_and_stay_in_one_entry(browser, pages):
    browser.open(pages["tales"][0], "view=overview")
    entries = browser.run("return history.length")
    ring = ("Read", "overview"), ("Change", "knockout"), ("Learn", "teach")
    for key, at in [*((RIGHT, i % 3) for i in range(1, 4)), (LEFT, 2), (HOME, 0)]:
        browser.find("#groups [aria-selected=true]").send_keys(key)
        now = browser.run("return [document.activeElement.textContent, npgpt.state.view]")
        assert now == [*ring[at]]
    assert browser.run("return history.length") == entries  # or Back would lead through all


def test_every_field_of_a_link_comes_back(browser, pages):
    path = pages["tales"][0]
    first = browser.open(path).run("return npgpt.state")
    state = first | CHOICES | {"kept": -1, "only": 1}
    assert CHOICES.keys() | {"only"} == first.keys()
    for text in ("One dawn shy and", "& # = % + é\n\u202e👩"):
        state["text"] = text
        browser.run("npgpt.set(arguments[0])", state)
        address = changed_address(browser)
        assert browser.open(path, address[1:]).run("return npgpt.state") == state
        browser.run("location.hash = '#view=patch'")  # a link in the page: all else leaves
        until(browser, lambda: browser.run("return npgpt.state") == first | {"view": "patch"})


def test_what_no_field_has_leaves_the_address(browser, pages):
    browser.open(pages["tales"][0], "toString=1&constructor=x&view=nope&t=3")
    assert changed_address(browser) == "#t=3"


def test_back_in_the_tour_closes_it_and_puts_the_weights_back(browser, pages):
    browser.open(pages["tales"][0])
    press(browser, "Take the tour")
    while "Now it learns" not in shown(browser, ".tour p"):
        press(browser, "Next")
    until(browser, lambda: browser.run("return npgpt.pass.taught"))
    browser.run("history.back()")
    until(browser, lambda: not browser.find(".tour").is_displayed())
    assert not browser.run("return npgpt.pass.taught")


@pytest.mark.parametrize("link", [
    "view=nowhere", "layer=99&head=-3&view=attention", "t=1e9&s=-1e99&view=attention",
    "temperature=1e99&view=tokens", "temperature=x&topK=-1e99&topP=-1e99&view=tokens",
    "topK=1e99&seed=1e99&view=tokens", "weight=__proto__&view=backward",
    "weight=none&at=1e99&view=backward", "fault=constructor&view=backward",
    "heads=9.9,x,0.0&mlps=99,-1&view=knockout", "positions=1e9,-1&view=knockout",
    "point=1e99&alpha=-1e99&other=x&view=patch",
    "rate=1e99&sentence=%00&view=teach", "kept=7&view=overview", "only=1&view=teach",
    "text=%ED%A0%80", "text=A&heads=0.0&t=1.5&s=0.5&at=3.7&topK=0&view=tokens", "=&&==&%&view",
])
def test_a_hostile_link_opens_a_view_that_holds(browser, pages, link):
    path, record = pages["tales"]
    browser.open(path, link if "text=" in link else f"text=One+dawn+shy&{link}")
    assert browser.logs()[0] == []
    assert not re.search("NaN|undefined|Infinity", shown(browser))
    state, T = browser.run("return [npgpt.state, npgpt.pass.T]")
    bounds = {"t": T - 1, "s": T - 1, "layer": 3, "head": 3, "kept": -1,
              "temperature": 2, "topP": 1, "topK": record["config"]["vocab_size"], "rate": -2}
    assert all(-5 <= state[name] <= most for name, most in bounds.items())
    assert state["fault"] == ""
