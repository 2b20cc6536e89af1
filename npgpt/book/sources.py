"""Pages of code, and the page and line of a name such as `npgpt.gpt.Block`."""

import ast
import functools
import re
from pathlib import Path

NAME = re.compile(r"(?:autograd|npgpt)(?:\.[A-Za-z_]\w*)*")
PATH = re.compile(r"(?:[a-z_]+/)*\w+\.py")


class Sources:
    """The code of a clone: it remembers which files were linked to."""

    def __init__(self, root):
        self.root, self.linked = Path(root), {}  # {path of a file from the root: its page}

    def link(self, code):
        """Return the address of what `code` names, or None if it is no name or file of ours."""
        if PATH.fullmatch(code):
            paths = [self.root / folder / code for folder in ("", "examples")]
            path = next((path for path in paths if path.is_file()), None)
            return path and self._page(path)
        if NAME.fullmatch(code):
            return self._definition(code.split("."))
        return None

    def _definition(self, parts):
        for end in range(len(parts), 0, -1):
            path = self.root.joinpath(*parts[:end])
            path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
            if path.is_file():
                line = _line(path, parts[end:])
                return line and self._page(path) + (f"#L-{line}" if end < len(parts) else "")
        return None

    def _page(self, path):
        name = path.relative_to(self.root).as_posix()
        self.linked[name] = f"code/{name.replace('/', '.')}.html"
        return self.linked[name]

    def highlighted(self, name):
        """Return the HTML of a linked file, with an anchor L-N at line N."""
        from pygments import highlight
        from pygments.formatters import HtmlFormatter
        from pygments.lexers import PythonLexer

        text = (self.root / name).read_text(encoding="utf-8")
        form = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
        return highlight(text, PythonLexer(), form)


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
