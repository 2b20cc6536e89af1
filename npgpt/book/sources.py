"""Pages of code, and the page and line of a name such as `npgpt.gpt.Block`."""

import inspect
import pkgutil
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
        if not NAME.fullmatch(code):
            return None, ""
        try:
            found = inspect.unwrap(pkgutil.resolve_name(code))
            path = Path(inspect.getsourcefile(found)).relative_to(self.root)
        except (ImportError, AttributeError, TypeError, ValueError):  # a value has no source
            return None, ""
        line = "" if inspect.ismodule(found) else f"#L-{inspect.getsourcelines(found)[1]}"
        return path.as_posix(), line

    def pages(self, app):
        """Yield a page for each linked file, with an anchor L-N at line N."""
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        form = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
        for name in sorted(self.linked):
            body = highlight((self.root / name).read_text(encoding="utf-8"), PythonLexer(), form)
            yield f"code/{name}", {"title": name, "body": f"<h1>{name}</h1>{body}"}, "page.html"
