"""Other processes compile ahead what a function needs; when they fail, this one compiles it."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

# A function that uses two kernels which compile quickly, as the other processes find it.
MODULE = """
import numpy as np
from autograd import backend

def use_kernels(size):
    x = np.ones((size, 4), np.float32)
    backend.sum_of_squares([x])
    backend.embedding(x, np.arange(size))
"""
CHILD = """
import json, os, sys
from contextlib import closing
from autograd import kernels
from autograd.kernels import ahead
from quick import use_kernels

reports = []
{before}
with closing(ahead.CompileAhead(use_kernels, 3, report=lambda *what: reports.append(what))) as work:
    {meanwhile}
    work.finish()
modules = sys.modules["autograd.kernels.optimizer"], sys.modules["autograd.kernels.embedding"]
stats = [modules[0]._sum_of_squares.stats, modules[1]._embedding.stats]
print(json.dumps({{
    "reports": reports, "others": [p.returncode for p in work.processes],
    "loaded": [sum(s.cache_hits.values()) for s in stats],
    "compiled": [name for what, name in reports if what == "begin"],
    "missing": ahead.missing_kernel(lambda: use_kernels(2)) is not None,
}}))
"""
NAMES = {"_sum_of_squares", "_embedding"}


@pytest.fixture
def child(tmp_path):
    """Run the code above, with statements before the work begins and meanwhile."""
    (tmp_path / "quick.py").write_text(MODULE, encoding="utf-8")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])

    def run(before="pass", meanwhile="pass", **variables):
        code = CHILD.format(before=before, meanwhile=meanwhile)
        done = subprocess.run(
            [sys.executable, "-c", code],
            env=os.environ | {"NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": path,
                              "NUMBA_NUM_THREADS": "2", "AUTOGRAD_BACKEND": "numba"} | variables,
            check=False, capture_output=True, encoding="utf-8",
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def test_others_compile_and_this_process_loads(child):
    found = child()
    assert found["others"] == [0, 0] and found["loaded"] == [1, 1] and not found["missing"]
    assert {name for what, name in found["reports"] if what == "needs"} == NAMES
    assert sorted(found["compiled"]) == sorted(NAMES)  # each once, by one of the two
    again = child()
    assert again["others"] == [] and again["reports"] == [] and again["loaded"] == [1, 1]


@pytest.mark.parametrize(
    ("before", "others"),
    [
        ("os.environ['AUTOGRAD_TILE'] = 'none of this name'", [1, 1]),
        ("sys.executable = 'no such program'", []),
    ],
)
def test_what_others_cannot_do_is_done_here_and_reported(child, before, others):
    found = child(before)
    assert found["others"] == others and found["loaded"] == [0, 0] and not found["missing"]
    assert sorted(found["compiled"]) == sorted(NAMES)


def test_others_end_with_this_process(child):
    found = child(meanwhile="work.close(); work.finish = int")
    assert all(found["others"]), "they were not ended, but waited for"
    assert found["missing"]


def test_when_others_are_ended_this_process_compiles_the_rest(child):
    found = child(meanwhile="[process.kill() for process in work.processes]")
    assert found["others"] == [-9, -9] and not found["missing"]


def test_what_else_they_say_is_read_and_not_reported(child):
    found = child(NUMBA_DEBUG_CACHE="1", before="sys.stdout = sys.stderr",
                  meanwhile="sys.stdout = sys.__stdout__; import numba; "
                            "numba.config.DEBUG_CACHE = 0")
    assert found["others"] == [0, 0] and {name for _, name in found["reports"]} == NAMES


def test_where_code_is_not_kept_no_process_is_started(child, tmp_path):
    (tmp_path / "cache").write_text("a file in the place of the folder", encoding="utf-8")
    found = child(PYTHONWARNINGS="ignore")
    assert found["others"] == [] and sorted(found["compiled"]) == sorted(NAMES)
