"""What the tests of the microscope's page share: the numbers of Python, and those that it shows."""

import json
import math
import re
import time
import unicodedata
from contextlib import contextmanager
from importlib.resources import files
from itertools import zip_longest
from urllib.parse import quote

import numpy as np

from autograd import Tensor, no_grad
from npgpt import tales
from npgpt.gpt import GPT
from npgpt.look.packing import pack
from npgpt.look.page import assemble, make_page
from npgpt.tokenizers import WordTokenizer

VIEWS = (
    "overview", "teach", "patch", "knockout", "tokens", "attention", "residual", "backward",
)
BOX = "document.getElementById('prompt')"
# Keys, as selenium names them.
BACKSPACE, TAB, ENTER, ESCAPE, END, HOME, LEFT, UP, RIGHT, DOWN = (
    chr(0xE000 + key) for key in (3, 4, 7, 0xC, 0x10, 0x11, 0x12, 0x13, 0x14, 0x15)
)
# Sets the text at once, as pasting does.
PASTE = f"{BOX}.value = arguments[0]; {BOX}.dispatchEvent(new Event('input'));"


def lively(config, seed=0, kind=GPT):
    """Return a model in which each weight, bias and gain matters, and nothing is certain."""
    model, rng = kind(config, seed=seed), np.random.default_rng(seed)
    for name, weight in model.parameters().items():
        size = {"wpe.weight": 0.5, "wte.weight": 2 / config.n_embd**0.5}.get(name)
        size = size or (1.0 / weight.shape[0] ** 0.5 if weight.ndim == 2 else 0.3)
        drawn = rng.standard_normal(weight.shape) * size
        weight.data[...] = drawn + (weight.ndim == 1 and name.endswith("weight"))
    return model


def stored(subject, kind="fp16"):
    """Return the float64 model that a page of these weights holds; with None, the subject's own."""
    weights = {name: weight.data for name, weight in subject.model.parameters().items()}
    model = GPT(subject.model.config, dtype=np.float64)
    for name, array in (pack(weights, kind)[1] if kind else weights).items():
        model.parameters()[name].data[...] = array
    return model.eval()


def record_in(path):
    """Return the record in the file of a page."""
    found = re.search('id="record">(.*?)</script>', path.read_text(encoding="utf-8"), re.S)
    return json.loads(found[1])


def softmax(x):
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def losses(logits_TV, ids_T):
    """Return the nats that each position gives the token after it."""
    return -np.log(softmax(logits_TV[:-1])[np.arange(len(ids_T) - 1), ids_T[1:]])


def forward(model, ids_T):
    """Return the stream after each branch, (2 L + 1, T, C), the queries, keys and values of each
    block, (L, 3, H, T, D), and the attention weights, (L, H, T, T)."""
    with no_grad():
        x = model.wte(ids_T[None]) + model.wpe(np.arange(len(ids_T)))
        stream, qkv, weights = [x], [], []
        for block in model.h:
            heads = block.attn.heads(block.ln_1(x))
            q, k, _ = qkv.append([part.data[0] for part in heads]) or qkv[-1]
            scores = q @ k.swapaxes(1, 2) / math.sqrt(q.shape[2])
            scores[:, ~np.tri(len(ids_T), dtype=bool)] = -np.inf
            weights.append(softmax(scores))
            x = x + block.attn(block.ln_1(x))
            stream += [x, x := x + block.mlp(block.ln_2(x))]
        return np.array([x.data[0] for x in stream]), np.array(qkv), np.array(weights)


def expected(model, ids_T):
    """Return logits (T, V), attention (L, H, T, T), and the lens (2 L + 1, T, V)."""
    stream, _, weights = forward(model, ids_T)
    with no_grad():
        lens = [softmax(model.head(model.ln_f(type(model.wte.weight)(x))).data) for x in stream]
        return model(ids_T[None])[0].data[0], weights, np.array(lens)


