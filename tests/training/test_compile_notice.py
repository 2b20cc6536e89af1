"""Kernels are compiled for the reader's model, at its first step; a command says so, once."""

import json
import shutil
import sys

import pytest
import tiny_run
from numba.core.dispatcher import Dispatcher
from tiny_run import TEXT, TINY

from autograd.kernels import compiler
from npgpt.cli.warm_up import call_all

pytestmark = [pytest.mark.slow, pytest.mark.kernels]


def npgpt(*arguments, code=None, **variables):
    """Run the program in a new process, with the backend Numba."""
    done = tiny_run.npgpt(*arguments, code=code, env={"AUTOGRAD_BACKEND": "numba"} | variables)
    assert done.returncode == 0, done.stderr
    return done


def kernels():
    """Return all kernels by name."""
    modules = [m for name, m in sys.modules.items() if name.startswith("autograd.kernels")]
    functions = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
    return {function.__name__: function for function in functions if function.stats.cache_path}


@pytest.fixture(scope="module")
def compiled_code():
    """The folder of all kernels, filled."""
    call_all()
    return compiler.cache_folder()


def test_the_warm_up_calls_every_kernel(compiled_code):
    inside = {"_shares", "_attention"}  # of _gpt_step, whose code on disk has them
    assert {name for name, kernel in kernels().items() if not kernel.signatures} <= inside


@pytest.fixture
def cache(compiled_code, tmp_path):
    """A copy of it."""
    unfinished = shutil.ignore_patterns("tmp*")  # files of other processes, which vanish
    shutil.copytree(compiled_code, tmp_path / "cache" / compiled_code.name, ignore=unfinished)
    return tmp_path / "cache"


def forget(cache, *names):
    """Remove the code of these kernels."""
    for name in names:
        for file in list(cache.rglob(f"{name}-*.nbc")):
            file.unlink()


def said(text):
    """Return the indices of the lines about compiling."""
    return [i for i, line in enumerate(text.splitlines()) if line.startswith("compiling ")]


def test_what_is_not_on_disk_is_compiled_and_said_once_and_beside_an_answer(cache, tmp_path):
    """Only a few kernels are missing: to compile all would take long."""
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    run = tmp_path / "run"
    train = ["train", "--tokenizer", "bpe", "--vocab-size", "260", "--corpus",
             tmp_path / "hens.txt", "--out", run, *TINY]
    forget(cache, "_gelu", "_adamw")
    output = npgpt(*train, NUMBA_CACHE_DIR=str(cache)).stdout
    (line,) = said(output)
    assert str(cache) in output.splitlines()[line]
    assert line < output.splitlines().index("")  # before the first sample
    for command, missing in (
        (["eval", run, "--json"], "_gelu"), (["generate", run, "--json"], "_gpt_step"),
    ):
        forget(cache, missing, "_adamw")  # the latter is for training only
        first, again = (npgpt(*command, NUMBA_CACHE_DIR=str(cache)) for _ in range(2))
        assert json.loads(first.stdout) and len(said(first.stderr)) == 1 and again.stderr == ""
    assert not list(cache.rglob("_adamw-*.nbc"))


INTERRUPTED = """
import os, signal, sys
from contextlib import contextmanager
from autograd import compiling
from npgpt import cli

@contextmanager
def interrupt(kernel, folder):
    signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGINT)
    yield

@contextmanager
def announced(file):
    compiling.listener = interrupt
    yield

cli.announced = announced
print(cli.main(sys.argv[1:]), os.listdir(sys.argv[-1]))
"""


def test_who_interrupts_the_compiler_leaves_whole_files(cache, tmp_path):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    forget(cache, "_gelu_backward")
    train = ["train", *TINY, "--corpus", tmp_path / "hens.txt", "--out", tmp_path / "run"]
    output = npgpt(*train, code=INTERRUPTED, NUMBA_CACHE_DIR=str(cache)).stdout
    assert output.splitlines()[-1].startswith("130 ")
    assert not list(cache.rglob("tmp*")) and not list(cache.rglob("_gelu_backward-*"))
    npgpt("train", "--resume", "--out", tmp_path / "run", NUMBA_CACHE_DIR=str(cache))


def test_where_code_cannot_be_kept_it_is_compiled_all_the_same(tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder", encoding="utf-8")
    code = ("import numpy; from autograd import backend; "
            "print(backend.embedding(numpy.ones((3, 4), 'f'), numpy.arange(3)).sum())")
    done = npgpt(code=code, NUMBA_CACHE_DIR=str(tmp_path / "cache"), PYTHONWARNINGS="ignore")
    assert done.stdout == "12.0\n"
