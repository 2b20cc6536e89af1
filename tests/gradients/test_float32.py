"""The gradients in float32, in which models are trained, are those checked in float64."""

import numpy as np
import pytest

from autograd.gradcheck_cases import CASES

EPS = np.finfo(np.float32).eps


@pytest.mark.parametrize("name", sorted(CASES))
def test_gradients_agree_to_a_few_roundings(name, float32_gaps):
    for case in CASES[name]:
        for gap, scale in float32_gaps(case.f, case.inputs(seed=0)):
            assert gap <= 16 * EPS * scale, case.label
