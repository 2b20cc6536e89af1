"""What a reader passes on: links, pictures; and the way back."""

import time
from xml.etree import ElementTree

import pytest
from look_page import PASTE, VIEWS, press, record_in, until

from npgpt.look.page import assemble

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
    copied, _, view = browser.run("return window.copied").partition("#")
    assert copied == address and browser.logs()[1] == [path.as_uri()]
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
    browser.run("npgpt.pass.weights = 1")
    press(browser, "Save to send")
    assert "What you taught the model is not in it" in browser.find(".top output").text
    until(browser, lambda: not browser.find(".top output").text)
    assert record_in(saved) == record_in(path) and browser.logs()[0] == []


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
