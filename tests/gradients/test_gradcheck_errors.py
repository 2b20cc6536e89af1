"""gradcheck refuses what it cannot check, says what to do instead, and restores its inputs."""

import itertools
from unittest import mock

import numpy as np
import pytest

import autograd as ag
from autograd import OPS, GradcheckError, Tensor, gradcheck, no_grad
from autograd.gradcheck import random_signed


def array(*shape):
    return random_signed(np.random.default_rng(0), shape)


def exp_with(rule):
    """Give the op exp this rule inside the block."""
    return mock.patch.object(OPS["exp"], "vjp", rule)


def test_tensors_are_as_before_afterwards():
    data, gradient, calls = array(3), array(3), itertools.count()
    x = Tensor(data, requires_grad=True)
    x.grad = gradient
    before = data.copy(), gradient.copy()

    def breaks_off(x):
        if next(calls) == 7:
            raise KeyboardInterrupt
        return ag.exp(x)

    gradcheck(ag.exp, [x])
    with exp_with(lambda dz, saved: dz), pytest.raises(GradcheckError):
        gradcheck(ag.exp, [x])
    with pytest.raises(KeyboardInterrupt):
        gradcheck(breaks_off, [x])
    assert x.data is data and x.grad is gradient
    np.testing.assert_array_equal([data, gradient], before)


def leaf(x):
    return Tensor(x, requires_grad=True)


SINGLE = array(3).astype(np.float32)
SEEDS, SHAPES = itertools.count(), itertools.cycle([(3, 3), (9,)])
REFUSED = [
    *[(ag.mul, [array(3), x], TypeError, "b .*float32") for x in (SINGLE, leaf(SINGLE))],
    (lambda x: Tensor(x.data.astype("f4")), [array(3)], TypeError, "f .*float32"),
    *[(lambda *x: x[0], inputs, ValueError, "float64")
      for inputs in ([], [np.arange(3)], [Tensor(np.ones(3))], [np.zeros((0, 3))])],
    (lambda x: ag.dropout(x, 0.5, seed=next(SEEDS)), [array(9)], GradcheckError, "seed"),
    (lambda x: x.reshape(next(SHAPES)), [array(9)], GradcheckError, "seed"),
    (no_grad()(ag.exp), [array(3)], RuntimeError, "no_grad"),
]


@pytest.mark.parametrize(("f", "inputs", "error", "message"), REFUSED)
def test_what_cannot_be_checked_is_refused(f, inputs, error, message):
    with pytest.raises(error, match=message):
        gradcheck(f, inputs)


def test_an_input_that_was_computed_is_checked_as_a_leaf():
    x = leaf(np.ones(3))
    assert gradcheck(ag.log, [ag.exp(x)]).passed and x.grad is None


def test_a_forward_or_a_backward_that_writes_into_an_input():
    def halves_in_place(x, rows):
        x.data *= 0.5
        return x[rows]

    def sorts_its_indices(x, rows):
        y = x[rows]
        rows.sort()
        return y

    for name, f in {"x": halves_in_place, "rows": sorts_its_indices}.items():
        with pytest.raises(GradcheckError, match=f"f .*{name};"):
            gradcheck(f, [array(3), np.array([2, 0])])
    x = array(3)

    def rule(dz, saved):
        x[...] *= dz
        return x.copy()

    with exp_with(rule), pytest.raises(GradcheckError, match="backward .* x;"):
        gradcheck(ag.exp, [x])
