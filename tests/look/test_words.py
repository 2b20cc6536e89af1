"""All words of the page, tips, labels and keys too, stand in words.txt: a change of one is meant.

Numbers and quoted tokens are left out, as other tests compute them again. What the page says now is
written to a file, to be copied over the list.
"""

import re
from pathlib import Path

import pytest
from look_page import PASTE, VIEWS, open_written, page_of, press, record_in, settled

from npgpt.look import page

MICROSCOPE = Path(__file__).parents[2] / "examples" / "microscope.html"
LIST = Path(__file__).with_name("words.txt")
READ = """
const blocks = "p, h1, h2, button, label, summary, th, td, option, output, text, title, a, b";
const found = [document.title];
for (const e of document.querySelectorAll("body, body *")) {
  if (e.closest("[hidden]") || e.matches("script, style, noscript, pre, .concept p")) continue;
  for (const name of ["title", "aria-label", "aria-valuetext", "href", "placeholder"])
    if (e.getAttribute(name)) found.push(`${name}: ${e.getAttribute(name)}`);
  if (e.control) found.push(`${e.textContent} of: ${e.control.tagName} ${e.control.id}`);
  const by = document.getElementById(e.getAttribute("aria-labelledby"));
  if (by) found.push(`labelled: ${e.id} by ${by.textContent}`);
  for (const name of ["aria-pressed", "aria-selected", "disabled"])
    if (e.matches(`button[${name}]:not([${name}=false])`)) found.push(`${name}: ${e.textContent}`);
  found.push(...(e.written ?? []).map(([text]) => `drawn: ${text}`));
  if (e.matches(".tokens *, .recital, .recital *") || e.parentElement.closest(blocks)) continue;
  const nodes = e.matches(blocks) ? [e] : [...e.childNodes].filter((node) => node.nodeType === 3);
  found.push(...nodes.map((node) => node.textContent));
}
return found;
"""
BET = ("document.querySelector('[aria-label=\"the next character\"]').value = '&';"
       "document.querySelector('section:not([hidden]) .begin').click();")
# For each: the page, the address, and the button to press or the script to run there.
STATES = {
    **{view: ("microscope", f"view={view}", "") for view in (*VIEWS, "bet")},
    "the first token": ("microscope", "view=overview&t=0", ""),
    "parts are out": ("microscope", "view=knockout&heads=0.1&mlps=2&positions=3,4", ""),
    "some likely tokens": ("microscope", "view=tokens&t=0&topK=3", ""),
    "no tale": ("microscope", "view=tokens&text=ooo", "Draw one token"),
    "an unknown mark": ("microscope", "view=tokens&text=A+hen+€", ""),
    "no text": ("microscope", "view=tokens", PASTE.replace("arguments[0]", "''")),
    "a later token": ("microscope", "view=attention&layer=1&head=0&t=9&s=20", ""),
    "texts of two lengths": ("microscope", "view=patch&other=A+hen", ""),
    "the same text": ("microscope", "view=patch", "npgpt.set({ other: npgpt.state.text })"),
    "a fault": ("microscope", "view=backward&fault=gelu", "Check one entry of every weight"),
    "an entry that is not recorded": ("microscope", "view=backward&at=5&step=-3", ""),
    "a sentence of a letter": ("microscope", "view=teach&sentence=A", ""),
    "taught": ("microscope", "view=teach&sentence=A+hen+sat", "Teach it,"),
    "a bet": ("microscope", "view=bet", BET),
    "twelve bets": ("microscope", "view=bet", 12 * BET),
    "sent": ("microscope", "view=tokens", "Save to send"),
    "a picture": ("microscope", "view=tokens", "Save picture"),
    "the tour": ("microscope", "", "Take the tour"),
    **{f"byte pairs: {view}": ("bpe", f"view={view}", "") for view in ("overview", "tokens")},
    **{f"recorded: {view}": ("recorded", f"view={view}", "") for view in VIEWS},
}


@pytest.fixture
def paths(subjects, pages, tmp_path, monkeypatch):
    """Return {page: its path}."""
    monkeypatch.setattr(page, "LIVE", 1)
    recorded, _ = page_of(subjects["bpe"], tmp_path, "Once a jolly king")
    microscope = tmp_path / "microscope.html"  # of the sources as they are now
    microscope.write_text(page.assemble(record_in(MICROSCOPE)), encoding="utf-8")
    return {"microscope": microscope, "bpe": pages["bpe"][0], "recorded": recorded}


def words(browser):
    """Yield the words that can be read now, without numbers and tokens."""
    for text in browser.run(READ):
        text = re.sub(r"“[^”]*”", "“”", " ".join(text.split()))
        text = re.sub(r"([<>] )?[-+−]?\d[\d.,]*(e[+-]?\d+)?", "#", text)
        if re.search("[A-Za-z]{3}", re.sub(r"^[a-z-]+: (␣\w+$)?", "", text)):
            yield text


def test_the_page_says_what_is_in_the_list(browser, paths, tmp_path):
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": str(tmp_path)})
    said, lines = set(), []
    for name, (kind, address, then) in STATES.items():
        open_written(browser, paths[kind], address, 1280)
        settled(browser)
        if ";" in then or "(" in then:
            browser.run(then)
        elif then:
            press(browser, then)
        settled(browser)
        new = [text for text in dict.fromkeys(words(browser)) if text not in said]
        said.update(new)
        lines += [f"# {name}", *new]
    found = tmp_path / "words.txt"
    found.write_text("\n".join(lines) + "\n", encoding="utf-8")
    listed = LIST.read_text(encoding="utf-8").splitlines()
    new, gone = ([f"{sign} {line}" for line in one if line not in other]
                 for sign, one, other in (("+", lines, listed), ("-", listed, lines)))
    assert lines == listed, "\n".join([f"if this is meant, copy {found} there:", *gone, *new])
