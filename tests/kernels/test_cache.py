"""Compiled kernels on disk are found again, never stale, and never in the way.

A child process imports the kernels from their sources, or from a copy of them, calls one that
compiles quickly, and reports how often code was loaded and how often it was compiled.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd.kernels import compiler

pytestmark = pytest.mark.slow

PROJECT = Path(autograd.__file__).parents[1]
KERNELS = Path(compiler.__file__).parent
CHILD = """
import json, sys
import numpy as np
from autograd import kernels
for dtype in sys.argv[1:]:
    assert kernels.sum_of_squares([np.array([3, 4], dtype)]) == 25, dtype
stats = sys.modules["autograd.kernels.optimizer"]._sum_of_squares.stats
print(json.dumps([sum(stats.cache_hits.values()), sum(stats.cache_misses.values())]))
"""
SUMS = """
import hashlib, json, sys
import numpy as np
from autograd import kernels
x_NC, dy_NC = np.random.default_rng(0).standard_normal((2, 64, 384), np.float32)
y_NC, (mean_N, rstd_N, weight_C) = kernels.softmax(x_NC), np.ones((3, 384), np.float32)
gradients = kernels.layer_norm_backward(dy_NC, x_NC, weight_C, mean_N[:64], rstd_N[:64])
stats = [
    sys.modules["autograd.kernels.softmax"]._softmax.stats,
    sys.modules["autograd.kernels.layer_norm"]._layer_norm_backward.stats,
]
loaded = sum(sum(each.cache_hits.values()) for each in stats)
digests = [hashlib.sha256(array.tobytes()).hexdigest() for array in (y_NC, *gradients)]
print(json.dumps([loaded, digests]))
"""


def start(cache, *dtypes, project=PROJECT, code=CHILD):
    """Start a process that calls sum_of_squares of the `autograd` in `project` for each dtype."""
    return subprocess.Popen(
        [sys.executable, "-B", "-c", code, *dtypes], cwd=project, encoding="utf-8",
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache)}, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def finish(process):
    """Return (times loaded, times compiled), as a child reports them."""
    output, errors = process.communicate()
    assert process.returncode == 0, errors
    return tuple(json.loads(output))


def run(*arguments, **settings):
    return finish(start(*arguments, **settings))


def test_a_second_process_gets_the_same_bits(tmp_path):
    """Numba optimises the parts of a kernel several times, and may reorder sums each time."""
    outputs = []
    for _ in range(2):
        output, errors = start(tmp_path, code=SUMS).communicate()
        assert output, errors
        outputs.append(json.loads(output))
    (compiled, digests), (loaded, of_loaded) = outputs
    assert (compiled, loaded) == (0, 2)
    assert digests == of_loaded


# ---- never stale


def hash_now(sources):
    """Return the hash of source files as they are, not as they were when a kernel was made."""
    return compiler.source_hash.__wrapped__(sources)


@pytest.mark.parametrize("source", sorted(KERNELS.rglob("*.py")), ids=lambda path: path.stem)
def test_an_edit_of_any_source_changes_the_folder(source, tmp_path):
    copy = tmp_path / "kernels"
    shutil.copytree(KERNELS, copy, ignore=shutil.ignore_patterns("__pycache__"))
    before = hash_now(copy)
    edited = copy / source.relative_to(KERNELS)
    edited.write_bytes(edited.read_bytes() + b"#")
    after = hash_now(copy)
    edited.rename(copy / "renamed.py")
    assert len({hash_now(copy), after, before}) == 3


@pytest.mark.parametrize("source", sorted(KERNELS.rglob("*.py")), ids=lambda path: path.stem)
def test_kernels_import_nothing_of_ours_whose_edit_would_not_be_seen(source):
    """Numba freezes what a kernel imports, such as a table of constants, into the code."""
    found = re.findall(r"^ *(?:from|import) ((?:autograd|npgpt)\S*)", source.read_text(), re.M)
    if source.samefile(compiler.__file__):
        found.remove("autograd.compiling")  # it has no part in the code of a kernel
    assert all(name.startswith("autograd.kernels") for name in found)


# ---- several processes


def test_processes_that_start_at_once_on_an_empty_cache(tmp_path):
    children = [start(tmp_path, dtype) for dtype in ("float32", "float64") * 2]
    for child in children:
        assert sum(finish(child)) == 1
    assert list(tmp_path.iterdir()) == [tmp_path / compiler.cache_folder().name]
    assert {path.suffix for path in next(tmp_path.iterdir()).iterdir()} == {".nbc"}
    assert run(tmp_path, "float32", "float64") == (2, 0)


# ---- the same name, damaged, or not writable


def double(x):
    return 2 * x


def test_kernels_of_one_name_in_two_files_stay_apart(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not loaded()

    def double(x):
        return 3 * x

    double.__module__ = "elsewhere"
    assert compiler.serial_kernel(double)(21) == 63
    assert loaded()


def loaded():
    """Call a kernel as a new process does; return whether it is loaded from disk."""
    kernel = compiler.serial_kernel(double)
    assert kernel(21) == 42
    return bool(kernel.stats.cache_hits)


@pytest.mark.parametrize("damage", [
    lambda path: path.write_bytes(b""), lambda path: os.truncate(path, path.stat().st_size // 2),
    lambda path: (path.unlink(), path.symlink_to("/dev/zero")),
    lambda path: (path.unlink(), os.mkfifo(path)),
], ids=["empty", "cut", "device", "pipe"])
def test_a_damaged_file_is_replaced(tmp_path, monkeypatch, damage):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    assert not loaded()
    (path,) = tmp_path.rglob("*.nbc")
    damage(path)
    assert not loaded()
    assert loaded()


def test_a_flipped_bit_counts_as_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    kernel = compiler.serial_kernel(double)
    kernel(21)
    (types,), (path,) = kernel.signatures, tmp_path.rglob("*.nbc")
    content = path.read_bytes()

    @given(st.integers(0, 8 * len(content) - 1))
    def flip(bit):
        flipped = bytearray(content)
        flipped[bit // 8] ^= 1 << bit % 8
        path.write_bytes(flipped)
        assert kernel._cache.load_overload(types, kernel.targetctx) is None

    flip()
    path.write_bytes(content)
    assert loaded()


def test_a_folder_that_cannot_be_made_is_a_warning(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    (tmp_path / "file").touch()
    with pytest.warns(RuntimeWarning, match="file.*NUMBA_CACHE_DIR"):
        assert not loaded()
