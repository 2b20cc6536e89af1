"""no_grad: ops inside it record nothing."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from autograd import Tensor, no_grad


def leaf(value):
    return Tensor(value, requires_grad=True)


def test_no_grad_nests_and_ends_with_an_exception():
    x = leaf(1.0)
    with pytest.raises(ZeroDivisionError), no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
        raise ZeroDivisionError
    assert (x * 2).requires_grad


def test_no_grad_as_a_decorator_of_a_function_that_calls_itself():
    x = leaf(1.0)

    @no_grad()
    def power(n):
        return x if n == 0 else power(n - 1) * x

    assert not power(5).requires_grad and not power(5).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_holds_in_its_own_thread_only():
    x = leaf(1.0)

    def recorded():
        return (x * 2).requires_grad

    with ThreadPoolExecutor(1) as other, no_grad():
        assert other.submit(recorded).result() and not recorded()
    with ThreadPoolExecutor(1) as other:
        block = no_grad()
        other.submit(block.__enter__).result()
        assert recorded() and not other.submit(recorded).result()
        other.submit(block.__exit__, None, None, None).result()


def test_backward_under_no_grad():
    x = leaf(3.0)
    y = x * x
    with no_grad():
        y.backward()
    assert x.grad == 6
