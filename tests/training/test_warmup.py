"""The bar of compiled kernels counts those that are compiled, in whichever process."""

import os
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import numba
import pytest
from tiny_run import TEXT, TINY

from autograd import kernels
from autograd.kernels import compiler
from npgpt import GPTConfig, tokenizer
from npgpt.training.warmup import ELSEWHERE, KERNELS, TOKENIZER, _Bar, _OtherProcess

CONFIG = GPTConfig(8, 4, 1, 1, 4)
USED = """
import sys
from contextlib import closing
from numba.core.dispatcher import Dispatcher
from npgpt import GPTConfig
from npgpt.tokenizer import BPETokenizer
from npgpt.training.warmup import WarmUp
config = GPTConfig(9, 8, 2, 2, 8, dropout=float(sys.argv[1]))
with closing(WarmUp(config, tokenizer="tokenizer" in sys.argv)) as warming_up:
    if "tokenizer" in sys.argv:
        BPETokenizer.train("hug hug pug", 257).encode("hugs")
    warming_up.finish()
packages = "autograd.kernels", "npgpt.tokenizer.compiled.kernels"
modules = [m for name, m in sys.modules.items() if name.startswith(packages)]
found = {f.__name__: f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
for name, f in found.items():
    if f.signatures and f.stats.cache_path:
        print(name, sum(f.stats.cache_hits.values()), sum(f.stats.cache_misses.values()))
"""


def python(*arguments, **variables):
    """The lines that a new process printed."""
    run = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False, capture_output=True, encoding="utf-8", env=os.environ | variables,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def warmed_up(*arguments, **variables):
    """What was printed meanwhile, and {kernel: (times loaded, times compiled)}."""
    lines = python("-c", USED, *arguments, **variables)
    said = [line for line in lines if line.startswith(("compiling", "   "))]
    used = (line.split() for line in lines[len(said) :])
    return said, {name: (int(loaded), int(compiled)) for name, loaded, compiled in used}


def forget(cache, *names):
    """Remove the code of these kernels."""
    for name in names:
        for index in list(cache.rglob(f"*.{name}-*.nbi")):
            index.unlink()


@pytest.fixture(scope="module")
def compiled_code():
    """The folders of all kernels that are used here, filled."""
    warmed_up(0.0, "tokenizer")
    return [
        compiler.cache_folder(),
        compiler.cache_folder("tokenizer", Path(tokenizer.__file__).parent / "compiled/kernels"),
    ]


@pytest.fixture
def cache(compiled_code, tmp_path):
    """A copy of them."""
    for folder in compiled_code:
        shutil.copytree(folder, tmp_path / "cache" / folder.name)
    return tmp_path / "cache"


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_kernels_named_are_those_that_a_training_step_uses(dropout):
    used = set(warmed_up(dropout)[1])
    assert used == set(KERNELS) - (set() if dropout else {"_dropout"})


def test_the_kernels_named_are_those_that_a_tokenizer_uses():
    assert set(warmed_up(0.1, "tokenizer")[1]) == {*TOKENIZER, *KERNELS}


@pytest.mark.parametrize(("first", "what"), [("_layer_norm", ""), ("count_pairs", "tokenizer")])
def test_other_processes_compile_what_is_not_on_disk(cache, first, what):
    """Without the code of a few kernels: all would take long."""
    missing = {first, "_gelu", "embedding_backward_", "_adamw"}
    forget(cache, *missing)
    said, used = warmed_up(0.0, what, NUMBA_CACHE_DIR=str(cache), NUMBA_NUM_THREADS="2")
    assert {name for name, (_, compiled) in used.items() if compiled} == {first}
    assert said[0] == "compiling the kernels, once for all runs"
    places, names = zip(*(line.split(": ") for line in said[1:]), strict=True)
    assert places == tuple(f"    kernel {n} of {len(used)}" for n in (1, 2, 3, 4))
    assert names[0] == first and set(names) == missing


def test_a_run_with_byte_pairs_says_what_is_compiled_before_it_has_read_the_text(cache, tmp_path):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    start = ["--tokenizer", "bpe", "--vocab-size", "260", "--corpus", tmp_path / "hens.txt", *TINY]
    for arguments, name in ((start, "count_pairs"), (["--resume"], "build_vocabulary")):
        forget(cache, name)
        lines = python("-m", "npgpt.cli", "train", "--out", tmp_path / "run", *arguments,
                       NUMBA_CACHE_DIR=str(cache))  # fmt: skip
        assert lines[0] == "compiling the kernels, once for all runs"
        assert lines[1] == f"    kernel 1 of {len(KERNELS) - 1 + len(TOKENIZER)}: {name}"
        assert lines[2].startswith("text ")


# ---- the bar


def test_in_a_pipe_each_kernel_is_a_line(capsys):
    with closing(_Bar(("_gelu", "_adamw"))) as bar:
        for name in ("_gelu", "some other function", "_adamw"):
            bar.tell("start", name)
            bar.tell("end", name)
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["compiling the kernels, once for all runs", "    kernel 1 of 2: _gelu",
                     "    kernel 2 of 2: _adamw"]  # fmt: skip


def test_a_kernel_is_counted_once_though_another_process_began_it(capsys):
    with closing(_Bar(("_gelu", "_adamw"))) as bar:
        for what in ("start", "start", "end", "end"):
            bar.tell(what, "_gelu")
        assert bar.told == [("start", "_gelu"), ("end", "_gelu")]
    assert len(capsys.readouterr().out.splitlines()) == 2


# ---- another process when something is wrong


@pytest.fixture
def other(monkeypatch):
    monkeypatch.setattr("numba.get_num_threads", lambda: 2)  # on a machine of one core, too
    bar = _Bar(KERNELS)
    with closing(bar), closing(_OtherProcess(CONFIG, ELSEWHERE[1], bar)) as other:
        yield other


@pytest.fixture
def kernel():
    return kernels.embedding_backward_


def test_another_process_that_fails_leaves_the_kernels_to_this_one(other, kernel, monkeypatch):
    monkeypatch.setenv("AUTOGRAD_TILE", "none of this name")
    other.start(kernel)
    other.wait()
    assert other.process.returncode == 1
    assert other.bar.told == []


def test_another_process_that_can_not_be_started_does_too(other, kernel, monkeypatch):
    monkeypatch.setattr(sys, "executable", "no such program")
    other.start(kernel)
    other.wait()
    assert other.process is None


def test_another_process_ends_with_this_one(other, kernel):
    other.start(kernel)
    other.close()
    assert other.process.returncode != 0, "it was not ended, but waited for"
    assert not other.reader.is_alive()


def test_no_other_process_where_it_could_not_help(other, kernel, monkeypatch):
    other.start(numba.njit(lambda: 0))  # its code is not kept, so that nobody could load it
    assert other.process is None
    monkeypatch.setattr("numba.get_num_threads", lambda: 1)
    other.start(kernel)
    assert other.process is None


def test_what_else_another_process_says_is_read(other, kernel, monkeypatch):
    monkeypatch.setenv("NUMBA_DEBUG_CACHE", "1")  # many lines of any form
    other.start(kernel)
    other.wait()
    assert other.process.returncode == 0
