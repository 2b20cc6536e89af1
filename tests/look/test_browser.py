"""The page in a browser: its numbers are Python's, it requests nothing, and it is safe."""

import dataclasses
import itertools
import json
import math
import re

import numpy as np
import pytest
from changed_settings import changed
from hypothesis import given, settings
from hypothesis import strategies as st
from look_page import (
    BACKSPACE,
    BOX,
    HOSTILE,
    LEFT,
    PASTE,
    VIEWS,
    agrees,
    expected,
    facts,
    label,
    lively,
    losses,
    page_of,
    press,
    shown,
    softmax,
    stored,
    table,
    wait,
)

from autograd import Tensor, no_grad, scaled_dot_product_attention
from npgpt import tales
from npgpt.activations import activations
from npgpt.config import GPTConfig
from npgpt.data.conversations import ASSISTANT, END, USER, with_own_tokens
from npgpt.generate import window_start
from npgpt.gpt import GPT
from npgpt.loading import Loaded
from npgpt.look import page
from npgpt.models.llama import Llama, LlamaConfig
from npgpt.sampling import Sampling
from npgpt.tokenizers import BPETokenizer, CharTokenizer, WordTokenizer

FOUND = """
const { pass, model, likeliest } = npgpt, { trace, T, ids, note } = pass;
const at = (name) => trace.arrays.get(name), weights = [];
for (let l = 0; l < model.L; l++) {
  for (let h = 0; h < model.H; h++) {
    for (let t = 0; t < T; t++) {
      const row = (t * model.H + h) * trace.capacity;
      weights.push(...at(`h.${l}.attn`).slice(row, row + t + 1), ...new Array(T - t - 1).fill(0));
    }
  }
}
const lens = Array.from({ length: 2 * model.L + 1 }, (_, k) =>
  Array.from({ length: T }, (_, t) => likeliest(k, t, 3)));
const logits = Array.from(at("logits").slice(0, T * model.V));
return { ids, note, logits, weights, lens };
"""


def check_numbers(browser, model, tokenizer, text):
    found = browser.run(FOUND)
    ids_T = tokenizer.encode(text)
    ids_T = ids_T[window_start(len(ids_T), model.config.block_size) :]
    assert found["ids"] == ids_T.tolist() and not found["note"]
    logits_TV, weights, lens = expected(model, ids_T)
    assert np.abs(np.reshape(found["logits"], logits_TV.shape) - logits_TV).max() < 1e-10
    assert np.abs(np.reshape(found["weights"], weights.shape) - weights).max() < 1e-10
    for probs_TV, likeliest in zip(lens, found["lens"], strict=True):
        for probs_V, best in zip(probs_TV, likeliest, strict=True):
            v, p = np.array(best).T
            assert np.allclose(p, np.sort(probs_V)[::-1][:3], atol=1e-10)
            assert np.allclose(p, probs_V[v.astype(int)], atol=1e-10)


@pytest.mark.parametrize(("kind", "count"), [
    pytest.param("tales", 30, marks=pytest.mark.slow), ("bpe", 12), ("untied", 8),
])
def test_numbers_are_pythons_for_prompts_typed_as_a_person_types(
    browser, pages, subjects, kind, count
):
    path, _ = pages[kind]
    subject, model = subjects[kind], stored(subjects[kind])
    browser.open(path)
    box, rng = browser.find("#prompt"), np.random.default_rng(7)
    tale = tales.generate(3000, seed=int(rng.integers(1000)))
    letters = sorted(set(tale))
    for i in range(count):
        start, length = rng.integers(2000), rng.integers(2, 60 if i % 10 else 300)
        text = tale[start : start + length] if i % 2 else "".join(rng.choice(letters, length))
        press(browser, "Write your own")
        box.clear()
        cut = length // 2  # the middle comes last, after a slip of the hand
        box.send_keys(text[:cut], text[cut + 1 :], "e", BACKSPACE)
        box.send_keys(*[LEFT] * int(length - cut - 1), text[cut])
        check_numbers(browser, model, subject.tokenizer, text)
    assert browser.logs()[0] == []


