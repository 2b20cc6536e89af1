"""Every module says what it is, and the examples in its docstrings are true."""

import doctest
import importlib
import pkgutil

import pytest

import autograd
import npgpt

SILENT = ("npgpt.__main__",)
MODULES = [autograd, npgpt] + [
    importlib.import_module(module.name)
    for package in (autograd, npgpt)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if module.name not in SILENT
]


@pytest.mark.parametrize("module", MODULES, ids=lambda module: module.__name__)
def test_docstrings(module):
    assert len(module.__doc__) > 10
    assert doctest.testmod(module).failed == 0
