"""A setting in the environment that cannot be used ends a command in one line of advice."""

import pytest
from tiny_run import TINY, npgpt

from autograd import backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend.name == "numpy", reason="these are settings of the kernels"),
]


@pytest.mark.parametrize(
    ("setting", "facts"),
    [
        ("NUMBA_DISABLE_JIT=1", ("AUTOGRAD_BACKEND=numpy",)),
        ("AUTOGRAD_BACKEND=torch", ("'torch'", "numba, numpy")),
        ("AUTOGRAD_TILE=16x16", ("'16x16'", "amx, avx512bf16")),
    ],
)
def test_a_wrong_setting_is_one_line(setting, facts, corpus, tmp_path):
    """`import npgpt` needs none of them yet."""
    name, value = setting.split("=")
    done = npgpt("train", "--corpus", corpus, "--out", tmp_path / "run", *TINY, env={name: value})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert name in done.stderr and all(fact in done.stderr for fact in facts)
    assert not (tmp_path / "run").exists()
    done = npgpt(code="import npgpt", env={name: value})
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
