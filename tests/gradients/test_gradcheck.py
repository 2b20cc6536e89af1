"""gradcheck itself: what it finds, and what it says."""

import re
import warnings
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd as ag
from autograd import OPS, GradcheckError, Tensor, gradcheck, op, vjp
from autograd.gradcheck import (
    FULL_CHECK_ENTRIES,
    RTOL,
    SAMPLED_ENTRIES,
    error_by_step,
    random_signed,
)


def op_with(rule, forward=lambda x, /: (x * x, (x,))):
    """An op with any rule, of z = x^2 or another forward; not kept in the registry."""
    with mock.patch.dict(OPS):
        made = op(forward)
    vjp(made)(rule)
    return made


def square_rule(dz, saved):
    return 2 * dz * saved[0]


def off_at(index, by):
    """The rule of z = x^2 with an error in one entry."""

    def rule(dz, saved):
        dx = square_rule(dz, saved)
        dx[index] += by
        return dx

    return rule


def array(*shape, seed=0):
    return random_signed(np.random.default_rng(seed), shape)


# What it finds


def test_a_right_rule_passes_and_the_report_says_how_well():
    report = gradcheck(op_with(square_rule), [array(3, 4)])
    found = report.worst
    assert (found.name, found.shape, found.compared, found.wrong) == ("x", (3, 4), 12, 0)
    assert report.passed and found.error < 1e-9 and "0 of 1 " in str(report)


def test_the_report_names_the_function_the_input_the_entry_and_the_error():
    def rule(dz, saved):
        a, b = saved
        db = dz * a
        db[1, 2] *= 1.5
        return dz * b, db

    def product(a, b, /):
        return a * b, (a, b)

    a, b = array(2, 3), array(2, 3, seed=1)
    with pytest.raises(GradcheckError) as error:
        gradcheck(op_with(rule, product), [a, b])
    text = str(error.value)
    assert "product: 1 of 2 " in text and "ratio 1.5," in text
    assert re.search(r"b, shape \(2, 3\): 1 of 6 .*\[1, 2\]", text)
    analytic, numeric = (float(re.search(rf"{k} (-?[\d.e-]+)", text)[1])
                         for k in ("analytic", "numeric"))
    assert analytic == pytest.approx(1.5 * numeric, rel=1e-6)
    assert 0.5 <= abs(numeric / a[1, 2]) <= 1


def test_inputs_in_a_dict_are_passed_and_reported_by_name():
    w = Tensor(array(3), requires_grad=True)

    def f(*, weight, **_):
        return op_with(off_at((1,), 0.25))(weight) + w  # a Tensor may be read from elsewhere

    with pytest.raises(GradcheckError, match=r"f: 1 of 2 .*\n  weight, shape \(3,\): 1"):
        gradcheck(f, {"weight": array(3), "w.0": w})


@pytest.mark.parametrize(
    ("f", "names"),
    [
        (partial(ag.layer_norm, np.ones((2, 3))), ["weight", "bias"]),
        (lambda rows, *rest: ag.layer_norm(rows, *rest) * 2, ["rows", "input 1", "input 2"]),
    ],
)
def test_inputs_in_a_list_are_reported_by_the_names_of_the_parameters(f, names):
    inputs = [array(2, 3), array(3), array(3)][-len(names) :]
    assert [found.name for found in gradcheck(f, inputs).inputs] == names


@pytest.mark.parametrize("factor", [2, -1, 0])
def test_a_softmax_rule_that_an_all_ones_cotangent_can_not_judge(factor):
    def rule(dy, saved):
        (y,) = saved
        return factor * y * (dy - (dy * y).sum(axis=1, keepdims=True))

    def softmax(x, /):
        y = np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)
        return y, (y,)

    wrong_softmax = op_with(rule, softmax)
    x = Tensor(array(3, 4), requires_grad=True)
    wrong_softmax(x).backward(np.ones((3, 4)))
    assert np.abs(x.grad).max() < 1e-15  # rows of a softmax sum to 1: right, whatever the factor
    with pytest.raises(GradcheckError, match=f"ratio {factor},"):
        gradcheck(wrong_softmax, [x])


def test_every_output_of_several_is_checked():
    def rule(d_outputs, saved):
        first, second = d_outputs
        return 2 * first + 3.003 * second

    def twice_and_thrice(x, /):
        return (2 * x, 3 * x), ()

    with pytest.raises(GradcheckError):
        gradcheck(op_with(rule, twice_and_thrice), [array(4)])
    constant = Tensor(np.ones(2))
    assert gradcheck(lambda x: (x * x, constant, ag.exp(x)), [array(4)]).passed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("size", [5, 1000])
