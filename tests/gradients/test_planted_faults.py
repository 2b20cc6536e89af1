"""The checks can fail: each op's rule is made wrong on purpose, and `check_op` has to notice.

A fault replaces the gradient of one input by a different array. Some faults change nothing for some
op: the gradient of a sum is constant, so rolling it gives it back. Then the check has to pass.
"""

from contextlib import contextmanager
from itertools import combinations
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
from op_table import TABLE

from autograd import OPS
from autograd.gradcheck import check_op, examine
from autograd.gradcheck_cases import CASES


def median_entry_scaled(gradient):
    """The median of the entries that are not 0 is too large by a thousandth."""
    wrong = gradient.copy()
    order = np.argsort(np.abs(gradient), axis=None)[np.count_nonzero(gradient == 0) :]
    if order.size:
        wrong.flat[order[(order.size - 1) // 2]] *= 1.001
    return wrong


FAULTS = {
    "scaled by 1.001": lambda gradient: gradient * 1.001,
    "sign flipped": lambda gradient: -gradient,
    "zeroed": lambda gradient: gradient * 0,
    "median entry scaled by 1.001": median_entry_scaled,
    "rolled by one": lambda gradient: np.roll(gradient, 1),
}
TINY = 1 + 1e-12  # too small for any difference: the transpose test alone sees it


@contextmanager
def planted(name, change):
    """Apply `change`, inside the block, to the list of gradients that op `name` computes.

    Yields an object with `inputs`, their number, and `changed`: True if a wanted gradient differs.
    """
    seen = SimpleNamespace(inputs=0, changed=False)
    gradients = OPS[name].gradients

    def wrong_gradients(d_output, saved, needs, sums):
        right = gradients(d_output, saved, needs, sums)
        wrong = tuple(change(list(right)))
        same = [np.array_equal(r, w) for r, w in zip(right, wrong, strict=True)]
        seen.inputs = max(seen.inputs, len(right))
        seen.changed |= any(need and not s for need, s in zip(needs, same, strict=True))
        return wrong

    with mock.patch.object(OPS[name], "gradients", wrong_gradients):
        yield seen


def in_input(i, fault):
    """Return a change of the list of gradients: the fault in the gradient of input i."""
    return lambda gs: [fault(g) if j == i and g is not None else g for j, g in enumerate(gs)]


def swapped(i, j):
    """Return a change of the list of gradients: i and j exchanged, if their shapes are equal."""

    def change(gs):
        if j < len(gs) and gs[i] is not None and gs[j] is not None and gs[i].shape == gs[j].shape:
            gs[i], gs[j] = gs[j], gs[i]
        return gs

    return change


def number_of_inputs(name):
    with planted(name, lambda gs: gs) as seen:
        assert check_op(name).passed
    return seen.inputs


def is_caught(name, change):
    """Return True if the fault changes a gradient; assert that the check fails exactly then."""
    with planted(name, change) as seen:
        report = check_op(name)
    assert report.passed == (not seen.changed), f"a wrong gradient of {name} passes"
    if seen.changed:
        assert f".{OPS[name].vjp.__name__}" in str(report)
    return seen.changed


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("name", sorted(OPS))
def test_a_fault_in_the_gradient_of_any_input_is_caught(name, fault):
    caught = [is_caught(name, in_input(i, FAULTS[fault])) for i in range(number_of_inputs(name))]
    without_gradient = {"where": [0]}.get(name, [])  # its condition is no number
    if fault != "rolled by one":
        assert [i for i, was in enumerate(caught) if not was] == without_gradient


@pytest.mark.parametrize("name", sorted(OPS))
def test_the_transpose_test_notices_an_error_of_the_twelfth_digit(name):
    exact = TABLE[name].exact
    assert (check_op(name).transpose is not None) == exact, (
        "whether a complex step goes through it: `exact` of its Entry in tests/op_table.py")
    for i in range(number_of_inputs(name)):
        with planted(name, in_input(i, lambda gradient: gradient * TINY)) as seen:
            report = check_op(name)
        assert report.passed == (not exact or not seen.changed)


def test_a_forward_that_drops_the_imaginary_part_is_left_to_differences():
    report = examine(OPS["abs"], [np.array([1.0, 2.0])], transpose=True)
    assert report.passed and report.transpose is None


@pytest.mark.parametrize("name", sorted(OPS))
def test_each_case_by_itself_notices_one_wrong_entry(name, monkeypatch):
    for case in CASES[name]:
        monkeypatch.setitem(CASES, name, [case])
        for i in range(number_of_inputs(name)):
            is_caught(name, in_input(i, median_entry_scaled))


@pytest.mark.parametrize("name", [name for name, op in OPS.items() if len(op.array_names) != 1])
def test_gradients_given_to_the_wrong_input_are_caught(name):
    for i, j in combinations(range(number_of_inputs(name)), 2):
        is_caught(name, swapped(i, j))
