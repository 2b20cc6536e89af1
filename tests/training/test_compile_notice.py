"""What a command warms up before it is timed: every kernel."""

import sys

import pytest
from numba.core.dispatcher import Dispatcher

from npgpt.cli.warm_up import call_all

pytestmark = [pytest.mark.slow, pytest.mark.kernels]


def test_the_warm_up_calls_every_kernel():
    call_all()
    modules = [m for name, m in sys.modules.items() if name.startswith("autograd.kernels")]
    functions = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
    idle = {f.__name__ for f in functions if f.stats.cache_path and not f.signatures}
    assert idle <= {"_shares", "_attention"}  # inside _gpt_step, whose code on disk has them
