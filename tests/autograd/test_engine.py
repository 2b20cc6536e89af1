"""The engine: the order in which gradients travel, and its errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd
from autograd import OPS, Tensor, backward, no_grad


def leaf(*values):
    return Tensor(np.array(values, np.float64), requires_grad=True)


# ---- order and accumulation


def test_each_node_is_visited_once(register):
    op, vjp = register
    visits = []

    @op
    def same(x, /):
        return x + 0, ()

    @vjp(same)
    def same_vjp(dz, saved):
        visits.append(dz.item())
        return dz * 1

    x = leaf(1.0)
    for _ in range(40):  # 2^40 paths
        y = same(x)
        x = y + y
    x.backward()
    assert visits == [2.0**n for n in range(1, 41)]


@given(st.data())
def test_random_graphs_have_the_gradient_of_their_jacobian(data):
    """A graph of sums with integer factors is a matrix; its gradient is a row of it."""
    leaves = [leaf(float(n + 1)) for n in range(3)]
    tensors, jacobians = list(leaves), list(np.eye(3))
    for _ in range(data.draw(st.integers(1, 12))):
        i, j = (data.draw(st.integers(0, len(tensors) - 1)) for _ in range(2))
        factor = data.draw(st.integers(-2, 2))
        tensors.append(tensors[i] + tensors[j] * factor)
        jacobians.append(jacobians[i] + jacobians[j] * factor)
    tensors[-1].backward()
    for n, x in enumerate(leaves):
        found = 0 if x.grad is None else x.grad.item()
        assert found == jacobians[-1][n]


def test_one_array_on_its_way_to_two_inputs_is_not_added_to_in_place():
    x = leaf(1.0)
    a, b = x * 2, x * 3
    (a * 3 + b * 5 + (a + b)).backward()
    assert x.grad == [2 * (3 + 1) + 3 * (5 + 1)]


def test_a_chain_of_20_000_nodes():
    x = leaf(1.0, 2.0)
    y = x
    for _ in range(20_000):
        y = y + 1.0
    y.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1])
    for _ in range(20_000):  # and one that is dropped without a backward
        y = y + x
    del y


@pytest.mark.parametrize("used", [(0,), (2,), (0, 1, 2), (1, 1)])
def test_outputs_that_nobody_uses_have_gradient_zero(used):
    x = leaf(1.0, 2.0, 3.0, 4.0, 5.0)
    parts = autograd.split(x, 2)
    total = 0.0
    for n in used:
        total = total + (parts[n] * (n + 1)).sum()
    total.backward()
    expected = [used.count(n) * (n + 1) for n in (0, 0, 1, 1, 2)]
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize("gradient", [
    Tensor([3.0, 4.0]), np.array([3, 4]), [0.1, 0.3], [2**24 + 1, 2**53 - 1],
])
def test_backward_with_a_gradient_of_any_precision(gradient):
    x = leaf(1.0, 1.0)
    backward(x * 1, gradient)
    x.sum().backward(0.1)
    given_numbers = gradient.data if isinstance(gradient, Tensor) else gradient
    np.testing.assert_array_equal(x.grad, np.asarray(given_numbers, np.float64) + 0.1)
    assert x.grad.dtype == np.float64


def test_a_vjp_may_return_one_array_for_two_inputs(register):
    op, vjp = register

    @op
    def twice(a, b, /):
        return 2 * a + 2 * b, None

    @vjp(twice)
    def twice_vjp(dz, saved):
        return (2 * dz,) * 2

    a, b = leaf(1.0, 2.0), leaf(3.0, 4.0)
    for _ in range(2):  # the second time to gradients that are there
        (twice(a, b) + a * 3).sum().backward()
    np.testing.assert_array_equal(a.grad, [10, 10])
    np.testing.assert_array_equal(b.grad, [4, 4])


# ---- errors


def test_backward_twice():
    x = leaf(1.0, 2.0)
    y = x * x
    first, second = y.sum(), (y * 2).sum()
    first.backward()
    expected = x.grad.copy()
    for freed in (first, second):
        with pytest.raises(RuntimeError, match="earlier backward.*(sum|mul)"):
            freed.backward()
    np.testing.assert_array_equal(x.grad, expected)


@pytest.mark.parametrize("use", [
    autograd.mul, lambda x, w: x @ w.reshape(4).reshape(2, 2), lambda x, w: x * w.detach(),
])
def test_a_leaf_that_was_written_to_after_an_op_saved_it(use):
    x, w = (Tensor(np.ones((2, 2)), requires_grad=True) for _ in range(2))
    loss = use(x, w).sum()
    leaf(1.0).mark_written()
    w.mark_written()
    with pytest.raises(RuntimeError, match="in place"):
        loss.backward()
    assert x.grad is w.grad is None
    use(x, w).sum().backward()


def test_data_may_be_replaced_before_backward_but_not_by_another_dtype():
    x = leaf(1.0, 2.0)
    y = autograd.exp(x) * x
    x.data = x.data * 7
    y.backward(np.ones(2))
    np.testing.assert_allclose(x.grad, np.exp([1, 2]) * [2, 3])
    y = x * 2
    x.data = x.data.astype(np.float32)
    with pytest.raises(AssertionError, match=r"mul: .*float64.*\.data.*float32"):
        y.sum().backward()


def test_no_gradient_flows_through_a_result_that_does_not_require_one():
    x = leaf(1.0, 2.0)
    y = x * 2
    y.requires_grad = False
    (y * x).sum().backward()
    np.testing.assert_array_equal(x.grad, y.data)


def test_backward_of_a_constant():
    x = leaf(1.0)
    with no_grad():
        y = x * 2
    for constant in (y, Tensor([1.0]), Tensor([1.0]) * 2, x.detach()):
        with pytest.raises(RuntimeError, match="requires_grad=True.*no_grad"):
            constant.backward()


def test_an_input_without_a_derivative_is_an_error():
    x = leaf(1.0, 0.0)
    with pytest.raises(RuntimeError, match=r"where .*\(2,\).*detach\(\)"):
        autograd.where(x, x, 0.0).sum().backward()
    autograd.where(x.detach(), x, 0.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 0])


@pytest.mark.parametrize("wrong", [
    lambda dz: dz.sum(), lambda dz: dz[None], lambda dz: dz.astype("f4"), lambda dz: (dz, dz),
])
def test_a_gradient_of_the_wrong_shape_names_the_op(register, wrong):
    op, vjp = register

    @op
    def faulty(x, /):
        return x * 2, ()

    @vjp(faulty)
    def faulty_vjp(dz, saved):
        return wrong(dz)

    with pytest.raises(AssertionError, match="^faulty: "):
        faulty(leaf(1.0, 2.0)).sum().backward()


# ---- an op of one's own


def test_a_registered_op(register):
    op, vjp = register

    @op
    def polar(x, y, /, scale=1.0, *, shift=0.0):
        """Radius and angle."""
        r = np.hypot(x, y)
        return (scale * r + shift, np.arctan2(y, x)), (x, y, r, scale)

    @vjp(polar)
    def polar_vjp(d_outputs, saved):
        dr, dangle = d_outputs
        x, y, r, scale = saved
        return scale * dr * x / r - dangle * y / r**2, scale * dr * y / r + dangle * x / r**2

    assert OPS["polar"] is polar and polar.__doc__ == "Radius and angle."
    x, y = leaf(3.0), leaf(4.0)
    radius, angle = polar(x, y=y, shift=1.0)
    assert radius.item() == 6 and angle.item() == np.arctan2(4.0, 3.0)
    (radius * 2 + angle).backward()
    np.testing.assert_allclose(x.grad, [2 * 3 / 5 - 4 / 25])
    np.testing.assert_allclose(y.grad, [2 * 4 / 5 + 3 / 25])
    assert polar(x, y, 2.0)[0].item() == 10


def test_a_setting_gets_no_gradient(register):
    @register[0]
    def by_half(x, /, y=3.0):
        return x * y, ()

    for call in (lambda: by_half(leaf(1.0), leaf(2.0)), lambda: by_half(leaf(1.0), y=leaf(2.0))):
        with pytest.raises(TypeError, match=r"by_half: .*detach\(\)"):
            call()
    assert by_half(leaf(1.0), leaf(2.0).detach()).data == 2


@pytest.mark.parametrize("forward", [lambda x: x, lambda x, *y: x, lambda *, axis: 0])
def test_an_op_whose_slash_is_forgotten(register, forward):
    with pytest.raises(TypeError, match=r"def <lambda>\(\w+, /\)"):
        register[0](forward)


def test_a_rule_that_does_not_take_what_its_op_saved_is_refused_at_once(register):
    op, vjp = register

    @op
    def scaled(x, /, factor):
        return x * factor, (x, factor)

    with pytest.raises(TypeError, match="scaled_vjp takes dy, x, factor.*saved.*scaled "):
        @vjp(scaled)
        def scaled_vjp(dy, x, factor):
            return dy * factor
