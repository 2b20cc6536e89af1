"""A helper is compiled once for all constants, and makes machine code in kernels only."""

import numba
import numpy as np
import pytest
from numba import prange

from autograd.kernels import compiler

pytestmark = pytest.mark.kernels


@pytest.fixture
def functions(monkeypatch, tmp_path):
    """Return (a helper, a kernel that calls it) in a cache of their own."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))

    @compiler.helper
    def repeated(x, times):
        room = np.empty(times)
        room[:] = x
        return room.sum()

    @compiler.kernel
    def fill(y):
        for i in prange(len(y)):
            y[i] = repeated(1.0, 3) + repeated(1.0, 4) + repeated(0.5, len(y))

    return repeated, fill


def test_a_helper_is_compiled_once_for_all_constants(functions):
    repeated, fill = functions
    y = np.zeros(6)
    fill(y)
    np.testing.assert_array_equal(y, 10)
    assert len(repeated.signatures) == 1


def test_a_helper_makes_no_machine_code_and_serves_other_functions_all_the_same(functions):
    repeated, fill = functions
    fill(np.zeros(6))
    (compiled,) = repeated.overloads.values()
    assert compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name) == 0

    @numba.njit
    def of_somebody_else(n):
        return repeated(2.0, n) + np.empty(n).size

    assert of_somebody_else(5) == 15
