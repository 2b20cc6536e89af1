"""No circle between our modules, whether an import stands at a file's top or inside a function.

The contracts in setup.cfg say who may import whom; those of one layer may.
"""

import ast
import configparser
import re
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import numba
import pytest

import autograd
import npgpt

FILES = {
    ".".join([folder.name, *path.relative_to(folder).with_suffix("").parts])
    .removesuffix(".__init__"): path
    for folder in (Path(package.__file__).parent for package in (autograd, npgpt))
    for path in folder.rglob("*.py")
}
MAX_INSIDE = 16  # import statements of ours inside functions


def imported(statement):
    """Return the names of our modules that an import statement loads."""
    if isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    else:
        of = statement.module
        names = [name if (name := f"{of}.{alias.name}") in FILES else of
                 for alias in statement.names]
    return {name for name in names if name in FILES}


def statements(tree, inside=None):
    """Yield the import statements of a tree; with `inside`, those in functions only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) and inside is not False:
            yield node
        function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        yield from statements(node, True if function and inside is False else inside)


def check_no_circle(sources):
    """Raise CycleError, which has the modules in it, if modules {name: source} import in one."""
    graph = {name: set().union(*map(imported, statements(ast.parse(text)))) - {name}
             for name, text in sources.items()}
    TopologicalSorter(graph).prepare()


@pytest.fixture(scope="module")
def sources():
    return {name: path.read_text(encoding="utf-8") for name, path in FILES.items()}


def test_no_modules_import_each_other(sources):
    check_no_circle(sources)


def test_an_import_inside_a_function_closes_a_circle(sources):
    inside = "\ndef late():\n    from npgpt.loading.pretrained import load_pretrained\n"
    with pytest.raises(CycleError) as found:
        check_no_circle(sources | {"npgpt.gpt": sources["npgpt.gpt"] + inside})
    assert {"npgpt.gpt", "npgpt.loading.pretrained"} <= {*found.value.args[1]}


def test_few_imports_of_ours_are_inside_functions_and_each_says_why(sources):
    count = 0
    for name, text in sources.items():
        lines, tree = text.splitlines(), ast.parse(text)
        for statement in statements(tree, inside=False):
            if imported(statement):
                count += 1
                said = "#" in lines[statement.lineno - 1] or "imported" in ast.get_docstring(tree)
                assert said, f"{name}: say beside it or in the file's docstring why a function " \
                             f"has {ast.unparse(statement)}"
    assert 0 < count <= MAX_INSIDE


def test_the_numba_that_is_installed_was_tried():
    """Kernels are compiled by private names of Numba, so each new release has to be tried."""
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[1] / "setup.cfg", encoding="utf-8")
    [bound] = re.findall(r"^numba.*<([\d.]+)$", setup["options"]["install_requires"], re.M)
    found = numba.__version__
    assert [*map(int, found.split(".")[:2])] < [*map(int, bound.split("."))], (
        f"numba {found} is newer than what was tried: run tests/kernels and tests/autograd with "
        "it, mend autograd/kernels/compiler.py, then raise the bound in setup.cfg")
