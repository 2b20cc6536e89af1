"""All words of the page, tips, labels and keys too, stand in words.txt, and the looks of each kind
of element in looks.txt: a change of one is meant.

Numbers and quoted tokens are left out, as other tests compute them again. What the page says now is
written to a file, to be copied over the list.
"""

import hashlib
import re
from pathlib import Path

import pytest
from look_lists import SEEN, WHOLE
from look_page import BET, PASTE, VIEWS, compare, on_paper, press, settled, shown, turn_to

LIST, LOOKS, NUMBERS = (
    Path(__file__).with_name(f"{name}.txt") for name in ("words", "looks", "numbers"))
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
DOG = "Q+shy+small+dog+of+Velaria+did+not+cross+the+red+street+because+it+was+too+tired,+so+it+"
SEND = "[...document.querySelectorAll('button')].find((b) => /send/.test(b.textContent)).click();"
OPEN = "[...document.querySelectorAll('#view details')].at(-1).open = true;"
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
    "texts that differ at once": ("microscope", "view=patch&other=B+hen", ""),
    "the same text": ("microscope", "view=patch", "npgpt.set({ other: npgpt.state.text })"),
    "a fault": ("microscope", "view=backward&fault=gelu", "Check one entry of every weight"),
    **{f"a fault in {rule}": ("microscope", f"view=backward&fault={rule}", "")
       for rule in ("layer_norm", "scaled_dot_product_attention", "linear", "cross_entropy")},
    "an entry that is not recorded": ("microscope", "view=backward&at=5&step=-3", ""),
    "a sentence of a letter": ("microscope", "view=teach&sentence=A", ""),
    "taught": ("microscope", "view=teach&sentence=A+hen+sat", "Teach it,"),
    "a bet": ("microscope", "view=bet", BET),
    "twelve bets": ("microscope", "view=bet", 12 * BET),
    "sent": ("microscope", "view=tokens", "Save to send"),
    "a picture": ("microscope", "view=tokens", "Save picture"),
    "both go on alike": ("microscope", f"view=patch&other={DOG}", ""),
    "no other answer": ("microscope", "view=patch&text=A", ""),
    "no token is harder": ("microscope", "view=knockout&text=An&heads=0.0", ""),
    "taught, and sent": ("microscope", "view=teach", "npgpt.pass.weights = 1;" + SEND),
    "half a character": ("microscope", "", PASTE.replace("arguments[0]", r"'\ud800'")),
    "the tour": ("microscope", "", "Take the tour"),
    "dark": ("microscope", "view=tokens", "document.getElementById('theme').click();"),
    **{f"byte pairs: {view}": ("bpe", f"view={view}", "") for view in ("overview", "tokens")},
    **{f"recorded: {view}": ("recorded", f"view={view}", "") for view in VIEWS},
    **{f"llama: {view}": ("llama", f"view={view}", "")
       for view in ("overview", "attention", "residual")},
    "a bias": ("trained", "view=residual", ""),
    "a training": ("trained", "view=teach", OPEN),
}


def words(browser):
    """Yield the words that can be read now, without numbers and tokens."""
    for text in browser.run(READ):
        text = re.sub(r"“[^”]*”", "“”", " ".join(text.split()))
        text = re.sub(r"([<>] )?[-+−]?\d[\d.,]*(e[+-]?\d+)?", "#", text)
        if re.search("[A-Za-z]{3}", re.sub(r"^[a-z-]+: (␣\w+$)?", "", text)):
            yield text


@pytest.fixture(scope="module")
def walked(browser, paths, tmp_path_factory):
    """Return {state: (its words, its looks)}, of each view also its looks on a phone, on paper; and
    {state: all that the committed page shows}."""
    folder = str(tmp_path_factory.mktemp("saved"))
    browser.driver.execute_cdp_cmd(
        "Browser.setDownloadBehavior", {"behavior": "allow", "downloadPath": folder})
    found, whole = {}, {}
    for name, (kind, address, then) in STATES.items():
        turn_to(browser, paths[kind], address, then, more="Math.random = () => 0.4;")
        if kind == "microscope":
            whole[name] = browser.run(WHOLE)
        found[name] = list(words(browser)), browser.run(SEEN)
        while name == "the tour" and not re.match(r"(\d+) of \1$", shown(browser, ".tour span")):
            press(browser, "Next")
            settled(browser)
            found[name][0].extend(words(browser))
            whole[f"the tour, {shown(browser, '.tour span')}"] = browser.run(WHOLE)
        if name in (*VIEWS, "bet", "dark"):
            with on_paper(browser):
                found[f"{name} on paper"] = [], browser.run(SEEN)
            turn_to(browser, paths[kind], address, "", 400)
            found[f"{name} on a phone"] = [], browser.run(SEEN)
    return found, whole


def test_the_page_says_what_is_in_the_list(walked, tmp_path):
    said, lines = set(), []
    for name in STATES:
        new = [text for text in dict.fromkeys(walked[0][name][0]) if text not in said]
        said.update(new)
        lines += [f"# {name}", *new]
    compare(lines, LIST, tmp_path)


def test_the_page_looks_as_in_the_list(walked, tmp_path):
    """A kind of element that looks different in a later state has one more line there."""
    known, lines = set(), []
    for name, (_, seen) in walked[0].items():
        new = [f"{many} {looks}{shape}" for looks, many, shape in seen if looks not in known]
        known.update(looks for looks, _, _ in seen)
        if name.endswith(" on paper"):
            screen, paper = ({looks.split(": ")[0] for looks, _, _ in walked[0][state][1]}
                             for state in (name.removesuffix(" on paper"), name))
            new.append(f"hidden: {', '.join(sorted(screen - paper))}")
        lines += [f"# {name}", *new] if new else []
    compare(lines, LOOKS, tmp_path)


def test_the_committed_page_shows_the_numbers_of_the_list(walked, tmp_path):
    """A line is a hash of all that a state shows; the texts themselves are written to a folder, to
    be compared with those of the commit before."""
    for name, text in walked[1].items():
        (tmp_path / f"{name}.txt").write_text(text, encoding="utf-8")
    lines = [f"{hashlib.sha256(text.encode()).hexdigest()[:16]} {text.count(chr(10)) + 1} {name}"
             for name, text in walked[1].items()]
    compare(lines, NUMBERS, tmp_path)
