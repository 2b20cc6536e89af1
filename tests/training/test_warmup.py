"""The bar of compiled kernels counts those that are compiled."""

import subprocess
import sys

import pytest

USED = """
import sys
from numba.core.dispatcher import Dispatcher
from npgpt import GPTConfig
from npgpt.training.warmup import warm_up
warm_up(GPTConfig(9, 8, 2, 2, 8, dropout=float(sys.argv[1])))
modules = [m for name, m in sys.modules.items() if name.startswith("autograd.kernels")]
found = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
print(*{f.__name__ for f in found if f.signatures and f.targetoptions.get("parallel")})
"""


def test_in_a_pipe_each_kernel_is_a_line(capsys):
    from npgpt.training.warmup import _Bar

    bar = _Bar(("_gelu", "_adamw"))
    for name in ("_gelu", "some other function", "_adamw"):
        bar.start(name)
        bar.end(name)
    bar.close()
    lines = capsys.readouterr().out.splitlines()
    assert lines == ["compiling the kernels, once for all runs", "    1 of 2: _gelu",
                     "    2 of 2: _adamw"]  # fmt: skip


@pytest.mark.parametrize("dropout", [0.0, 0.1])
def test_the_kernels_named_are_those_that_a_training_step_uses(dropout):
    from npgpt.training.warmup import KERNELS

    run = subprocess.run(
        [sys.executable, "-c", USED, str(dropout)],
        check=False, capture_output=True, encoding="utf-8",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    used = set(run.stdout.splitlines()[-1].split())
    assert used == set(KERNELS) - (set() if dropout else {"_dropout"})