def far_reads(weights_LHTT, readers, back=8):
    """Return (weight, layer, head, t, s) of the largest weight so many tokens back or more."""
    L, H, T, _ = weights_LHTT.shape
    t, s = np.indices((T, T))
    far = (t - s >= back) & (s > 0) & np.isin(t, readers)
    at = np.unravel_index(np.where(far, weights_LHTT, 0).argmax(), (L, H, T, T))
    return (weights_LHTT[at], *at) if far.any() else (0, 0, 0, 0, 0)


def continued(model, x, k):
    """Return the logits of a stream (T, C) after k branches."""
    with no_grad():
        x = Tensor(x[None])
        for i, block in enumerate(model.h):
            if k <= 2 * i:
                x = x + block.attn(block.ln_1(x))
            if k <= 2 * i + 1:
                x = x + block.mlp(block.ln_2(x))
        return model.head(model.ln_f(x)).data[0]


def until(browser, condition, seconds=30):
    """Return the first true value of condition(); raise an error when the time is over."""
    from selenium.common.exceptions import NoSuchElementException, StaleElementReferenceException
    from selenium.webdriver.support.ui import WebDriverWait

    missing = (NoSuchElementException, StaleElementReferenceException)  # as the page draws anew
    waiting = WebDriverWait(browser.driver, seconds, ignored_exceptions=missing)
    return waiting.until(lambda driver: condition())


def wait(browser, css, seconds=30):
    """Return the first element of a CSS selector, when there is one."""
    return until(browser, lambda: browser.find(css), seconds)


@contextmanager
def media(browser, name, value):
    """Show pages as for a reader with this feature of CSS media queries."""
    command = "Emulation.setEmulatedMedia"
    browser.driver.execute_cdp_cmd(command, {"features": [{"name": name, "value": value}]})
    yield
    browser.driver.execute_cdp_cmd(command, {"features": []})


@contextmanager
def on_paper(browser):
    """Show a page as it is printed; afterwards it has its theme again."""
    command, theme = "Emulation.setEmulatedMedia", "return document.documentElement.dataset.theme"
    before = browser.run(theme)
    browser.driver.execute_cdp_cmd(command, {"media": "print"})
    try:
        browser.run("window.onbeforeprint?.()")
        yield
        browser.run("window.onafterprint?.()")
        assert browser.run(theme) == before
    finally:
        browser.driver.execute_cdp_cmd(command, {"media": ""})


def mouse(browser, css, x, y, what="click"):
    """Send an event of the mouse to an element, at a point from its upper left corner."""
    browser.run(
        "const [css, x, y, what] = arguments, element = document.querySelector(css);"
        "const { left, top } = element.getBoundingClientRect(), at = { clientX: left + x,"
        " clientY: top + y }; element.dispatchEvent(new MouseEvent(what, at))", css, x, y, what)


def enter(browser, css, value):
    """Set an input, as a slider that is drawn."""
    browser.run("const input = document.querySelector(arguments[0]); input.value = arguments[1];"
                "input.dispatchEvent(new Event('input'))", css, value)


def page_of(subject, folder, prompt=None, kind="fp16", **changes):
    """Write a page with changes in its record; return (its path, the record)."""
    _, record = make_page(subject, prompt, kind)
    path = folder / "page.html"
    path.write_text(assemble(record | changes), encoding="utf-8")
    return path, record | changes


def changed_address(browser):
    """Return the address, when it has caught up with the state."""
    return browser.driver.execute_async_script(
        "const done = arguments[0]; setTimeout(() => done(location.hash), 400);"
    )


def settled(browser, looks=6):
    """Wait until the view is the same in so many looks at it: it measures by itself."""
    before, same = None, 0
    measuring = (
        "return Boolean(document.querySelector('#view button[aria-label^=\"in, \"]'))"
        "|| [1, 2, 3].includes(document.querySelectorAll('[aria-label=answers] tr').length)"
        "|| document.getAnimations().length > 0"
    )
    while same < looks or browser.run(measuring):
        now = browser.run("return document.getElementById('view').innerHTML")
        same = same + 1 if now == before and "Computing" not in now else 0
        before = now
        time.sleep(0.05)