def test_every_weight_arrives_as_it_was_stored(browser, subjects, tmp_path):
    model = GPT(subjects["untied"].model.config, seed=3)
    edges = [6e-8, -6e-8, 3e-5, 6.1e-5, 65504, -65504, 0, -0.0, 1, 1e-9]  # of float16
    model.wte.weight.data[0] = edges
    model.ln_f.bias.data[...] = np.array(edges) * 1e9
    subject = dataclasses.replace(subjects["untied"], model=model)
    for kind in ("fp16", "int8"):
        browser.open(page_of(subject, tmp_path, "The", kind)[0])
        for name, weight in stored(subject, kind).parameters().items():
            found = browser.run("return Array.from(npgpt.model.weights[arguments[0]])", name)
            assert found == weight.data.ravel().tolist(), name


@pytest.mark.slow
def test_nothing_is_asked_of_a_network_and_nothing_complained_of(browser, pages, subjects):
    for kind, (path, _) in pages.items():
        for view in VIEWS:
            for width in (320, 640, 1000, 2000):  # 320: of 640 pixels at 200 %
                browser.open(path, f"view={view}", width)
                browser.run(PASTE, "Once a red")
                wide = browser.run("return document.documentElement.scrollWidth")
                assert wide <= width, (kind, view)
                complaints, asked = browser.logs()
                assert complaints == [] and asked == [path.as_uri()], (kind, view)


@pytest.mark.slow
def test_texts_are_never_markup(browser, subjects, tmp_path):
    """A run's name, a prompt, samples, tokens and the address are shown as they are, or refused."""
    text = "".join(c for c in "".join(HOSTILE) if not "\ud800" <= c <= "\udfff")
    tokenizer = BPETokenizer.train(text * 3, 300)
    base = subjects["bpe"]
    config = dataclasses.replace(base.model.config, vocab_size=tokenizer.vocab_size)
    for hostile in HOSTILE:
        subject = Loaded(hostile, GPT(config), tokenizer, None)
        prompt = hostile.replace("\ud800", "") + " ab"
        path, _ = page_of(subject, tmp_path, prompt)
        for view in VIEWS:
            browser.open(path, f"view={view}")
            assert browser.run(
                "return [typeof hacked, document.querySelectorAll('img, svg[onload]').length,"
                "document.getElementById('pitch').textContent.includes(npgpt.record.name)]"
            ) == ["undefined", 0, True]
            assert browser.run("return npgpt.tokenizer.decode(npgpt.pass.ids)") in prompt
            assert browser.logs()[0] == []
        browser.run(PASTE.replace("arguments[0]", json.dumps(hostile)))  # escapes halves
        assert browser.logs()[0] == []


def test_a_text_that_cannot_be_read_is_explained_and_loses_nothing(browser, pages, subjects):
    """Nothing is drawn for it; the known characters are listed, and a button keeps only these."""
    browser.open(pages["tales"][0], "view=tokens")
    browser.run(PASTE, "One dawn")
    before, known = browser.run("return npgpt.pass.ids"), browser.find("#known")
    for text, says in (("", "text"), ("One \u202e", "U+202E"), ("One! day# 7", "U+0021")):
        browser.run(PASTE, text)
        press(browser, "Draw one token")
        assert says in browser.find("#note").text
        assert browser.run("return npgpt.pass.ids") == before
        assert browser.run(f"return {BOX}.value") == browser.run("return npgpt.state.text") == text
    characters = subjects["tales"].tokenizer.characters
    listed = known.text.split("It knows: ")[1].split(" ")
    assert listed == [{" ": "␣", "\n": "⏎"}.get(c, c) for c in characters]
    press(browser, "Leave out")
    assert browser.run(f"return {BOX}.value") == "One day "
    assert facts(browser.find("#note").text) == ["8"] and not known.is_displayed()


