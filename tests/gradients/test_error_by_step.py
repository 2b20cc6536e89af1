"""The error of finite differences is a valley: too long a step bends, too short a one is noise."""

import numpy as np
import pytest

import autograd as ag
from autograd import Tensor
from autograd.gradcheck import EPS, error_by_step

STEPS = 2.0 ** -np.arange(1, 40)


def function(a, b):
    return ag.softmax(ag.tanh(a @ b))


def inputs():
    rng = np.random.default_rng(0)
    return [rng.normal(size=(3, 4)), rng.normal(size=(4, 5))]


def test_the_step_of_gradcheck_lies_in_the_valley_of_float64():
    errors = error_by_step(function, inputs(), STEPS, np.float64)
    assert 1 / 16 <= STEPS[np.argmin(errors)] / EPS <= 16
    assert errors[list(STEPS).index(EPS)] < 1e-9
    assert np.allclose(errors[4:9] / errors[5:10], 4, rtol=0.05)  # a long step's is its square
    growth = np.polyfit(np.log2(STEPS[21:35]), np.log2(errors[21:35]), 1)[0]
    assert growth == pytest.approx(-1, abs=0.25)  # a short step divides rounding
    single = error_by_step(function, inputs(), STEPS, np.float32)
    assert single.min() > 1e3 * errors.min()
    assert STEPS[np.argmin(single)] > 16 * STEPS[np.argmin(errors)]
    assert single[-1] >= 0.9  # x + step is x: the difference is 0


def test_complex_steps_have_no_valley():
    errors = error_by_step(function, inputs(), STEPS, np.complex128)
    assert np.allclose(errors[4:9] / errors[5:10], 4, rtol=0.05)
    assert errors[28:].max() < 2e-15 < 1e-3 * error_by_step(function, inputs(), STEPS).min()


def test_a_complex_step_of_one_tensor_given_twice():
    x = Tensor(np.array([3.0]), requires_grad=True)
    assert error_by_step(ag.mul, [x, x], [1e-30], np.complex128) < 1e-15
