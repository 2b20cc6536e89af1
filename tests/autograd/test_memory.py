"""Arrays are held no longer than needed, and gradients that nobody wants are not computed."""

import gc
import inspect
import tracemalloc
import weakref

import numpy as np
import pytest

import autograd
from autograd import Tensor
from autograd.gradcheck_cases import CASES, Case, normal


def leaf(*values):
    return Tensor(np.array(values, np.float64), requires_grad=True)


def read_only(array):
    array.flags.writeable = False
    return array


# Calls of one matrix: what the cases of single ops below do not have
FUNCTIONS = {
    "a leaf": lambda x: x, "a sum with itself": lambda x: x + x, "getitem": lambda x: x[:, ::-1],
    "stack of one twice": lambda x: autograd.stack([x, x]),
    "split": lambda x: autograd.split(x, 1)[0],
    "split and concat": lambda x: autograd.concat(autograd.split(x, 1)),
}
CALLS = {name: Case(name, f, normal(3, 4)) for name, f in FUNCTIONS.items()} | {
    f"{name}: {case.label}": case for name, cases in CASES.items() for case in cases
}


@pytest.mark.parametrize("case", CALLS.values(), ids=CALLS.keys())
def test_gradients_share_no_memory_and_arrays_of_the_user_are_not_written_to(case):
    """Data, the gradient given to backward and earlier gradients are read-only: a write raises."""
    data = [read_only(np.asarray(array)) for array in case.inputs(0)]
    inputs = [Tensor(array, requires_grad=array.dtype.kind == "f") for array in data]
    for _ in range(2):
        z = case.f(*inputs)
        z = z[0] if isinstance(z, tuple) else z
        given_gradient = read_only(np.ones(z.shape))
        z.backward(given_gradient)
        gradients = [t.grad for t in inputs if t.grad is not None]
        others = [*data, z.data, given_gradient, *gradients]
        for gradient in gradients:
            assert gradient.flags.writeable and gradient.flags.c_contiguous
            assert sum(np.may_share_memory(gradient, other) for other in others) == 1  # itself
            gradient.flags.writeable = False


def test_an_index_may_be_reused_before_backward():
    x = leaf(1.0, 2.0, 3.0)
    index = np.array([0, 2])
    y = x[index]
    index[:] = 1
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0, 1])


def test_memory_is_freed_as_backward_goes_or_as_a_graph_is_dropped(register):
    op, vjp = register
    held, alive = [], []  # of each op, oldest first, what it saved

    @op
    def remember(x, /):
        saved = x.copy()
        held.append(weakref.ref(saved))
        return x * 1, saved

    @vjp(remember)
    def remember_vjp(dz, saved):
        alive.append(sum(ref() is not None for ref in held))
        return dz * 1

    def chain():
        y = leaf(1.0)
        for _ in range(5):
            y = remember(y)
        return y

    gc.disable()  # freed because nobody refers to it, not because a collector came by
    try:
        y = chain()
        y.backward()
        assert alive == [5, 4, 3, 2, 1]
        assert all(ref() is None for ref in held)
        y = chain()
        assert sum(ref() is not None for ref in held) == 5
        del y
        assert all(ref() is None for ref in held)
    finally:
        gc.enable()


# ---- frozen weights


@pytest.mark.parametrize("N", [1, 4, 8, 500])
def test_the_gradient_of_a_bias_has_the_same_bits_with_a_frozen_weight(N):
    """Two ways lead to it: with the weight's gradient, and alone."""
    rng = np.random.default_rng(N)
    dy = rng.standard_normal((N, 33))
    gradients = []
    for train_weight in (True, False):
        weight = Tensor(np.ones((3, 33)), requires_grad=train_weight)
        bias = Tensor(np.ones(33), requires_grad=True)
        autograd.linear(np.ones((N, 3)), weight, bias).backward(dy)
        gradients.append(bias.grad)
    np.testing.assert_array_equal(*gradients)


def test_both_functions_of_an_op_are_told_which_gradients_are_wanted(register):
    op, vjp = register
    kwargs = []

    @op
    def three(a, b, c, /, *, needs=()):
        kwargs.append(needs)
        return a + b + c, ()

    @vjp(three)
    def three_vjp(dz, saved, needs):
        kwargs.append(needs)
        return tuple(dz * 1 if need else None for need in needs)

    three(leaf(1.0), np.ones(1), leaf(1.0) * 2).backward()
    with autograd.no_grad():
        three(leaf(1.0), leaf(1.0), leaf(1.0))
    assert kwargs == [[True, False, True]] * 2 + [[False] * 3]
    assert "needs" not in inspect.signature(three).parameters
    with pytest.raises(TypeError, match="needs"):
        three(1.0, 2.0, 3.0, needs=(True,) * 3)


# ---- gradients added in place


def test_a_tied_table_has_one_gradient_array():
    """The output layer's, made with the loss; both look-ups add their rows to it."""

    def loss(first, second, output):
        rows = autograd.embedding(first, [1]) + autograd.embedding(second, [2])
        return autograd.linear_cross_entropy(rows, output, [0])

    table, *apart = (Tensor(np.ones((5000, 64)), requires_grad=True) for _ in range(4))
    loss(*apart).backward()  # and the kernels are loaded
    tied = loss(table, table, table)
    tracemalloc.start()
    try:
        tied.backward()
        assert tracemalloc.get_traced_memory()[1] < table.data.nbytes / 10
    finally:
        tracemalloc.stop()
    np.testing.assert_allclose(table.grad, sum(x.grad for x in apart), rtol=1e-12, atol=1e-15)


def test_the_gradient_of_an_earlier_backward_is_not_added_to_in_place():
    table = leaf([1.0], [2.0])
    autograd.embedding(table, 1).sum().backward()
    before = table.grad
    autograd.embedding(table, 1).sum().backward()
    np.testing.assert_array_equal(before, [[0], [1]])
    np.testing.assert_array_equal(table.grad, [[0], [2]])
