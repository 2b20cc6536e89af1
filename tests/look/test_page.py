"""The file: its texts, its policy and its parts."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from look_page import HOSTILE

from npgpt import tales
from npgpt.look.page import assemble, make_page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "npgpt" / "look" / "page"
texts = st.text(st.characters(codec=None, categories=None)) | st.sampled_from(HOSTILE)


class Elements(html.parser.HTMLParser):
    """Every element of a page, and the contents of its scripts and its style sheet."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.contents, self.inside = [], {}, None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag in ("script", "style"):
            self.inside = dict(attributes).get("type", tag)
            self.contents[self.inside] = ""

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside:
            self.contents[self.inside] += data


PLAIN = [tag for tag, _ in Elements(assemble({})).tags]


@given(texts, texts, st.dictionaries(texts, texts, max_size=3))
def test_no_text_becomes_markup_and_all_of_it_arrives(name, prompt, more):
    record = {"name": name, "prompt": prompt, "more": more}
    found = Elements(assemble(record))
    assert [tag for tag, _ in found.tags] == PLAIN
    # JSON in JavaScript keeps halves of surrogate pairs, as Python's does.
    assert json.loads(found.contents["application/json"]) == record
    assert found.contents["application/json"].isascii()


def test_the_policy_allows_the_one_script_and_the_one_style_sheet_and_nothing_else(pages):
    found = Elements(pages["tales"][0].read_text(encoding="utf-8"))
    policy = next(a["content"] for tag, a in found.tags if a.get("http-equiv"))
    allowed = dict(part.split(" ", 1) for part in policy.split("; "))
    assert allowed["default-src"] == "'none'"
    for name, content in (("script-src", "module"), ("style-src", "style")):
        digest = hashlib.sha256(found.contents[content].encode()).digest()
        assert allowed[name] == f"'sha256-{base64.b64encode(digest).decode()}'"
    assert allowed["img-src"] == "data:"  # the icon
    assert len(allowed) == 6 and allowed["base-uri"] == allowed["form-action"] == "'none'"
    assert pages["tales"][0].stat().st_size < 2.55e6


def test_nothing_in_the_page_is_from_elsewhere():
    for path in FOLDER.rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|//\w+\.\w|innerHTML|insertAdjacentHTML|\beval\b|@import|"
                             r"url\(|fetch\(|XMLHttp|WebSocket", text), path.name
        assert path.name == "index.html" or not re.search("</script|<!--", text), path.name


def test_a_prompt_that_cannot_be_read_is_refused_and_a_long_one_is_cut(subjects):
    with pytest.raises(ValueError, match="--prompt"):
        make_page(subjects["tales"], "A")
    with pytest.raises(ValueError, match="'!'"):
        make_page(subjects["tales"], "A fox!")
    _, record = make_page(subjects["tales"], "shy " * 100)
    assert len(record["ids"]) == 400 - 256 and record["prompt"] == "shy " * 100  # as in generate


def test_the_grammar_comes_with_a_run_of_the_tales_in_characters(pages, subjects):
    assert pages["tales"][1]["grammar"].keys() == tales.GRAMMAR.lists.keys()
    for kind, run in (("bpe", subjects["tales"].run), ("tales", None)):
        other = dataclasses.replace(subjects[kind], run=run)
        assert make_page(other, "Once a")[1]["grammar"] is None
