"""What a reader passes on: links, pictures; and the way back."""

import time
from xml.etree import ElementTree

import pytest
from look_page import PASTE, VIEWS, press

SVG = "{http://www.w3.org/2000/svg}"


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


def test_the_link_that_is_copied_opens_the_view(browser, pages):
    path = pages["untied"][0]
    browser.open(path, "view=attention")
    browser.run(PASTE, "The hen")
    browser.run(
        "Object.defineProperty(navigator, 'clipboard', { value: {"
        "writeText: async (text) => { window.copied = text; } } });"
    )
    press(browser, "Copy link")
    copied = browser.run("return window.copied")
    assert copied.startswith(path.as_uri())
    browser.open(path, copied.partition("#")[2])
    state = browser.run("return npgpt.state")
    assert (state["view"], state["text"]) == ("attention", "The hen")


def settled(browser, seconds=0.6):
    """Wait until the view has not changed for some time: it measures by itself."""
    before, since = None, 0.0
    measuring = (
        "return [...document.querySelectorAll('#view button')].some((b) => b.innerText === 'in')"
    )
    while time.monotonic() - since < seconds or browser.run(measuring):
        now = browser.run("return document.getElementById('view').innerHTML")
        if now != before or "Computing" in now:
            before, since = now, time.monotonic()
        time.sleep(0.05)


@pytest.mark.parametrize("view", VIEWS)
def test_a_saved_picture_has_what_the_view_shows(browser, pages, tmp_path, view):
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)}
    )
    browser.open(pages["tales"][0], f"view={view}&text=One+dawn+shy")
    shown, end = None, time.monotonic() + 120
    while shown != browser.run("return document.getElementById('view').innerHTML"):
        assert time.monotonic() < end, "the view changed each time while it was saved"
        settled(browser)
        shown, found = browser.run("return document.getElementById('view').innerHTML"), []
        for path in tmp_path.glob("*.svg"):
            path.unlink()
        press(browser, "Save picture")
        while not any("</svg>" in path.read_text(encoding="utf-8") for path in found):
            assert time.monotonic() < end, "no picture was saved"
            time.sleep(0.05)
            found = list(tmp_path.glob("*.svg"))  # empty at first
    assert [path.name for path in found] == [f"tales-{view}.svg"]
    root = ElementTree.parse(found[0]).getroot()
    words = "".join("".join(root.itertext()).split())
    for text in (element.text for element in browser.driver.find_elements(
            "css selector", "section:not([hidden]) :is("
            "h2, p.about, td:not(:has(b)), th, [role=option])")):
        assert "".join(text.split()) in words, text
    images, pictures = root.findall(f"{SVG}image"), root.findall(f"{SVG}svg")
    assert [len(images), len(pictures)] == browser.run(
        "return ['canvas', 'svg'].map((tag) => [...document.querySelectorAll(tag)]"
        ".filter((element) => element.checkVisibility()).length)"
    )
    assert all(image.get("href").startswith("data:image/png;base64,") for image in images)
    assert browser.logs()[0] == []
