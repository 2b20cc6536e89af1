"""Rungs and runners of the kernels' benchmark compute the same products."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import ladder, shapes
from benchmarks.kernels import summary
from benchmarks.measure import Comparison


@pytest.mark.parametrize("rung", ladder.RUNGS, ids=lambda rung: rung.__name__)
@given(M=st.integers(1, 9), K=st.integers(1, 9), N=st.integers(1, 20))
def test_every_rung_is_the_product(rung, M, K, N):
    a_MK, b_KN = shapes.random(M, K), shapes.random(K, N, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ladder, "BLOCK", 4)
        patch.setattr(ladder, "blocks", ladder.blocks.py_func)
        # As Python runs it: compiling would take longer than all other tests of this folder.
        found = rung.py_func(a_MK, b_KN)
    np.testing.assert_allclose(found, a_MK @ b_KN, rtol=1e-4, atol=1e-4)


def test_the_summary_has_the_mean_and_the_worst_by_model():
    ratios = {"cpu, a": 2.0, "cpu, b": 0.5, "baby, a": 4.0}
    found = [
        Comparison(what, "NumPy", 1, ratio, ratio, ratio, ratio) for what, ratio in ratios.items()
    ]
    absent = [Comparison("cpu, a", "PyTorch", 1, note="not measured")]
    assert summary(found + absent).rows == [
        ["NumPy", "all", "3", "1.59", "0.50 (cpu, b)"],
        ["NumPy", "cpu", "2", "1.00", "0.50 (cpu, b)"],
        ["NumPy", "baby", "1", "4.00", "4.00 (baby, a)"],
    ]
