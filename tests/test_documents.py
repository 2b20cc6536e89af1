"""The documents and project files are true: names resolve, snippets print the text beneath them,
commands exist, imports are lean.

A snippet is checked by its `assert` lines and by its output.
"""

import ast
import json
import pkgutil
import re
import shlex
import subprocess
import sys

import pytest
from tiny_run import ROOT, TEXT, TINY, module_of

from npgpt import cli

CONCEPTS = ROOT / "CONCEPTS.md"
DOCUMENTS = [ROOT / name for name in ("README.md", "CONCEPTS.md", "npgpt/README.md",
                                      "autograd/README.md", "benchmarks/README.md")]
DOCUMENTS += sorted((ROOT / "npgpt" / "guides").glob("*.md"))
EXAMPLES = sorted((ROOT / "examples").rglob("*.py"))
FOLDERS_OF_CODE = ("autograd", "npgpt", "tests", "benchmarks", "examples")

FENCED = re.compile(r"^(?P<indent> *)```(?P<language>\S*).*\n(?P<text>(?s:.*?))^ *```$", re.M)
LINKED_FILE = re.compile(r"\]\((?!https?:|#)([^)#\s]+)")
PATH_IN_BACKTICKS = re.compile(rf"`((?:{'|'.join(FOLDERS_OF_CODE)})/[\w./]+)`")
NAME_IN_BACKTICKS = re.compile(r"`((?:autograd|npgpt)(?:\.[A-Za-z_]\w*)+)")


def relative(path):
    return path.relative_to(ROOT).as_posix()


def read(path):
    return path.read_text(encoding="utf-8")


def docstrings(path):
    """Return every docstring of a Python file, joined."""
    documented = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(read(path))) if isinstance(node, documented)]
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


snippets = module_of(ROOT / "examples" / "snippets.py")


def commands(text):
    """Return the commands of a document: indented lines, up to two spaces and a description."""
    lines = re.findall(r"^    (?:\S+=\S+ )*(\.venv/bin/\S.*)$", FENCED.sub("", text), re.M)
    return [re.split(r"  +|(?: \| )|(?: > )|(?: && )", line)[0] for line in lines]


# ---- the documents


@pytest.mark.parametrize("path", DOCUMENTS + EXAMPLES, ids=relative)
def test_every_dotted_name_of_our_code_resolves(path):
    text = read(path) if path.suffix == ".md" else docstrings(path)
    for name in NAME_IN_BACKTICKS.findall(FENCED.sub("", text)):
        try:
            pkgutil.resolve_name(name)
        except (ImportError, AttributeError) as error:
            pytest.fail(f"{relative(path)} speaks of `{name}`: {error}")


@pytest.mark.filterwarnings("ignore:products in bfloat16 take")
@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_the_snippets_run_in_order_and_print_what_stands_beneath(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = read(path)
    if "runs/tales" in "".join(snippet.code for snippet in snippets.snippets(text)):
        (tmp_path / "a.txt").write_text(TEXT, encoding="utf-8")
        assert cli.main(["train", *TINY, "--corpus", "a.txt", "--out", "runs/tales"]) == 0
    found = snippets.snippets(text)
    for snippet, printed in zip(found, snippets.what_they_print(found, path), strict=True):
        if path == CONCEPTS or snippet.printed:
            where = f"{relative(path)}, the snippet of line {snippet.line}"
            assert printed == snippet.printed, f"{where}; mend it with: {snippets.COMMAND}"


def test_the_notebook_is_what_the_document_gives():
    assert read(snippets.NOTEBOOK) == snippets.as_notebook(read(CONCEPTS)), snippets.COMMAND
    cells = json.loads(read(snippets.NOTEBOOK))["cells"]
    _, *codes = [cell["source"] for cell in cells if cell["cell_type"] == "code"]  # after a set-up
    told = [snippet.code for snippet in snippets.snippets(read(CONCEPTS))]
    assert "\n".join(codes).split() == "\n".join(told).split()


@pytest.mark.parametrize("path", DOCUMENTS, ids=relative)
def test_the_commands_that_a_document_prints_are_commands(path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.txt").touch()
    for command in commands(read(path)):
        program, *words = shlex.split(command)
        if program == ".venv/bin/npgpt":
            try:
                cli.program_parser().parse_args(words)
            except SystemExit as end:
                assert end.code == 0, f"{command}: {capsys.readouterr().err}"
        elif program == ".venv/bin/python" and words[0] not in ("-c", "my_gpt.py"):
            file = words[1].replace(".", "/") if words[0] == "-m" else words[0]
            assert (ROOT / file).exists(), command


def test_the_table_of_flags_is_made_from_the_parsers():
    flags = module_of(ROOT / "examples" / "flags.py")
    assert read(flags.TABLE) == flags.table(), "run: python examples/flags.py"


def test_the_cheap_commands_of_the_lesson_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    ours = [command.removeprefix(".venv/bin/npgpt ") for command in commands(read(CONCEPTS))]
    cheap = [words for words in ours if words.startswith(("gradcheck --op", "info", "exercise"))]
    assert len(cheap) > 10
    for words in cheap:
        assert cli.main(shlex.split(words)) == 0, f"{words}: {capsys.readouterr().err}"


@pytest.mark.parametrize("path", [*ROOT.glob("*.md"), *ROOT.glob("*/*.md"), snippets.NOTEBOOK,
                                  *ROOT.glob("examples/*/*.md"),
                                  *ROOT.glob("npgpt/guides/*.md")], ids=relative)
def test_every_file_and_picture_that_a_document_links_to_is_there(path):
    linked = LINKED_FILE.findall(FENCED.sub("", read(path)))
    assert [name for name in linked if not (path.parent / name).exists()] == []


@pytest.mark.parametrize("path", [*DOCUMENTS, ROOT / "CONTRIBUTING.md"], ids=relative)
def test_every_path_in_backticks_is_there(path):
    named = PATH_IN_BACKTICKS.findall(read(path))
    assert [name for name in named if not (ROOT / name).exists()] == []


# ---- the imports


def test_importing_us_warns_of_nothing_and_loads_no_compiler_no_plotting_and_no_peer():
    code = "import sys, autograd, npgpt; print(*sys.modules)"
    command = [sys.executable, "-W", "error", "-c", code]
    run = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert not {"numba", "matplotlib", "torch", "tiktoken", "regex"} & set(run.stdout.split())


def test_the_citation_is_of_this_version():
    of = dict(re.findall(r"^(\w+)(?: =|:) (.*)$", read(ROOT / "setup.cfg"), re.M))
    citation = dict(re.findall(r"^(?:  - )?([\w-]+): (.*)$", read(ROOT / "CITATION.cff"), re.M))
    assert [citation[name] for name in ("version", "license", "name")] == [
        of["version"], of["license"], of["author"]]
    assert of["description"].lower() in citation["title"].lower()
