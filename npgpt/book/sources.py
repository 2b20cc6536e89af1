"""Pages of code, and the page and line of a name such as `npgpt.gpt.Block`."""

import ast
import functools
import re
from pathlib import Path

NAME = re.compile(r"(?:autograd|npgpt)(?:\.[A-Za-z_]\w*)*")
PATH = re.compile(r"(?:[a-z_]+/)*\w+\.py")


class Sources:
    """The code of a clone, as handlers of Sphinx's events: it remembers which files are linked."""

    def __init__(self, root):
        self.root, self.linked = Path(root), set()  # paths from the root

    def link_names(self, app, doctree):
        """Let names of code, and links to files of it, lead to pages of code."""
        from docutils import nodes
        from sphinx.addnodes import pending_xref

        page = app.env.docname
        for node in [*doctree.findall(nodes.literal), *doctree.findall(pending_xref)]:
            if isinstance(node.parent, nodes.reference | pending_xref):
                continue
            if isinstance(node, pending_xref):
                code = (self.root / page).parent.joinpath(node["reftarget"]).resolve()
                code = code.as_posix().removeprefix(f"{self.root.resolve().as_posix()}/")
            else:
                code = node.astext()
            name, line = self.place(code)
            if name:
                address = app.builder.get_relative_uri(page, f"code/{name}") + line
                node.replace_self(nodes.reference("", "", *(
                    node.children if isinstance(node, pending_xref) else [node.deepcopy()]),
                    refuri=address, internal=True))
                self.linked.add(name)

    def place(self, code):
        """Return (path, "#L-N" or "") of what `code` names: (None, "") if it is none of ours."""
        if PATH.fullmatch(code):
            paths = [f"{folder}{code}" for folder in ("", "examples/")]
            return next((path for path in paths if (self.root / path).is_file()), None), ""
        parts = code.split(".") if NAME.fullmatch(code) else []
        for end in range(len(parts), 0, -1):
            path = self.root.joinpath(*parts[:end])
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path.is_file():
                line = _line(path, parts[end:])
                name = path.relative_to(self.root).as_posix()
                return (name, f"#L-{line}" if end < len(parts) else "") if line else (None, "")
        return None, ""

    def pages(self, app):
        """Yield a page for each linked file, with an anchor L-N at line N."""
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        form = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
        for name in sorted(self.linked):
            body = highlight((self.root / name).read_text(encoding="utf-8"), PythonLexer(), form)
            yield f"code/{name}", {"title": name, "body": f"<h1>{name}</h1>{body}"}, "page.html"


def _line(path, names):
    """Return the line on which nested `names` are defined or imported in a file; None if not."""
    body, line = _parsed(path).body, 1
    for name in names:
        found = next((node for node in body if name in _bound(node)), None)
        if found is None:
            return None
        body, line = getattr(found, "body", []), found.lineno
    return line


@functools.cache
def _parsed(path):
    return ast.parse(path.read_text(encoding="utf-8"))


def _bound(node):
    """Return the names that a statement of a module or a class binds."""
    if isinstance(node, ast.ImportFrom | ast.Import):
        return [alias.asname or alias.name for alias in node.names]
    targets = getattr(node, "targets", [getattr(node, "target", None)])
    return [getattr(node, "name", None), *(getattr(target, "id", None) for target in targets)]
