"""Rungs and runners of the kernels' benchmark compute the same products."""

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks import ladder, runner_npgpt, runner_numpy, shapes
from benchmarks.kernels import summary
from benchmarks.measure import Comparison
from npgpt import GPTConfig


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


@pytest.mark.parametrize("form", ["nn", "nt", "tn"])
@pytest.mark.parametrize("Z", [1, 3])
def test_runners_multiply_the_same(form, Z):
    sizes = {"form": form, "Z": Z, "M": 5, "N": 6, "K": 7}
    ours, numpys = (runner.product(**sizes)() for runner in (runner_npgpt, runner_numpy))
    np.testing.assert_allclose(ours.reshape(numpys.shape), numpys, rtol=1e-5, atol=1e-5)
    assert ours.shape == (Z, 5, 6)


@pytest.mark.parametrize(
    ("task", "settings"),
    [
        ("op", {"name": "attention", "sizes": (1, 2, 5, 4)}),
        ("op", {"name": "layer_norm", "sizes": (5, 4)}),
        ("op", {"name": "softmax", "sizes": (5, 4)}),
        ("op", {"name": "gelu", "sizes": (5, 4)}),
        ("op", {"name": "cross_entropy", "sizes": (5, 4)}),
        ("adamw", {"config": asdict(GPTConfig(9, 4, 1, 1, 4))}),
    ],
)
@pytest.mark.slow
def test_every_task_runs_for_us_and_for_pytorch(task, settings):
    pytest.importorskip("torch", reason="PyTorch's side needs it: pip install '.[peers]'")
    from benchmarks import runner_torch

    for runner in (runner_npgpt, runner_torch):
        getattr(runner, task)(**settings)()


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