def test_a_gradient_that_is_no_number_is_wrong_where_it_stands(size, value):
    with pytest.raises(GradcheckError, match=rf"1 of .* worst at \[4\]: analytic {value}"):
        gradcheck(op_with(off_at((4,), value)), [array(size)])


def test_a_gradient_hidden_from_backward_is_missed_and_one_without_influence_is_zero():
    with pytest.raises(GradcheckError, match="x, .* analytic 0,"):
        gradcheck(lambda x, y: x.detach() * y, [array(3), array(3)])
    report = gradcheck(lambda x, y: x * x, [array(3), array(3)])
    assert report.inputs[1].analytic == report.inputs[1].numeric == 0


def test_small_gradients_are_held_to_the_same_relative_accuracy():
    for scale in (1e6, 1.0, 1e-3, 1e-6):
        scaled = op_with(lambda dz, saved: dz * 1.001 * saved, lambda x, /, s=scale: (x * s, s))
        with pytest.raises(GradcheckError, match=r"3 of 3 .*ratio 1\.00"):
            gradcheck(scaled, [array(3)])


# Large arrays: some entries, and directions


def test_up_to_a_size_every_entry_is_compared_and_above_it_some():
    square = op_with(square_rule)
    assert gradcheck(square, [array(FULL_CHECK_ENTRIES)]).worst.compared == FULL_CHECK_ENTRIES
    assert gradcheck(square, [array(FULL_CHECK_ENTRIES + 1)]).worst.compared == SAMPLED_ENTRIES


@given(st.integers(0, 2**32), st.integers(0, 1999))
def test_a_wrong_entry_of_a_large_array_is_found_wherever_it_is(seed, entry):
    x = array(40, 50, seed=seed)
    index = np.unravel_index(entry, x.shape)
    norm = np.linalg.norm(2 * x)  # at least that of the gradient: cotangents are at most 1
    with pytest.raises(GradcheckError, match=rf"1 of 3[23] .*at \[{index[0]}, {index[1]}\]"):
        gradcheck(op_with(off_at(index, 2.1 * RTOL * norm)), [x], seed=seed)


# Inputs and cotangents


def test_only_inputs_that_require_a_gradient_are_checked():
    f = op_with(lambda dz, saved: (dz * saved[1], None), lambda a, b, /: (a * b, (a, b)))
    assert [found.name for found in gradcheck(f, [array(3), Tensor(array(3))]).inputs] == ["a"]
    assert len(gradcheck(ag.embedding, [array(4, 2), np.array([3, 1, 1])]).inputs) == 1


def test_views_read_only_arrays_and_a_tensor_given_twice_are_checked_where_they_are():
    x = np.broadcast_to(array(4), (3, 4))
    y = array(8, 6)[::2, ::-2].T
    assert gradcheck(lambda x, y: ag.exp(x) * y, [x, y]).passed
    x = Tensor(array(3), requires_grad=True)
    assert gradcheck(ag.mul, [x, x]).passed


def test_the_same_seed_gives_the_same_report():
    x = array(200)
    first, again, other = (gradcheck(ag.tanh, [x], seed=seed) for seed in (5, 5, 6))
    assert first == again != other


@given(st.integers(0, 2**32), st.lists(st.integers(0, 5), max_size=3))
def test_cotangents_are_of_order_one_and_of_both_signs(seed, shape):
    c = random_signed(np.random.default_rng(seed), tuple(shape))
    assert c.shape == tuple(shape)
    assert ((np.abs(c) >= 0.5) & (np.abs(c) <= 1)).all()
    assert abs((c > 0).sum() - (c < 0).sum()) <= 1


def test_a_complex_step_changes_nothing_for_another_thread():
    """Complex numbers are for the thread that checks, and only until it has checked."""

    def refuses():
        with pytest.raises(TypeError, match="complex128"):
            Tensor(np.ones(2, complex))

    def f(x):
        if x.dtype == complex:
            stepped.append(True)
            with ThreadPoolExecutor(1) as other:
                other.submit(refuses).result()
        return x * x

    stepped, filters = [], warnings.filters[:]
    error_by_step(f, [np.ones(2)], [1e-20], complex)
    assert stepped
    refuses()
    assert warnings.filters == filters
