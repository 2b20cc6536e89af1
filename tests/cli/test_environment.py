"""A setting in the environment that cannot be used ends a command in one line of advice."""

import pytest
from tiny_run import TINY, npgpt

from autograd import backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(backend.name == "numpy", reason="these are settings of the kernels"),
]


def test_a_wrong_setting_is_one_line(corpus, tmp_path):
    """`import npgpt` does not need it yet."""
    wrong, out = {"AUTOGRAD_TILE": "16x16"}, tmp_path / "run"
    done = npgpt("train", corpus, "--out", out, *TINY, env=wrong)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "16x16" in done.stderr and "avx512bf16" in done.stderr and not out.exists()
    assert npgpt(code="import npgpt", env=wrong).returncode == 0
