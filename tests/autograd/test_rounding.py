"""Sums of many float32 numbers keep their digits, whichever axis they lie along."""

import numpy as np
import pytest

import autograd
from autograd import Tensor, kernels, reference

EPS = np.finfo(np.float32).eps
DATA = {
    "tenths": lambda rng, n: np.full((n, 4), 0.1, np.float32),
    "positive": lambda rng, n: rng.uniform(1, 2, (n, 4)).astype(np.float32),
    "normal": lambda rng, n: rng.normal(3, 1, (n, 4)).astype(np.float32),
}
REDUCTIONS = {
    "sum": lambda x: x.sum(axis=0),
    "mean": lambda x: x.mean(axis=0),
    "var": lambda x: x.var(axis=0),
    "logsumexp": lambda x: np.log(np.exp(x).sum(axis=0)),
}
sizes = pytest.mark.parametrize("n", [2**12, 2**20])
data = pytest.mark.parametrize("x", DATA)


def relative_error(found, exact):
    return np.max(np.abs(np.asarray(found, np.float64) - exact) / np.maximum(np.abs(exact), 1e-30))


@sizes
@data
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_reduction(reduction, axis, x, n):
    x = DATA[x](np.random.default_rng(0), n)
    exact = REDUCTIONS[reduction](x.astype(np.float64))
    x = np.ascontiguousarray(x.T) if axis else x
    found = getattr(autograd, reduction)(x, axis=axis).data.astype(np.float64)
    if exact.max() < 1e-10:  # the variance of equal numbers: only the mean's rounding is left
        found, exact = 1 + found, 1 + exact
    assert relative_error(found, exact) <= 4 * EPS


@sizes
@data
@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_the_gradient_of_what_was_broadcast(shape, x, n):
    x = DATA[x](np.random.default_rng(0), n)
    bias = Tensor(np.zeros(shape, np.float32), requires_grad=True)
    (np.ones_like(x) + bias).backward(x)
    assert relative_error(bias.grad.reshape(4), x.sum(axis=0, dtype=np.float64)) <= 4 * EPS


@sizes
@data
@pytest.mark.parametrize("backend", [kernels, reference])
def test_the_gradients_of_a_bias(backend, x, n):
    dy = DATA[x](np.random.default_rng(0), n)
    exact = dy.sum(axis=0, dtype=np.float64)
    rows = np.ones((n, 4), np.float32)
    _, dbias = backend.linear_backward(dy, rows)
    assert relative_error(dbias, exact) <= 4 * EPS
    mean, rstd = np.zeros((2, n), np.float32)
    rstd += 1
    _, dweight, dbias = backend.layer_norm_backward(dy, rows, np.ones(4, np.float32), mean, rstd)
    assert relative_error(dbias, exact) <= 4 * EPS
    assert relative_error(dweight, exact) <= 4 * EPS  # each row is normal: 1, 1, 1, 1
    _, dweight = backend.rms_norm_backward(dy, rows, np.ones(4, np.float32), rstd)
    assert relative_error(dweight, exact) <= 4 * EPS