@pytest.mark.parametrize("kind", ["char", "bpe"])
def test_the_roles_of_a_conversation_are_tokens_in_the_page_too(browser, subjects, tmp_path, kind):
    plain = subjects["bpe"].tokenizer if kind == "bpe" else CharTokenizer.train("Who? A shy hen.")
    tokenizer = with_own_tokens(plain)
    model = GPT(GPTConfig(tokenizer.vocab_size, 32, n_layer=1, n_head=2, n_embd=8), seed=0)
    subject = Loaded("talk", model, tokenizer, None)
    assert page.default_prompt(subject, None).startswith(USER)
    prompt = f"{USER}Who?{ASSISTANT}A hen.{END}"
    browser.open(page_of(subject, tmp_path, prompt)[0], "view=tokens")
    ids = tokenizer.encode(prompt, allowed_special="all").tolist()
    assert browser.run("return npgpt.pass.ids") == ids
    roles = browser.driver.find_elements("css selector", "section .role")
    assert [each.text for each in roles] == [USER, ASSISTANT, END]
    browser.run(PASTE, f"{USER}hen!")
    assert ("U+0021" in browser.find("#note").text) == (kind == "char")
    assert browser.logs()[0] == []


@pytest.mark.parametrize("kind", ["gpt2", None, "words"])
def test_tokens_are_those_of_the_tokenizer_and_numbers_pythons(browser, subjects, tmp_path, kind):
    text = tales.generate(9000, seed=1)
    more = [*"½²_1é \n", "'s", "'LL", "'ſabab", "\r\n", "\x85", "\ufeff", "\x1c", "12345", "東京"]
    if kind == "words":
        tokenizer = WordTokenizer.train([text], "".join(sorted({*text, *"".join(more)})))
        more += tokenizer.words
        drawn = st.sampled_from(more)
    else:
        tokenizer = BPETokenizer.train(text + " It's 1234 don't" + "".join(more) * 9, 400,
                                       pattern=kind)
        some = st.text(st.characters(codec="utf-8", max_codepoint=0x2FFF), max_size=12)
        drawn = st.sampled_from(more) | some
    config = dataclasses.replace(subjects["bpe"].model.config, vocab_size=tokenizer.vocab_size)
    subject = Loaded("tokens", lively(config), tokenizer, None)
    prompt = text[:60] + " Rxqel of"
    browser.open(page_of(subject, tmp_path, prompt)[0])
    check_numbers(browser, stored(subject), tokenizer, prompt)

    @settings(max_examples=40)
    @given(st.lists(st.lists(drawn, max_size=8).map("".join), min_size=20, max_size=20))
    def check(texts):
        found = browser.run("return arguments[0].map((t) => npgpt.tokenizer.encode(t))", texts)
        assert found == [tokenizer.encode(each).tolist() for each in texts]
        back = browser.run("return arguments[0].map((ids) => npgpt.tokenizer.decode(ids))", found)
        assert back == texts

    check()


def test_the_grammars_odds_of_words_are_exact(browser, subjects, tmp_path):
    """By the chain rule, after an earlier story, with the names that are spelled in letters."""
    text = tales.generate(9000, seed=1)
    tokenizer = WordTokenizer.train([text], "".join(sorted({*text, *tales.generate(99_000)})))
    model = GPT(GPTConfig(tokenizer.vocab_size, 512, n_layer=1, n_head=2, n_embd=8), seed=0)
    subject = Loaded("words", model, tokenizer, subjects["tales"].run)
    path, record = page_of(subject, tmp_path, text[:60])
    assert record["grammar"]
    browser.open(path)
    stories = tales.stories(tales.generate(9000, seed=9))
    for first, second in itertools.pairwise(stories[:12]):
        browser.run(PASTE, first + second)
        tokens = tokenizer.token_texts(tokenizer.encode(first + second))
        odds = browser.run("return npgpt.pass.grammar.map((m) => [...m])")
        assert all(math.isclose(sum(p for _, p in each), 1) for each in odds)
        start = len(tokenizer.encode(first))
        assert len(odds) == len(tokens) and len(second) - len(tokens[start:]) > 9
        nats = sum(math.log(dict(odds[t - 1])[tokens[t]]) for t in range(start, len(tokens)))
        assert math.isclose(nats, tales.log_probability(second), rel_tol=1e-9)


