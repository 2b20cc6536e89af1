"""The worked examples in the docstrings of autograd are true."""

import doctest

import pytest

import autograd
from autograd import anomaly, checks
from autograd.ops import arithmetic


@pytest.mark.parametrize("module", [autograd, anomaly, arithmetic, checks])
def test_examples_in_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted > 0
    assert failed == 0


def test_every_op_states_its_equation_or_its_rule(name):
    op = autograd.OPS[name]
    assert "=" in op.__doc__ or len(op.__doc__) > 30
    assert op.vjp is not None
