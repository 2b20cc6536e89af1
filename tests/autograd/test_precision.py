"""Products of operands rounded to bfloat16: the rounding, and the error of gradients."""

import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Tensor, backend, linear, linear_cross_entropy, matmul
from autograd import precision as setting
from autograd.gradcheck import gradcheck
from autograd.reference_bf16 import rounded

# Half of the last of 8 bits, relative to the number that is rounded
ROUNDING = 2.0**-8


@pytest.fixture(autouse=True)
def as_it_was():
    """A processor without the instructions warns, once in a process."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    autograd.set_matmul_precision("float32")


floats = st.integers(0, 2**32 - 1).map(lambda bits: np.array(bits, np.uint32).view(np.float32))


@settings(max_examples=1000)
@given(floats)
def test_a_number_becomes_the_nearest_with_8_bits_ties_to_even(x):
    y = rounded(x)
    if not np.isfinite(x):
        np.testing.assert_array_equal(y, x)
        return
    bits = int(x.view(np.uint32))
    below, above = bits & 0xFFFF0000, (bits & 0xFFFF0000) + 0x10000  # of the same sign
    ends = np.array([below, above], np.uint32).view(np.float32).astype(np.float64)
    if np.isinf(ends[1]):
        ends[1] = np.copysign(2.0**128, ends[1])  # what would be next, as rounding sees it
    distances = np.abs(ends - float(x))
    even = (below >> 16) % 2  # which end has an even last bit
    chosen = even if distances[0] == distances[1] else int(np.argmin(distances))
    assert int(y.view(np.uint32)) == (below, above)[chosen]


def draw(*shapes, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


def assert_near(found, a, b):
    """found is a b but for the rounding of operands to 8 bits, and of sums to 24."""
    exact = a.astype(np.float64) @ b.astype(np.float64)
    sum_of_sizes = np.abs(a).astype(np.float64) @ np.abs(b)
    allowed = 2 * ROUNDING + ROUNDING**2 + 2 * a.shape[-1] * np.finfo(np.float32).eps
    worst = np.max(np.abs(found - exact) / sum_of_sizes)
    assert worst <= allowed


sizes = st.integers(1, 40)


@given(M=sizes, K=sizes, N=sizes, seed=st.integers(0, 99))
def test_gradients_are_off_by_the_rounding_of_the_operands_and_no_more(M, K, N, seed):
    """Each factor of a product keeps 8 bits, in forward and in backward."""
    a, b, dc, bias = draw((M, K), (K, N), (M, N), (N,), seed=seed)
    autograd.set_matmul_precision("bfloat16")
    for function in (matmul, lambda a, b: linear(a, b, Tensor(bias))):
        A, B = Tensor(a, requires_grad=True), Tensor(b, requires_grad=True)
        c = function(A, B)
        c.backward(dc)
        assert_near(A.grad, dc, b.T)
        assert_near(B.grad, a.T, dc)


def test_the_head_rounds_its_operands_and_a_bias_sums_gradients_that_are_not_rounded():
    x, table, w, bias, dy = draw((50, 33), (70, 33), (33, 7), (7,), (50, 7))
    found = []
    for precision in setting.PRECISIONS:
        autograd.set_matmul_precision(precision)
        X, Table, Bias = (Tensor(a, requires_grad=True) for a in (x, table, bias))
        linear(Tensor(x), Tensor(w, requires_grad=True), Bias).backward(dy)
        loss = linear_cross_entropy(X, Table, np.arange(50))
        loss.backward()
        found.append((Bias.grad, loss.data, X.grad, Table.grad))
    (bias_grad, *exact), (rounded_bias_grad, *rounded_head) = found
    np.testing.assert_allclose(rounded_bias_grad, bias_grad, rtol=0, atol=1e-5)
    for a, b in zip(exact, rounded_head, strict=True):
        assert 0 < np.abs(b - a).max() < 10 * ROUNDING * np.abs(a).max()


def test_backward_rounds_as_its_forward_has():
    a, b, dc = draw((4, 40), (40, 3), (4, 3))
    for precision, other in (setting.PRECISIONS, setting.PRECISIONS[::-1]):
        autograd.set_matmul_precision(precision)
        A = Tensor(a, requires_grad=True)
        c = matmul(A, Tensor(b))
        autograd.set_matmul_precision(other)
        c.backward(dc)
        products = backend.bf16 if precision == "bfloat16" else backend
        np.testing.assert_array_equal(A.grad, products.matmul_nt(dc[None], b[None])[0])


def test_products_of_float64_are_not_rounded():
    autograd.set_matmul_precision("bfloat16")
    a, b = (Tensor(x.astype(np.float64), requires_grad=True) for x in draw((3, 4), (4, 5)))
    np.testing.assert_allclose(matmul(a, b).data, a.data @ b.data, rtol=1e-14)
    gradcheck(matmul, (a, b))


def test_the_setting_is_restored():
    with autograd.using_matmul_precision("bfloat16"):
        assert autograd.matmul_precision() == "bfloat16"
    assert autograd.matmul_precision() == "float32"
    with pytest.raises(ValueError, match="'fp8'.*bfloat16"):
        autograd.set_matmul_precision("fp8")


@pytest.mark.skipif(backend.name != "numba", reason="NumPy has no products of bfloat16")
@pytest.mark.parametrize("slow", setting.PRECISIONS)
def test_a_slow_bfloat16_is_measured_and_warned_of(monkeypatch, slow):
    products = backend.bf16 if slow == "bfloat16" else backend
    product = products.matmul
    monkeypatch.setattr(products, "matmul", lambda a, b: [product(a, b) for _ in range(9)])
    setting.bfloat16_time.cache_clear()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        autograd.set_matmul_precision("bfloat16")
    setting.bfloat16_time.cache_clear()
    found = [float(n) for w in caught for n in re.findall(r"take ([\d.]+) times", str(w.message))]
    assert [n > 2 for n in found] == [True] * (slow == "bfloat16")
