"""The bar of compiled kernels counts those that are compiled, in whichever process."""

import os
import shutil
import subprocess
import sys
from contextlib import closing

import numba
import pytest

from autograd import kernels
from autograd.kernels import compiler
from npgpt import GPTConfig
from npgpt.training.warmup import KERNELS, _Bar, _SecondProcess

CONFIG = GPTConfig(8, 4, 1, 1, 4)
USED = """
import sys
from numba.core.dispatcher import Dispatcher
from npgpt import GPTConfig
from npgpt.training.warmup import warm_up
warm_up(GPTConfig(9, 8, 2, 2, 8, dropout=float(sys.argv[1])))
modules = [m for name, m in sys.modules.items() if name.startswith("autograd.kernels")]
found = {f.__name__: f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
for name, f in found.items():
    if f.signatures and f.targetoptions.get("parallel"):
        print(name, sum(f.stats.cache_hits.values()), sum(f.stats.cache_misses.values()))
"""


def warmed_up(dropout, **variables):
    """What `warm_up` printed, and {kernel: (times loaded, times compiled)}, in a new process."""
    run = subprocess.run(
        [sys.executable, "-c", USED, str(dropout)],
        check=False, capture_output=True, encoding="utf-8", env=os.environ | variables,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    said = [line for line in lines if line.startswith(("compiling", "   "))]
    used = (line.split() for line in lines[len(said) :])
    return said, {name: (int(loaded), int(compiled)) for name, loaded, compiled in used}


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_kernels_named_are_those_that_a_training_step_uses(dropout):
    used = set(warmed_up(dropout)[1])
    assert used == set(KERNELS) - (set() if dropout else {"_dropout"})


def test_a_second_process_compiles_what_is_not_on_disk(tmp_path):
    """Without the code of a few kernels: all would take long."""
    warmed_up(0.0)
    folder = shutil.copytree(compiler.cache_folder(), tmp_path / compiler.cache_folder().name)
    missing = {"_layer_norm", "_gelu", "embedding_backward_", "_adamw"}
    for name in missing:
        for index in list(folder.rglob(f"*.{name}-*.nbi")):
            index.unlink()
    said, used = warmed_up(0.0, NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="2")
    assert {name for name, (_, compiled) in used.items() if compiled} == {"_layer_norm"}
    assert said[0] == "compiling the kernels, once for all runs"
    places, names = zip(*(line.split(": ") for line in said[1:]), strict=True)
    assert places == tuple(f"    {n} of {len(used)}" for n in (1, 2, 3, 4))
    assert names[0] == "_layer_norm" and set(names) == missing


# ---- the bar


def test_in_a_pipe_each_kernel_is_a_line(capsys):
    with closing(_Bar(("_gelu", "_adamw"))) as bar:
        for name in ("_gelu", "some other function", "_adamw"):
            bar.tell("start", name)
            bar.tell("end", name)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["compiling the kernels, once for all runs", "    1 of 2: _gelu",
                     "    2 of 2: _adamw"]  # fmt: skip


def test_a_kernel_is_counted_once_though_a_second_process_began_it(capsys):
    with closing(_Bar(("_gelu", "_adamw"))) as bar:
        for what in ("start", "start", "end", "end"):
            bar.tell(what, "_gelu")
        assert bar.told == [("start", "_gelu"), ("end", "_gelu")]
    assert len(capsys.readouterr().out.splitlines()) == 2


# ---- the second process when something is wrong


@pytest.fixture
def second():
    bar = _Bar(KERNELS)
    with closing(bar), closing(_SecondProcess(CONFIG, bar)) as second:
        yield second


@pytest.fixture
def kernel():
    return kernels.embedding_backward_


def test_a_second_process_that_fails_leaves_the_kernels_to_this_one(second, kernel, monkeypatch):
    monkeypatch.setenv("AUTOGRAD_TILE", "none of this name")
    second.start(kernel)
    second.wait()
    assert second.process.returncode == 1
    assert second.bar.told == []


def test_a_second_process_that_can_not_be_started_does_too(second, kernel, monkeypatch):
    monkeypatch.setattr(sys, "executable", "no such program")
    second.start(kernel)
    second.wait()
    assert second.process is None


def test_the_second_process_ends_with_this_one(second, kernel):
    second.start(kernel)
    second.close()
    assert second.process.returncode != 0, "it was not ended, but waited for"
    assert not second.reader.is_alive()


def test_no_second_process_where_it_could_not_help(second, kernel):
    second.start(numba.njit(lambda: 0))  # its code is not kept, so that nobody could load it
    assert second.process is None
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        second.start(kernel)
    finally:
        numba.set_num_threads(threads)
    assert second.process is None
