"""The file: its texts, its policy and its parts."""

import base64
import dataclasses
import hashlib
import html.parser
import json
import re
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from look_page import HOSTILE

from npgpt import tales
from npgpt.look import page
from npgpt.look.page import SCRIPTS, assemble, make_page

ROOT = Path(__file__).parents[2]
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


def small(**texts):
    return {"ids": [1, 2], "kind": None} | texts


PLAIN = [tag for tag, _ in Elements(assemble(small())).tags]


@given(texts, texts, st.dictionaries(texts, texts, max_size=3))
def test_no_text_becomes_markup_and_all_of_it_arrives(name, prompt, more):
    record = small(name=name, prompt=prompt, more=more)
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


def test_nothing_in_the_page_is_from_elsewhere():
    folder = files("npgpt.look") / "page"
    for path in [*folder.iterdir(), *(folder / "views").iterdir()]:
        if path.is_file():
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert not re.search(r"https?:|//\w+\.\w|innerHTML|insertAdjacentHTML|\beval\b|@import|"
                                 r"url\(|fetch\(|XMLHttp|WebSocket", text), path.name
            assert path.name == "index.html" or not re.search("</script|<!--", text), path.name


def test_the_scripts_are_all_there_each_after_what_it_imports():
    folder = files("npgpt.look") / "page"
    paths = [p.name for p in folder.iterdir()]
    paths += [f"views/{p.name}" for p in (folder / "views").iterdir()]
    scripts = {p.removesuffix(".js") for p in paths if p.endswith(".js")}
    assert set(SCRIPTS) == scripts and len(SCRIPTS) == len(scripts), (
        f"npgpt/look/page.py: list {scripts ^ set(SCRIPTS)} once in SCRIPTS, after what it imports"
    )
    for i, name in enumerate(SCRIPTS):
        text = folder.joinpath(*f"{name}.js".split("/")).read_text(encoding="utf-8")
        for imported in re.findall(r'from "(?:\.\.?/)+([^"]*)\.js"', text):
            assert imported in SCRIPTS[:i], f"{name} imports {imported}"


def test_a_page_holds_the_model_its_tokenizer_and_the_gradient(pages, subjects):
    _, record = pages["tales"]
    assert record["weights"].keys() == subjects["tales"].model.parameters().keys()
    assert pages["tales"][0].stat().st_size < 2.55e6  # "2.5 MB"
    assert record["kind"] == "fp16" and record["pass"] is None and record["training"] is None
    assert record["prompt"] == tales.SENTENCE_WITH_IT + " "
    assert record["grammar"].keys() == tales.GRAMMAR.lists.keys()


def test_a_larger_model_leaves_its_pass_and_no_weights(subjects, monkeypatch):
    monkeypatch.setattr(page, "LIVE", 1)
    _, record = make_page(subjects["bpe"], "Once a king")
    assert record["kind"] is None and record["weights"] == {}
    assert len(record["pass"]["lens"]) == 5 and record["gradient"]["dtype"] == "float32"
    shown = {v for row in record["pass"]["lens"] for likeliest in row for v, _ in likeliest}
    assert record["tokenizer"]["tokens"].keys() == shown | set(record["ids"])
    for data, live in ((record, False), (record | {"kind": "int8"}, True)):
        tags = Elements(assemble(data)).tags
        said = {a.get("name", a.get("property")): a.get("content") for _, a in tags}
        assert live == bool(re.search("teach|check|runs", said["description"]))
        assert live != ("one text" in said["og:description"])


def test_a_prompt_that_cannot_be_read_is_refused_and_a_long_one_is_cut(subjects):
    with pytest.raises(ValueError, match="--prompt"):
        make_page(subjects["tales"], "A")
    with pytest.raises(ValueError, match="'!'"):
        make_page(subjects["tales"], "A fox!")
    _, record = make_page(subjects["tales"], "shy " * 100)
    assert len(record["ids"]) == 400 - 256 and record["prompt"] == "shy " * 100  # as in generate


def test_the_grammar_comes_with_characters_of_the_tales_only(subjects):
    tales_, pairs = subjects["tales"], subjects["bpe"]
    _, record = make_page(dataclasses.replace(pairs, run=tales_.run), "Once a")
    assert record["grammar"] is None  # it knows characters, not byte pairs
    assert make_page(dataclasses.replace(tales_, run=None), "Once a")[1]["grammar"] is None
    assert make_page(tales_, "Once a")[1]["grammar"] is not None


def test_every_view_says_what_it_is_and_names_sections_of_the_concepts():
    headings = re.findall(r"^##+ (.*)$", (ROOT / "CONCEPTS.md").read_text(encoding="utf-8"), re.M)
    views = sorted((files("npgpt.look") / "page" / "views").iterdir())
    look = (files("npgpt.look") / "page" / "look.js").read_text(encoding="utf-8")
    for view in views:
        assert re.search(rf"[\[ ]{view.stem}[,\]]", look, re.M), (
            f"npgpt/look/page/look.js: list {view.stem} in VIEWS"
        )
        text = view.read_text(encoding="utf-8")
        assert 40 < len(re.search(r'^  about: "(.*)",$', text, re.M)[1]) < 100, view.name
        sections = re.search(r'^  section: "(.*)",$', text, re.M)[1]
        assert set(re.split(", |: ", sections)) <= set(headings), view.name


def test_a_page_has_the_first_paragraphs_of_the_concepts_as_plain_text(pages, tmp_path):
    """Without the file, as after an installation, it has none."""
    concepts = (ROOT / "CONCEPTS.md").read_text(encoding="utf-8")
    found = pages["bpe"][1]["concepts"]
    for view in (files("npgpt.look") / "page" / "views").iterdir():
        sections = re.search(r'^  section: "(.*)",$', view.read_text(encoding="utf-8"), re.M)[1]
        for section in re.split(", |: ", sections):
            paragraphs = found[section]
            assert 1 <= len(paragraphs) <= 2, section
            own = concepts.split(f"# {section}\n", 1)[1]
            words = re.sub(r"[^\w]+", " ", re.sub(r"\]\([^)]*\)", "", own))
            for paragraph in paragraphs:
                assert not re.search(r"[$*`\\|]|^[ !<]|[:,]$", paragraph), paragraph
                assert re.sub(r"[^\w]+", " ", paragraph) in words
                assert paragraph.count("[") == paragraph.count("]")
    assert found["Attention Mechanism"][0].startswith('"The animal didn\'t cross the street')
    for paragraph in (text for texts in page._concepts().values() for text in texts):
        assert not re.search(r"\bpicture\b|^Page\b|\bhere\b|\.py\b", paragraph, re.I), paragraph
    assert page._concepts(tmp_path / "CONCEPTS.md") == {}
