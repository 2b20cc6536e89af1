"""What gradcheck refuses, with errors that say what to do, and what it leaves as it was."""

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
    """Inside, the op exp has this rule instead of its own."""
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


def float32(*shape):
    return array(*shape).astype(np.float32)


@pytest.mark.parametrize("x", [float32(3), Tensor(float32(3), requires_grad=True)])
def test_float32_is_refused_and_the_error_says_how_to_convert(x):
    with pytest.raises(TypeError, match=r"b is float32.*x\.data\.astype\(numpy\.float64\)"):
        gradcheck(ag.mul, [array(3), x])


def test_a_function_that_leaves_float64_is_refused():
    with pytest.raises(TypeError, match="f returns float32; keep everything in it float64"):
        gradcheck(lambda x: Tensor(x.data.astype(np.float32)), [array(3)])


@pytest.mark.parametrize("result", [3.0, (), None, Tensor([1, 2]), (Tensor([1.0]), 2)])
def test_what_is_no_float_tensor_is_no_result(result):
    with pytest.raises(TypeError, match="f returns a Tensor of floats, or a tuple of them"):
        gradcheck(lambda x: result, [array(3)])


@pytest.mark.parametrize(
    "inputs", [[], {}, [np.arange(3)], [Tensor(np.ones(3))], [np.zeros((0, 3))]]
)
def test_inputs_of_which_none_can_be_checked(inputs):
    with pytest.raises(ValueError, match="nothing to check; give a non-empty float64 array"):
        gradcheck(lambda *x, **y: x[0], inputs)


@pytest.mark.parametrize("inputs", [np.ones(3), Tensor(np.ones(3), requires_grad=True), 3.0])
def test_inputs_are_given_in_a_list(inputs):
    with pytest.raises(TypeError, match=r"list or dict of Tensors or arrays, as in \[x\]"):
        gradcheck(ag.exp, inputs)


def test_an_input_that_was_computed_is_refused():
    x = Tensor(array(3), requires_grad=True)
    with pytest.raises(ValueError, match="x was computed by op 'exp'; give a leaf"):
        gradcheck(ag.log, [ag.exp(x)])


@pytest.mark.parametrize("settings", [{"eps": 0.0}, {"rtol": 0.0}, {"atol": -1.0}, {"eps": np.nan}])
def test_settings_that_would_check_nothing(settings):
    with pytest.raises(ValueError, match="use positive numbers"):
        gradcheck(ag.exp, [array(3)], **settings)


def test_a_function_that_is_not_deterministic():
    rng, shapes = np.random.default_rng(0), itertools.cycle([(3, 3), (9,)])
    with pytest.raises(GradcheckError, match="returns something else when called again; seed"):
        gradcheck(lambda x: ag.dropout(x, 0.5, seed=int(rng.integers(1000))), [array(9)])
    with pytest.raises(GradcheckError, match="returns something else"):
        gradcheck(lambda x: x.reshape(next(shapes)), [array(9)])
    assert gradcheck(lambda x: ag.dropout(x, 0.5, seed=1), [array(9)]).passed


def test_a_forward_or_a_backward_that_writes_into_an_input():
    def halves_in_place(x, rows):
        x.data *= 0.5
        return x[rows]

    def sorts_its_indices(x, rows):
        y = x[rows]
        rows.sort()
        return y

    for name, f in {"x": halves_in_place, "rows": sorts_its_indices}.items():
        with pytest.raises(GradcheckError, match=f"f writes into {name}; use a copy"):
            gradcheck(f, [array(3), np.array([2, 0])])
    x = array(3)

    def rule(dz, saved):
        x[...] *= dz
        return x.copy()

    with exp_with(rule), pytest.raises(GradcheckError, match="backward writes into x; use"):
        gradcheck(ag.exp, [x])


def test_a_function_that_records_nothing():
    with pytest.raises(RuntimeError, match="do not compute it under no_grad"):
        gradcheck(no_grad()(ag.exp), [array(3)])