def press(browser, words):
    def pressed():
        buttons = browser.driver.find_elements("css selector", "button")
        return [next(b for b in buttons if words in b.text and b.is_displayed()).click()]

    until(browser, pressed)


# ---- what a reader sees

TALE, PAIRS = tales.stories(tales.generate(2000, seed=4))[0][:40], "Once a jolly king"
STYLE = (files("npgpt.look") / "page" / "style.css").read_text(encoding="utf-8")
# The colours of the light theme.
PAPER, STRONG, LESS, MORE = (
    np.array([int(re.search(rf"--{name}: light-dark\(#(\w+)", STYLE)[1][i : i + 2], 16)
              for i in (0, 2, 4)])
    for name in ("paper", "strong", "less", "more")
)
HOSTILE = (
    "</script><script>hacked = 1</script>", "<!--<script>", "]]>", '"\'`${hacked = 1}', "a\0b",
    "<img src=x onerror='hacked = 1'>", "\ud800x", "\u202eabc\u2066", "\u2028\u2029",
    "👩‍🚀é\U0010ffff", "&lt;&amp;", "{{policy}}", "\\u003c", "\r\n", '"><svg onload=hacked=1>',
)
NUMBER = r"-?\d[\d.]*(?:e[+-]?\d+)?"

# Each canvas's texts since it was last resized: [text, x, y, width, colour, colour behind].
WRITTEN = """
const { fillText, scale } = CanvasRenderingContext2D.prototype;
CanvasRenderingContext2D.prototype.scale = function (...by) {
  this.canvas.written = [];
  return scale.apply(this, by);
};
CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...more) {
  const behind = [...this.getImageData(x - 1, y, 1, 1).data];
  const width = this.measureText(text).width;
  this.canvas.written.push([text, x, y, width, this.fillStyle, behind, this.textAlign]);
  return fillText.call(this, text, x, y, ...more);
};
"""


def open_written(browser, path, address, width):
    """Open a page whose canvases keep their texts in `written`."""
    add = "Page.addScriptToEvaluateOnNewDocument"
    key = browser.driver.execute_cdp_cmd(add, {"source": WRITTEN})
    browser.open(path, address, width)
    browser.driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", key)


def canvas_texts(browser, css):
    return browser.run("return document.querySelector(arguments[0]).written", css)


def table(browser, label):
    """Return the texts of a table's cells, row by row, the head first."""
    return browser.run(
        "return [...document.querySelectorAll(`section:not([hidden]) table[aria-label='${"
        "arguments[0]}'] tr`)].map((row) => [...row.cells].map((cell) => cell.innerText.trim()))",
        label,
    )


def strip(browser, label):
    """Return (text, title) of each token of a strip."""
    return browser.run(
        "return [...document.querySelectorAll(`[aria-label^='${arguments[0]}'] [role=option]`)]"
        ".filter((e) => e.checkVisibility()).map((e) => [e.textContent, e.title])", label)


def shown(browser, css="section:not([hidden])"):
    return until(browser, lambda: [browser.find(css).text])[0]


def mixed(to, share):
    return np.round(PAPER + (to - PAPER) * min(1, share))


def same_colour(found, to, share):
    return np.abs(np.array(found[:3], float) - mixed(to, share)).max() <= 1


def knocked_out(subject, head=None, mlp=None):
    model = stored(subject)
    D = model.config.n_embd // model.config.n_head
    if head:
        model.h[head[0]].attn.c_proj.weight.data[head[1] * D : head[1] * D + D] = 0
    if mlp is not None:
        for weight in model.h[mlp].mlp.c_proj.parameters().values():
            weight.data[...] = 0
    return model


def agrees(text, value):
    """Return whether a number or a percentage is that value, to its own precision."""
    text = text.replace("−", "-")
    if "%" not in text and text != "0":
        return math.isclose(float(text), value, rel_tol=6e-3, abs_tol=1e-9)
    if text.startswith("<"):
        return text == "< 0.1 %" and 0 < value < 0.0005
    if text.startswith(">"):
        return text == "> 99.9 %" and 0.9995 < value < 1
    if text.startswith("100"):
        return math.isclose(value, 1, rel_tol=1e-12)
    digits = text.rstrip(" %")
    step = 0.0051 if "." not in digits else 0.00051
    return abs(float(digits) / 100 - value) <= step and (text != "0" or value == 0)


