"""The kernels that a function needs are found on the reference, and compiled once."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.kernels]

# Two kernels that compile quickly, one of them called twice.
CHILD = """
import contextlib, io, json, sys
import numpy as np
from autograd import backend
from npgpt.run.warmup import compile_all, kernel_calls, missing_kernels

def use_kernels():
    x = np.ones((3, 4), np.float32)
    backend.sum_of_squares([x])
    backend.embedding(x, np.arange(3))
    backend.sum_of_squares([x])

calls = kernel_calls(use_kernels)
missing = missing_kernels(calls)
said = io.StringIO()
compile_all(calls, said)
modules = sys.modules["autograd.kernels.optimizer"], sys.modules["autograd.kernels.embedding"]
stats = [modules[0]._sum_of_squares.stats, modules[1]._embedding.stats]
print(json.dumps({
    "calls": len(calls), "missing": [kernel.name for kernel, _ in missing],
    "said": said.getvalue().splitlines(),
    "loaded": [sum(s.cache_hits.values()) for s in stats],
    "left": len(missing_kernels([use_kernels])),
}))
"""


def child(cache, **variables):
    done = subprocess.run(
        [sys.executable, "-c", CHILD], check=False, capture_output=True, encoding="utf-8",
        env=os.environ | {"NUMBA_CACHE_DIR": str(cache), "AUTOGRAD_BACKEND": "numba"} | variables,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_kernels_are_compiled_once_and_said_once(tmp_path):
    found = child(tmp_path)
    assert found["calls"] == 3 and found["missing"] == ["_sum_of_squares", "_embedding"]
    first, last = found["said"]
    assert first.startswith(f"compiling 2 kernels, about 1 s, once; kept in {tmp_path}")
    assert last.startswith("compiled in ") and found["left"] == 0 and found["loaded"] == [0, 0]
    again = child(tmp_path)
    assert again["said"] == [] and again["loaded"] == [1, 1] and again["missing"] == []


def test_where_code_cannot_be_kept_it_is_compiled_all_the_same(tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder", encoding="utf-8")
    found = child(tmp_path / "cache", PYTHONWARNINGS="ignore")
    assert len(found["said"]) == 2 and found["left"] == 0
