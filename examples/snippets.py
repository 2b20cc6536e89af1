"""The snippets of CONCEPTS.md: run them, and write the output of each beneath it.

    python examples/snippets.py            check the document and the notebook
    python examples/snippets.py --write    write the outputs into CONCEPTS.md, and make
                                           examples/concepts.ipynb anew

A snippet is a block of ```python. All of them run in one session, from top to bottom. The output
of a snippet stands beneath it, in a block of ```text.
"""

import argparse
import contextlib
import io
import json
import re
import sys
import textwrap
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
DOCUMENT = ROOT / "CONCEPTS.md"
NOTEBOOK = ROOT / "examples" / "concepts.ipynb"
COMMAND = "python examples/snippets.py --write"
SET_UP = """\
# %pip install -e ..    # once, from a clone of the project: without the first # of this line
# The first cells that call a kernel compile it, which may take half a minute, once."""

SNIPPET = re.compile(
    r"^(?P<indent> *)```python\n(?P<code>(?s:.*?))^ *```\n"
    r"(?P<beneath>\n?^```text\n(?P<printed>(?s:.*?))^```\n)?",
    re.M,
)
LINK = re.compile(r"\]\((?!https?:|#)([^)\s]+)\)")


class Snippet(NamedTuple):
    """A block of code in a document.

    line      the number of its first line
    code      its text
    printed   its output by the document; "" for none
    span      (start, end) of the block and the output beneath it, in characters
    """

    line: int
    code: str
    printed: str
    span: tuple


def snippets(text):
    """Return the snippets of a document, in order."""
    return [
        Snippet(
            text.count("\n", 0, match.start("code")) + 1, textwrap.dedent(match["code"]),
            match["printed"] or "", match.span(),
        )
        for match in SNIPPET.finditer(text)
    ]


def what_they_print(found, path, namespace=None):
    """Run snippets one after another in one session; return the output of each.

    namespace   a dict that is left with the names of the session
    """
    namespace, printed = {} if namespace is None else namespace, []
    namespace["__name__"] = "snippets"
    for snippet in found:
        # Empty lines in front: a traceback then gives the line of the document.
        code = compile("\n" * (snippet.line - 1) + snippet.code, str(path), "exec")
        with contextlib.redirect_stdout(io.StringIO()) as output:
            exec(code, namespace)
        printed.append(output.getvalue())
    return printed


def with_outputs(text, printed):
    """Return a document in which each snippet is followed by its output."""
    pieces, end = [], 0
    for snippet, output in zip(snippets(text), printed, strict=True):
        pieces += [text[end : snippet.span[0]], f"```python\n{snippet.code}```\n"]
        pieces += [f"\n```text\n{output}```\n"] if output else []
        end = snippet.span[1]
    return "".join([*pieces, text[end:]])


def as_notebook(text):
    """Return the document as a notebook, a text in JSON: cells of text between the snippets."""
    cells = []
    for number, part in enumerate([Snippet(0, SET_UP, "", ()), *parts(text)], -1):
        cell = {"id": f"part-{number}" if number >= 0 else "set-up", "metadata": {}}
        if isinstance(part, Snippet):
            cell |= {"cell_type": "code", "execution_count": None, "source": part.code.rstrip("\n")}
            stream = {"output_type": "stream", "name": "stdout", "text": part.printed}
            cell["outputs"] = [stream] if part.printed else []
        else:
            from_here = LINK.sub(lambda link: f"]({_from_examples(link[1])})", part)
            cell |= {"cell_type": "markdown", "source": from_here.strip("\n")}
        cells.append(dict(sorted(cell.items())))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook = {
        "cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5,
    }
    return json.dumps(notebook, indent=1, ensure_ascii=False) + "\n"


def parts(text):
    """Yield a document as pieces of text and snippets, in turn."""
    end = 0
    for snippet in snippets(text):
        yield text[end : snippet.span[0]]
        yield snippet
        end = snippet.span[1]
    yield text[end:]


def _from_examples(path):
    """Return a path beside CONCEPTS.md as seen from the folder of the notebook."""
    return path.removeprefix("examples/") if path.startswith("examples/") else f"../{path}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="write what does not agree")
    write = parser.parse_args().write
    text = DOCUMENT.read_text(encoding="utf-8")
    text = with_outputs(text, what_they_print(snippets(text), DOCUMENT))
    wanted = {DOCUMENT: text, NOTEBOOK: as_notebook(text)}
    stale = [
        path for path, content in wanted.items()
        if not path.exists() or path.read_text(encoding="utf-8") != content
    ]
    for path in stale:
        if write:
            path.write_text(wanted[path], encoding="utf-8", newline="\n")
        print(f"{path.name} {'is written' if write else 'does not agree'}")
    return 1 if stale and not write else 0


if __name__ == "__main__":
    sys.exit(main())
