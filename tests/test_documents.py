"""What the documents and the project files promise: names resolve, snippets run, imports are lean.

A snippet is checked by the `assert` lines that stand in it.
"""

import ast
import pkgutil
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / name for name in ("README.md", "CONCEPTS.md") if (ROOT / name).exists()]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FOLDERS_OF_CODE = ("autograd", "npgpt", "tests", "benchmarks", "examples")

PLOT_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -e '.[plot]' && .venv/bin/npgpt train"
)
TEST_COMMAND = (
    "python3 -m venv .venv && .venv/bin/pip install -e '.[test]' && .venv/bin/python -m pytest"
)

FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\S*).*\n(?P<text>(?s:.*?))^ *```$", re.M)
LINKED_FILE = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
NAME_IN_BACKTICKS = re.compile(r"`((?:autograd|npgpt)(?:\.[A-Za-z_]\w*)+)")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def read(path):
    return path.read_text(encoding="utf-8")


def docstrings(path):
    """Every docstring of a Python file, joined."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(read(path))) if isinstance(node, documented)]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def names_in_backticks(text):
    return sorted(set(NAME_IN_BACKTICKS.findall(FENCED.sub("", text))))


def python_snippets(text):
    """(line number of its first line, code) of each ```python block, in order."""
    for match in FENCED.finditer(text):
        if match["language"] == "python":
            yield text.count("\n", 0, match.start("text")) + 1, textwrap.dedent(match["text"])


# ---- the documents


@pytest.mark.parametrize("path", DOCUMENTS + EXAMPLES, ids=relative)
def test_every_dotted_name_of_our_code_resolves(path):
    text = read(path) if path.suffix == ".md" else docstrings(path)
    for name in names_in_backticks(text):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{relative(path)} speaks of `{name}`: {error}")


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_the_snippets_run_in_order(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {"__name__": "snippets"}
    for line, code in python_snippets(read(path)):
        # Empty lines in front: a traceback then gives the line of the document.
        exec(compile("\n" * (line - 1) + code, str(path), "exec"), namespace)


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("*/*.md")),
                         ids=relative)  # fmt: skip
def test_every_file_and_picture_that_a_document_links_to_is_there(path):
    linked = LINKED_FILE.findall(FENCED.sub("", read(path)))
    assert [name for name in linked if not (path.parent / name).exists()] == []


def test_names_and_snippets_are_found_where_they_stand():
    text = (
        "`autograd.ops.nn.softmax(x)`, not autograd.x, `numpy.sum` or `npgpt/cli.py`\n"
        "```python\nx = 1  # `npgpt.nowhere`\n```\n"
        "- `npgpt.cli`\n"
        "  ```python\n  if x:\n      y = 2\n  ```\n"
        "```\nnot python\n```\n"
    )
    assert names_in_backticks(text) == ["autograd.ops.nn.softmax", "npgpt.cli"]
    assert list(python_snippets(text)) == [
        (3, "x = 1  # `npgpt.nowhere`\n"),
        (7, "if x:\n    y = 2\n"),
    ]


def test_the_readme_has_exactly_two_set_up_commands():
    lines = [line.strip() for line in read(ROOT / "README.md").splitlines()]
    commands = [line for line in lines if "venv" in line and "pip install" in line]
    assert sorted(commands) == sorted([PLOT_COMMAND, TEST_COMMAND])


# ---- the imports


def test_importing_us_warns_of_nothing_and_loads_no_compiler_no_plotting_and_no_peer():
    code = "import sys, autograd, npgpt; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert not {"numba", "matplotlib", "torch", "tiktoken", "regex"} & set(run.stdout.split())


def imported_packages(path):
    """The top-level packages that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(read(path))):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").split(".")[0]


def test_no_file_imports_pickle():
    picklers = {"pickle", "_pickle", "shelve", "cloudpickle", "dill", "joblib"}
    for path in (path for folder in FOLDERS_OF_CODE for path in (ROOT / folder).rglob("*.py")):
        used = picklers & set(imported_packages(path))
        assert not used, f"{relative(path)} imports {used}: save arrays with safetensors instead"
