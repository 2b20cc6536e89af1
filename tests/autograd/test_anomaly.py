"""Anomaly mode names the first op whose result is not finite, and leaves no trace."""

import re

import numpy as np
import pytest

import autograd as ag
from autograd import Tensor
from autograd.anomaly import AnomalyError, detect_anomaly


def test_the_first_op_of_a_chain_is_named_with_its_inputs():
    x = Tensor([1.0, -2.0, 3.0], requires_grad=True)
    with np.errstate(all="ignore"), pytest.raises(AnomalyError) as error, detect_anomaly():
        (ag.log(x) * 2.0).sum()
    for words in ("forward of log", "1 nan and 0 inf", "[1]", "from -2 to 3"):
        assert words in str(error.value)


def test_a_gradient_that_is_not_finite_is_found_where_it_arises():
    x = Tensor([0.0, 4.0], requires_grad=True)
    module = ["here"]
    watched = detect_anomaly(lambda: module[-1])
    with np.errstate(all="ignore"), pytest.raises(AnomalyError) as error, watched:
        root = ag.sqrt(x)
        module.append("elsewhere")
        (root * 2.0).sum().backward()
    assert re.search("backward of sqrt in here.* input x", str(error.value))


def test_an_input_that_was_never_finite_is_told_from_a_fault():
    with pytest.raises(AnomalyError, match=r"a \(2,\) .*1 nan .*\[1\]"), detect_anomaly():
        Tensor([1.0, np.nan]) + 1.0


def test_finite_results_are_those_without_it():
    def gradient():
        x = Tensor(np.arange(6.0).reshape(2, 3), requires_grad=True)
        parts = [*ag.split(ag.softmax(x), 1, axis=1), ag.concat([x, x]), ag.linear(x, np.eye(3))]
        sum((part * part).sum() for part in parts).backward()
        return x.grad

    with detect_anomaly():
        watched = gradient()
    np.testing.assert_array_equal(watched, gradient())


def test_a_graph_from_before_is_walked_and_not_looked_at():
    x = Tensor([0.0], requires_grad=True)
    root = ag.sqrt(x)
    with np.errstate(all="ignore"), detect_anomaly():
        root.backward()
    assert np.isinf(x.grad)