def test_the_grammars_distribution_is_exact(browser, pages):
    """By the chain rule, conditional probabilities multiply to the story's probability."""
    browser.open(pages["tales"][0])
    text = tales.generate(6000, seed=9)
    for story, before in itertools.product(tales.stories(text), ("", "\n\n")):
        found = browser.run(
            "return npgpt.nextCharacters(npgpt.record.grammar, arguments[0]).map((m) => [...m])",
            before + story,
        )
        nats = 0.0
        for character, options in zip(story, found[len(before) :], strict=False):
            assert math.isclose(sum(p for _, p in options), 1)
            nats += math.log(dict(options)[character])
        assert math.isclose(nats, tales.log_probability(story), rel_tol=1e-9)


def test_what_is_drawn_from_is_what_the_sampler_draws_from(browser, pages):
    browser.open(pages["untied"][0])
    rng = np.random.default_rng(2)
    cases = [
        (rng.normal(size=9).round(1).tolist(), float(t), int(k), float(p))
        for t in (0, 0.3, 1, 2) for k in (1, 4, 9) for p in (0.05, 0.5, 0.8, 1)
    ]
    cases.append((np.log([0.5, 0.3, 0.2]).tolist(), 1.0, 3, 0.8))
    found = browser.run(
        "return arguments[0].map(([z, temperature, topK, topP]) =>"
        "Array.from(npgpt.probabilities(z, { temperature, topK, topP })))",
        cases,
    )
    for (logits, temperature, k, p), probs in zip(cases, found, strict=True):
        assert np.allclose(probs, Sampling(temperature, k, p).probabilities(logits), atol=1e-12)


def test_drawn_tokens_follow_from_the_seed(browser, pages):
    found = []
    for seed in (1, 1, 2):
        browser.open(pages["tales"][0], f"view=tokens&text=One+dawn&seed={seed}")
        for _ in range(6):
            press(browser, "Draw one token")
        found.append(browser.run("return npgpt.state.text"))
    assert found[0] == found[1] != found[2] and len(found[0]) == len("One dawn") + 6


def test_a_hidden_position_is_a_masked_key_in_python(browser, pages, subjects):
    hidden, ids_T = stored(subjects["bpe"]), subjects["bpe"].tokenizer.encode("Once a jolly king")
    bias = np.zeros((1, 6, len(ids_T), len(ids_T)))
    bias[..., 2] = -np.inf
    bias[:, :, 2, 2] = 0
    x = hidden.wte(ids_T[None]) + hidden.wpe(np.arange(len(ids_T)))
    for block in hidden.h:
        heads = block.attn.heads(block.ln_1(x))
        y = scaled_dot_product_attention(*heads, Tensor(bias), causal=True)
        x = x + block.attn.c_proj(y.swapaxes(1, 2).reshape(x.shape))
        x = x + block.mlp(block.ln_2(x))
    loss = hidden.head_loss(hidden.ln_f(x)[:, :-1], ids_T[None, 1:]).item()
    browser.open(pages["bpe"][0], "view=knockout&positions=2&text=Once+a+jolly+king")
    assert f"{loss:.4f} now" in browser.find("section [aria-live]").text
    browser.run("npgpt.set({ heads: '0.1', mlps: '1' })")
    press(browser, "Put everything back")
    assert facts(browser.find("section [aria-live]").text) == []


