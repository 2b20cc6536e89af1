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
    best = STEPS[np.argmin(errors)]
    assert EPS in STEPS
    assert 1 / 16 <= best / EPS <= 16
    assert errors[list(STEPS).index(EPS)] < 1e-9


def test_the_error_of_a_long_step_is_its_square():
    long_steps = 2.0 ** -np.arange(5, 11)
    errors = error_by_step(function, inputs(), long_steps)
    assert np.allclose(errors[:-1] / errors[1:], 4, rtol=0.05)


def test_float32_has_a_higher_valley_at_a_longer_step():
    single = error_by_step(function, inputs(), STEPS, np.float32)
    double = error_by_step(function, inputs(), STEPS, np.float64)
    assert single.min() > 1e3 * double.min()
    assert STEPS[np.argmin(single)] > 16 * STEPS[np.argmin(double)]
    assert single[-1] >= 0.9  # x + step is x: the difference is 0


def test_complex_steps_have_no_valley():
    errors = error_by_step(function, inputs(), STEPS, np.complex128)
    assert np.allclose(errors[4:9] / errors[5:10], 4, rtol=0.05)
    assert errors[28:].max() < 2e-15 < 1e-3 * error_by_step(function, inputs(), STEPS).min()


def test_a_complex_step_of_one_tensor_given_twice():
    x = Tensor(np.array([3.0]), requires_grad=True)
    assert error_by_step(ag.mul, [x, x], [1e-30], np.complex128) < 1e-15


def test_rounding_grows_as_the_step_shrinks():
    short_steps = 2.0 ** -np.arange(22, 36.0)
    errors = error_by_step(function, inputs(), short_steps)
    growth = np.polyfit(np.log2(short_steps), np.log2(errors), 1)[0]
    assert growth == pytest.approx(-1, abs=0.25)


def test_tensors_that_a_function_reads_from_elsewhere_change_dtype_and_back():
    w = Tensor(inputs()[0], requires_grad=True)
    data, dtypes = w.data, []

    def f(**_):
        dtypes.append(w.dtype)
        return ag.exp(w)

    errors = error_by_step(f, {"w": w}, [1e-3], np.float32)
    assert errors.shape == (1,)
    assert set(dtypes) == {np.dtype(np.float32), np.dtype(np.float64)}
    assert w.data is data
    assert w.grad is None
