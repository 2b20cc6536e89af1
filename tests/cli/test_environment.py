"""A setting in the environment that cannot be used ends a command in one line of advice."""

import importlib.util
import re
import subprocess
import sys

import pytest
from tiny_run import TINY, environment

from autograd import backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend.name == "numpy", reason="these are settings of the kernels"),
]


@pytest.mark.parametrize("command", ["train", "import"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        pytest.param(
            "NUMBA_THREADING_LAYER=tbb", "No threading layer .*pip install tbb .*: unset it, or",
            marks=pytest.mark.skipif(importlib.util.find_spec("tbb") is not None, reason="has TBB"),
        ),
        ("NUMBA_THREADING_LAYER=none", "'none' is unknown to Numba.*: unset it, or set it to omp,"),
        ("NUMBA_NUM_THREADS=two", "NUMBA_NUM_THREADS' is defined .*'two' could not be .* correct "),
        ("NUMBA_NUM_THREADS=0", r"must be > 0.*'NUMBA_NUM_THREADS': '0'\}, unset or correct"),
        ("NUMBA_DISABLE_JIT=maybe", "NUMBA_DISABLE_JIT' is defined .*'maybe' .* unset or correct"),
        ("NUMBA_DISABLE_JIT=1", "NUMBA_DISABLE_JIT is set, .*; unset it, or set AUTOGRAD_BACKEND="),
        ("AUTOGRAD_BACKEND=torch", "AUTOGRAD_BACKEND='torch' is unknown; use one of: numba, numpy"),
        ("AUTOGRAD_TILE=16x16", "AUTOGRAD_TILE='16x16' is unknown; use one of: amx, avx512bf16, "),
    ],
)
def test_a_wrong_setting_is_one_line(setting, said, command, corpus, tmp_path):
    """`import npgpt` needs none of them yet."""
    train = ["-m", "npgpt.cli", "train", "--corpus", corpus, "--out", tmp_path / "run", *TINY]
    arguments = train if command == "train" else ["-c", "import npgpt"]
    name, value = setting.split("=")
    done = subprocess.run(
        [sys.executable, *arguments], env=environment(**{name: value}), check=False,
        capture_output=True, encoding="utf-8",
    )
    if command == "import":
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        return
    assert done.returncode == 1 and done.stdout == ""
    assert re.fullmatch(f"npgpt {command}: .*{said}.*\n", done.stderr)
    assert not (tmp_path / "run").exists()