@pytest.mark.parametrize("kind", [GPT, Llama])
def test_a_recorded_pass_shows_its_numbers_with_shared_heads_too(
    browser, subjects, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(page, "LIVE", 1)
    subject = subjects["bpe"]
    tokenizer, serves = subject.tokenizer, 1
    if kind is Llama:
        config = LlamaConfig(tokenizer.vocab_size, 32, 2, 6, 24, n_kv_head=2, n_inner=40)
        subject, serves = dataclasses.replace(subject, model=lively(config, kind=Llama)), 3
    path, record = page_of(subject, tmp_path, "Once a jolly king")
    for view in VIEWS:
        browser.open(path, f"view={view}")
        assert not re.search("NaN|undefined", shown(browser)), view
        assert browser.find("#prompt").get_attribute("readonly") and browser.logs()[0] == []
    seen = activations(subject.model, np.array([record["ids"]]))
    weights = seen.weights_LBHTT[:, 0]
    found = browser.run(FOUND.replace('at("logits").slice(0, T * model.V)', "[]"))
    assert np.abs(np.reshape(found["weights"], weights.shape) - weights).max() < 0.02  # float16
    browser.open(path, "view=attention&layer=1&head=4&t=9&s=3")
    browser.find("section > details > summary").click()
    wait(browser, "[aria-label='queries and keys']")
    assert serves == 1 or " 3 heads of queries" in shown(browser)
    browser.open(path, "view=residual&t=9")
    stream = seen.stream_PBTC[:, 0, 9]
    added = np.diff(stream, axis=0, prepend=0)
    with no_grad():
        lens = softmax(subject.model.head(subject.model.ln_f(Tensor(stream))).data)
    rows = table(browser, "the stream at the chosen token")[1:]
    for row, x, branch, probs_V in zip(rows, stream, added, lens, strict=False):
        assert agrees(row[1], np.linalg.norm(branch)) and agrees(row[2], np.linalg.norm(x))
        assert row[3].startswith(f"{label(tokenizer, probs_V.argmax())} ")
        assert agrees(row[3].split()[1] + " %", probs_V.max())


GRADIENTS = """
const { pass, model, gradients } = npgpt;
const { grads } = gradients(model, pass.trace, [...pass.ids.slice(1), -1]);
return Object.fromEntries(Object.entries(grads).map(([name, d]) => [name, [...d]]));
"""


@pytest.mark.parametrize("live", [True, False], ids=["live", "recorded"])
@pytest.mark.parametrize(
    "name", [f.name for f in dataclasses.fields(GPTConfig) if f.default is not dataclasses.MISSING]
)
def test_a_page_is_the_model_with_each_setting_or_refuses_it(
    browser, subjects, tmp_path, monkeypatch, name, live
):
    monkeypatch.setattr(page, "LIVE", 4_000_000 if live else 1)
    config, text = changed(subjects["bpe"].model.config, name), "Once a jolly king"
    subject = dataclasses.replace(subjects["bpe"], model=lively(config))
    try:
        path, record = page_of(subject, tmp_path, text)
    except ValueError as refused:
        assert f"the setting {name}=" in str(refused)
        return
    model, ids_T = stored(subject, "fp16" if live else None), np.array(record["ids"])
    message = f"npgpt/look/page shows a different model with {name}, which SHOWN of page.py has"
    browser.open(path)
    if not live:
        given = np.exp(-losses(expected(model, ids_T)[0], ids_T))
        assert np.allclose(record["pass"]["given"], given, atol=1e-4), message
        return
    check_numbers(browser, model, subject.tokenizer, text)
    model.loss(ids_T[None, :-1], ids_T[None, 1:]).backward()
    found = browser.run(GRADIENTS)
    for weight_name, weight in model.parameters().items():
        assert np.allclose(found[weight_name], weight.grad.ravel(), atol=1e-8), message
