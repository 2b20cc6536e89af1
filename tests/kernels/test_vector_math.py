"""The kernels' exp over the range of float32 and beyond, the normal distribution, the maximum."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numba import njit

from autograd.kernels import vector_math
from autograd.kernels.compiler import FASTMATH
from autograd.kernels.vector_math import HIGHEST, LOWEST


@njit(fastmath=FASTMATH, error_model="numpy")
def exp_of_each(x):
    """Compile exp as kernels do: their flags act on the polynomial here too."""
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = vector_math.exp(x[i])
    return y


@njit(fastmath=FASTMATH, error_model="numpy")
def normal_cdf_of_each(x):
    y = np.empty_like(x)
    for i in range(x.size):
        y[i] = vector_math.normal_cdf(x[i])
    return y


@njit(error_model="numpy")
def maximum_of(x):
    return vector_math.row_maximum(x)


@pytest.mark.slow
def test_the_error_is_below_two_and_a_half_units_in_the_last_place():
    dense = np.linspace(LOWEST, HIGHEST, 2_000_000, dtype=np.float32)
    small = np.geomspace(1e-38, 88, 1_000_000, dtype=np.float32)  # as many near 0 as near 88
    x = np.concatenate([dense, small, np.maximum(-small, LOWEST)])
    exact = np.exp(x.astype(np.float64))
    error = np.abs(exp_of_each(x) - exact) / np.spacing(exact.astype(np.float32))
    assert error.max() < 2.5, f"{error.max():.2f} units at {x[error.argmax()]!r}"


def test_the_limits_are_those_of_float32():
    assert np.exp(np.float64(HIGHEST)) <= np.finfo(np.float32).max
    assert np.exp(np.float64(np.nextafter(HIGHEST, np.float32(np.inf)))) > np.finfo(np.float32).max
    assert 1 <= np.exp(np.float64(LOWEST)) / np.finfo(np.float32).tiny < 2
    beyond = np.nextafter(np.array([LOWEST, HIGHEST]), np.float32([-np.inf, np.inf]))
    np.testing.assert_array_equal(exp_of_each(beyond), np.float32([0, np.inf]))


@given(st.lists(st.floats(width=32), min_size=1, max_size=70))
def test_any_float32_in_vectors_of_any_length(floats):
    x = np.float32(floats)
    with np.errstate(over="ignore"):
        expected = np.exp(x.astype(np.float64)).astype(np.float32)
    expected[x < LOWEST] = 0  # instead of a subnormal, or nearly one
    np.testing.assert_allclose(exp_of_each(x), expected, rtol=3e-7)


def test_float64_is_as_accurate_as_numpy():
    x = np.linspace(-745, 709, 100_001)
    np.testing.assert_allclose(exp_of_each(x), np.exp(x), rtol=1e-15, atol=5e-324)


def test_the_normal_distribution_and_both_its_tails():
    special = [0, -0.0, 1e-45, 3e38, -3e38, np.inf, -np.inf]
    x = np.concatenate([np.linspace(-20, 20, 20_001), special]).astype(np.float32)
    exact = np.array([0.5 * math.erfc(-v / math.sqrt(2)) for v in x.tolist()])
    error = np.abs(normal_cdf_of_each(x) - exact)
    assert error.max() < 2.5e-7, f"{error.max():.2g} at {x[error.argmax()]!r}"
    tail = (x > -5) & (x < 0)
    assert (error[tail] / exact[tail]).max() < 0.003
    assert np.isnan(normal_cdf_of_each(np.float32([np.nan]))[0])


@given(st.sampled_from([np.float32, np.float64]), st.data())
def test_the_maximum_is_that_of_numpy(dtype, data):
    elements = st.floats(width=8 * np.dtype(dtype).itemsize)
    x = data.draw(arrays(dtype, st.integers(1, 70), elements=elements))
    np.testing.assert_array_equal(maximum_of(x), x.max())
