"""What the tests of the microscope's page share: the numbers that Python computes for it."""

import math
import unicodedata

import numpy as np

from autograd import no_grad
from npgpt.gpt import GPT
from npgpt.look.weights import pack

VIEWS = (
    "overview", "tokens", "attention", "residual", "knockout", "embeddings", "backward", "training"
)
BOX = "document.getElementById('prompt')"
# Sets the text at once, as pasting does.
PASTE = f"{BOX}.value = arguments[0]; {BOX}.dispatchEvent(new Event('input'));"

NUMBER = r"-?\d[\d.]*(?:e[+-]?\d+)?"


def stored(subject, kind="fp16"):
    """Return the float64 model that a page of these weights holds; with None, the subject's own."""
    weights = {name: weight.data for name, weight in subject.model.parameters().items()}
    model = GPT(subject.model.config, dtype=np.float64)
    for name, array in (pack(weights, kind)[1] if kind else weights).items():
        model.parameters()[name].data[...] = array
    return model.eval()


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


def until(browser, condition, seconds=30):
    """Return the first true value of condition(); raise an error when the time is over."""
    from selenium.webdriver.support.ui import WebDriverWait

    return WebDriverWait(browser.driver, seconds).until(lambda driver: condition())


def wait(browser, css, seconds=30):
    """Return the first element of a CSS selector, when there is one."""
    from selenium.common.exceptions import NoSuchElementException

    def found():
        try:
            return browser.find(css)
        except NoSuchElementException:
            return None

    return until(browser, found, seconds)


def press(browser, words):
    buttons = browser.driver.find_elements("css selector", "button")
    next(b for b in buttons if words in b.text and b.is_displayed()).click()


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
        return 0 < value < 0.0005
    if text.startswith(">"):
        return 0.9995 < value < 1
    if text.startswith("100"):
        return math.isclose(value, 1, rel_tol=1e-12)
    digits = text.rstrip(" %")
    step = 0.0051 if "." not in digits else 0.00051
    return abs(float(digits) / 100 - value) <= step and (text != "0" or value == 0)


def label(tokenizer, v):
    """Return a token as the page shows it."""
    text, token = tokenizer.decode([v]), tokenizer.tokens[v]
    if "\ufffd" in text:
        return f"<{token.hex(' ')}>"
    shapes = {" ": "␣", "\n": "⏎"}
    return "".join(
        f"\\u{{{ord(c):x}}}" if unicodedata.category(c)[0] in "CZ" else c
        for c in (shapes.get(c, c) for c in text)
    )
