"""A setting in the environment that cannot be used ends a command in one line of advice."""

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


def test_a_wrong_setting_of_the_bars_is_one_line():
    done = subprocess.run([sys.executable, "-m", "npgpt.cli", "info"], check=False,
                          env=environment(TQDM_MININTERVAL="x"), capture_output=True, text=True)
    assert done.returncode == 1 and re.fullmatch("npgpt: .*TQDM_.*'x'\n", done.stderr)