def facts(sentence):
    """Return the words in quotes, without these, and the numbers and shares of a sentence."""
    number = r"(?:[<>] )?−?-?\d+(?:,\d{3})*(?:\.\d+)?(?:e[+-]?\d+)?(?: %)?"
    return [fact.strip("“”") for fact in re.findall(f"“[^”]*”|{number}", sentence)]


def differ(found, wanted):
    """Return pairs of facts and what Python has, words, whole numbers or floats, that differ."""
    return [(fact, value) for fact, value in zip_longest(found, wanted) if fact is None or not (
        agrees(fact, value) if isinstance(value, float) else fact == str(value))]


def word_around(labels, s):
    """Return the word that has a letter, or ""."""
    text, at = "".join(labels), len("".join(labels[: s + 1])) - 1
    return next((m[0] for m in re.finditer(r"[^\W\d_]+", text) if m.start() <= at < m.end()), "")


def opened(browser, pages, subjects, kind, address, text):
    """Open a page; return (the model of its weights, the text's ids, their labels)."""
    open_written(browser, pages[kind][0], f"{address}&text={quote(text)}", 1280)
    tokenizer = subjects[kind].tokenizer
    ids_T = tokenizer.encode(text)
    return stored(subjects[kind]), ids_T, [label(tokenizer, v) for v in ids_T]


def pixel(browser, css, x, y):
    return browser.run(
        "const [css, x, y] = arguments, canvas = document.querySelectorAll(css)[0];"
        "return [...canvas.getContext('2d').getImageData(x, y, 1, 1).data]", css, x, y,
    )


CHART = """
const root = document.querySelector(`svg[aria-label='${arguments[0]}']`);
const texts = (css) => [...root.querySelectorAll(css)].map((e) =>
  [e.textContent, +e.getAttribute("x"), +e.getAttribute("y"), e.getBBox().y, e.getBBox().height]);
return { x: texts("text[text-anchor=middle]"), y: texts("text[text-anchor=end]:not(.name)"),
  names: texts(".name"), width: root.getBoundingClientRect().width,
  fits: root.parentElement.scrollWidth <= root.parentElement.clientWidth,
  lines: [...root.querySelectorAll("polyline")].map((e) => [e.getAttribute("class"),
    e.getAttribute("points").split(" ").map((p) => p.split(",").map(Number))]) };
"""


def scale(ticks, at):
    """Return the function from a position to its value by the ticks of a logarithmic axis."""
    (low, first), (high, last) = [
        (float(tick[0].replace(",", "")), at(tick)) for tick in (ticks[0], ticks[-1])]
    return lambda p: low * (high / low) ** ((p - first) / (last - first))


def label(tokenizer, v):
    """Return a token as the page shows it."""
    text, token = tokenizer.decode([v]), tokenizer.tokens[v]
    if "\ufffd" in text:
        return f"<{token.hex(' ')}>"
    if isinstance(tokenizer, WordTokenizer) and len(text) > 1:
        return text.lstrip()
    shapes = {" ": "␣", "\n": "⏎"}
    return "".join(
        f"\\u{{{ord(c):x}}}" if unicodedata.category(c)[0] in "CZ" else c
        for c in (shapes.get(c, c) for c in text)
    )


# Another choice for each field of an address.
CHOICES = {
    "text": "One dawn a cat", "kept": 1, "view": "tokens", "t": 5, "s": 1, "layer": 1, "head": 1,
    "heads": "1.0", "mlps": "0", "positions": "2", "temperature": 0.5, "topK": 3, "topP": 0.5,
    "seed": 2, "weight": "h.0.mlp.c_fc.weight", "at": 3, "fault": "gelu",
    "other": "One dawn a shy owl", "point": 2, "alpha": 2, "rate": -2,
    "sentence": "A cat",
}
