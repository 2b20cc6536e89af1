"""The book: each link of its pages leads somewhere, each formula is MathML, and in a browser its
views show what Python computes, without a request."""

import colorsys
import hashlib
import json
import re
import sys
import xml.dom.minidom
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from look_page import losses, stored
from tiny_run import files

pytest.importorskip("latex2mathml", reason="of the extra 'book'")
pytest.importorskip("mdit_py_plugins", reason="of the extra 'book'")

from npgpt import cli, plots
from npgpt.book.pages import LIST, Book, coloured, guesses, make_book, write_book
from npgpt.cli import book as command
from npgpt.look.page import view_titles

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def book(pages):
    return make_book(pages["tales"][0].read_text(encoding="utf-8"), view_titles())


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
                    and f"<title>{title}</title>" in page)
        assert bool(named) == ("<iframe" in book[name]), title
    bets = re.findall(r'microscope.html#view=(\w+)', book["what-is-a-language-model.html"])
    assert bets == ["bet", "tokens"]


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


def test_what_follows_a_guess_is_closed_and_query_key_value_have_colours(book):
    page = book["why-these-choices.html"]
    assert re.search(r"<details class=\"guess\"><summary><strong>Guess first.*?</summary>\s*<p><img"
                     r"[^>]*12_rows.*?</details>", page, re.S)
    assert guesses("<p>Guess</p><p>x</p>") == "<p>Guess</p><p>x</p>"
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


def test_the_book_is_written_and_written_again_but_nothing_else_is_replaced(
    tmp_path, monkeypatch, subjects, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "open_subject", lambda _: subjects["untied"])
    for _ in range(2):
        assert cli.main(["book", "any"]) == 0
    assert (tmp_path / "book" / "index.html").is_file() and "MB" in capsys.readouterr().out
    own = tmp_path / "mine"
    own.mkdir()
    (own / "index.html").write_text("my page", encoding="utf-8")
    assert cli.main(["book", "any", "--out", "mine"]) == 1
    assert "--out" in capsys.readouterr().err
    assert [path.name for path in own.iterdir()] == ["index.html"]


def test_files_of_an_older_book_go_and_all_others_stay(tmp_path):
    older = {"index.html": "a", "old.html": "b", "code/old.html": "c", "changed.html": "d",
             "files/mine.png": "e", "a link.html": "f"}
    write_book(tmp_path, older)
    (tmp_path / "changed.html").write_text("my notes", encoding="utf-8")
    (tmp_path / "files" / "mine.png").write_bytes(b"mine")
    (tmp_path / "copy of old.html").write_text("b", encoding="utf-8")
    outside = tmp_path.parent / "outside.html"
    outside.write_text("f", encoding="utf-8")
    (tmp_path / "a link.html").unlink()
    (tmp_path / "a link.html").symlink_to(outside)
    mine = ["changed.html", "copy of old.html", "files/mine.png", "index.html", LIST]
    with pytest.raises(ValueError, match="leads out of its folder"):
        write_book(tmp_path, {"index.html": "new"})
    (tmp_path / "a link.html").unlink()
    assert write_book(tmp_path, {"index.html": "n\u00e4u"}) == 4
    assert sorted(files(tmp_path)) == sorted(mine) and outside.exists()
    assert json.loads((tmp_path / LIST).read_text(encoding="utf-8")).keys() == {"index.html"}
    listed = json.dumps({"../outside.html": hashlib.sha256(b"f").hexdigest()})
    (tmp_path / LIST).write_text(listed, encoding="utf-8")
    with pytest.raises(ValueError, match="leads out of its folder"):
        write_book(tmp_path, {"index.html": "new"})
    assert outside.exists()


def test_without_a_clone_or_the_extra_it_says_what_to_do(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match="pip install -e"):
        Book(tmp_path, {})
    monkeypatch.setitem(sys.modules, "latex2mathml.converter", None)
    with pytest.raises(ImportError, match=r"pip install -e '\.\[book\]'"):
        Book(ROOT, {})


# ---- in a browser


@pytest.mark.slow
def test_every_page_opens_without_an_error_or_a_request_and_its_views_are_right(
    book, subjects, browser, tmp_path
):
    for name, content in book.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    driver, model = browser.driver, stored(subjects["tales"], "fp16")
    for name in sorted(name for name in book if name.endswith(".html") and "/" not in name):
        for width in (400, 1280):
            browser.open(tmp_path / name, width=width)
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
