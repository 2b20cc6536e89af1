"""no_grad: what is computed inside it is not recorded."""

import threading

import pytest

from autograd import Tensor, no_grad


def leaf(value):
    return Tensor(value, requires_grad=True)


def test_no_grad_nests():
    x = leaf(1.0)
    with no_grad():
        with no_grad():
            assert not (x * 2).requires_grad
        assert not (x * 2).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_ends_with_an_exception():
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert (leaf(1.0) * 2).requires_grad


def test_no_grad_as_a_decorator_of_a_function_that_calls_itself():
    x = leaf(1.0)

    @no_grad()
    def power(n):
        return x if n == 0 else power(n - 1) * x

    assert not power(5).requires_grad and not power(5).requires_grad
    assert (x * 2).requires_grad


def test_no_grad_holds_in_its_own_thread_only():
    x, results = leaf(1.0), {}
    inside, leave = threading.Event(), threading.Event()

    def without():
        with no_grad():
            inside.set()
            leave.wait()
            results["without"] = (x * 2).requires_grad

    other = threading.Thread(target=without)
    other.start()
    inside.wait()
    results["with"] = (x * 2).requires_grad
    with no_grad():
        third = threading.Thread(target=lambda: results.update(new=(x * 2).requires_grad))
        third.start()
        third.join()
    leave.set()
    other.join()
    assert results == {"with": True, "new": True, "without": False}


def test_backward_under_no_grad():
    x = leaf(3.0)
    y = x * x
    with no_grad():
        y.backward()
    assert x.grad == 6
