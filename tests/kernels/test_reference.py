"""Every kernel against the function of the same name in `autograd.reference`.

The reference gets the same arrays in float64, so that only the kernel's own rounding counts.
"""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from autograd import kernels, reference
from autograd.ops.attention import Mask

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
MODULES = pytest.mark.parametrize("module", [kernels, reference])
lengths = st.sampled_from([1, 2, 7, 8, 16, 33, 65]) | st.integers(1, 100)

# how many of the first arguments it may write to
IN_PLACE = {"add_matmul_tn_": 1, "adamw_": 4, "embedding_backward_": 1}
# The maximum, mean or root of a size of 0 does not exist; the ops refuse it.
NEED_A_ROW = {"softmax", "log_softmax", "layer_norm", "rms_norm", "attention", "cross_entropy"}


def call(module, name, arguments):
    """Return the list of arrays that the function returns, or leaves in its arguments."""
    with np.errstate(all="ignore"):
        returned = getattr(module, name)(*arguments)
    if name in IN_PLACE:
        return arrays_in(arguments[: IN_PLACE[name]])
    returned = returned if isinstance(returned, tuple) else (returned,)
    return [np.asarray(r) for r in returned if r is not None]


def arrays_in(arguments):
    """Return the arrays among arguments, and in lists and masks among them."""
    flat = [x for a in arguments for x in (a if isinstance(a, list | Mask) else [a])]
    return [x for x in flat if isinstance(x, np.ndarray)]


def copied(arguments, from_dtype=None, to_dtype=None):
    """Return the arguments with copies of the arrays; from_dtype is converted to to_dtype."""

    def copy(a):
        if isinstance(a, list):
            return copied(a, from_dtype, to_dtype)
        if isinstance(a, Mask):
            return Mask(*copied(a, from_dtype, to_dtype))
        is_array = isinstance(a, np.ndarray)
        return a.astype(to_dtype if a.dtype == from_dtype else a.dtype) if is_array else a

    return [copy(a) for a in arguments]


def assert_alike(name, arguments, dtype):
    """Assert the reference's dtype and shape, and its values up to rounding."""
    found = call(kernels, name, copied(arguments))
    same_dtype = call(reference, name, copied(arguments))
    exact = call(reference, name, copied(arguments, dtype, np.float64))
    # Layer norm multiplies the rounding of the mean by rstd: above 1 in a row of near equals.
    factor = max(1, exact[2].max(initial=0)) if name == "layer_norm" else 1
    for f, r, e in zip(found, same_dtype, exact, strict=True):
        assert (f.shape, f.dtype) == (r.shape, r.dtype)
        finite = np.isfinite(e)
        # Rounding is relative to what is added and subtracted, of order 1, if little is left of it.
        size = np.abs(e[finite]).max(initial=0 if name == "softmax" else 1)
        allowed = 100 * np.finfo(dtype).eps * size * factor + np.finfo(dtype).tiny
        np.testing.assert_allclose(f[finite], e[finite], rtol=0, atol=allowed, err_msg=name)
        np.testing.assert_array_equal(f[~finite], e[~finite].astype(f.dtype), err_msg=name)


@DTYPES
@settings(max_examples=20)
@given(Z=st.integers(1, 3), M=lengths, N=lengths, seed=st.integers(0, 1000))
@example(Z=2, M=29, N=2, seed=341)  # a row of two that differ by 0.003
def test_kernels_compute_what_the_reference_does(arguments, name, dtype, Z, M, N, seed):
    assert_alike(name, arguments(name, (Z, M, N), dtype, seed), dtype)


@DTYPES
@pytest.mark.parametrize("sizes", [(1, 1, 1000), (1, 1000, 7), (33, 7, 1), (2, 129, 1025)])
def test_long_rows_and_many_rows(arguments, name, dtype, sizes):
    assert_alike(name, arguments(name, sizes, dtype), dtype)


@DTYPES
@pytest.mark.parametrize("sizes", [(0, 3, 4), (2, 0, 4), (2, 3, 0), (0, 0, 0)])
def test_empty_arrays(arguments, name, dtype, sizes):
    if sizes[2] == 0 and name.removesuffix("_backward") in NEED_A_ROW:
        sizes = (*sizes[:2], 1)
    assert_alike(name, arguments(name, sizes, dtype), dtype)


# ---- the largest and the smallest floats

extreme = st.sampled_from(
    [-np.inf, -1e30, -1e4, -88.0, -1e-40, 0.0, 1e-45, 1.0, 88.0, 89.0, 1e4, 1e30, np.inf]
)


@DTYPES
@example(x_NC=np.full((2, 20), -np.inf))
@given(x_NC=arrays(np.float64, st.tuples(st.integers(1, 3), st.integers(1, 20)), elements=extreme))
def test_extreme_logits(dtype, x_NC):
    x_NC = x_NC.astype(dtype)
    assert_alike("softmax", [x_NC], dtype)
    assert_alike("log_softmax", [x_NC], dtype)
    targets_N = np.arange(len(x_NC)) % (x_NC.shape[1] + 1) - 1
    assert_alike("cross_entropy", [x_NC, targets_N], dtype)


@DTYPES
@pytest.mark.parametrize("scale", [1e-310, 1e-42, 1e-30, 1e4, 1e9, 1e30])
@pytest.mark.parametrize("activation", ["gelu", "gelu_exact", "silu"])
def test_activations_of_subnormal_and_of_large_numbers(arguments, activation, dtype, scale):
    dy, x = arguments("gelu_backward", (1, 10, 10), np.float64)
    dy, x = dy.astype(dtype), (x * scale).astype(dtype)
    assert_alike(activation, [x], dtype)
    assert_alike(f"{activation}_backward", [dy, x], dtype)


@DTYPES
def test_nan_comes_out_where_the_reference_has_it(arguments, name, dtype):
    given_arguments = arguments(name, (2, 5, 9), dtype)
    if name.startswith("attention"):  # causal=False: 0 * NaN, in the reference's unseen weights
        *given_arguments, mask = given_arguments
        given_arguments = [*given_arguments, mask._replace(causal=False)]
    for position, array in enumerate(arrays_in(given_arguments)):
        if array.dtype != dtype or not array.size:
            continue
        with_nan = copied(given_arguments)
        changed = arrays_in(with_nan)[position].reshape(-1)
        changed[::8], changed[::16] = np.nan, -np.nan  # the sign counts in an order of bits
        found = call(kernels, name, copied(with_nan))
        expected = call(reference, name, copied(with_nan))
        lost = not any(np.isnan(e).any() for e in expected)
        assert not lost, f"{name}: NaN in argument {position} is lost"
        for f, e in zip(found, expected, strict=True):
            np.testing.assert_array_equal(np.isnan(f), np.isnan(e), err_msg=f"{name} {position}")


# ---- the contract


@MODULES
@DTYPES
def test_results_are_new_contiguous_and_of_the_dtype_of_the_arguments(
    arguments, module, name, dtype
):
    given_arguments = list(arguments(name, (2, 7, 33), dtype))
    before = copied(given_arguments)
    returned = call(module, name, given_arguments)
    kept = slice(IN_PLACE.get(name, 0), None)
    for after, was in zip(arrays_in(given_arguments[kept]), arrays_in(before[kept]), strict=True):
        np.testing.assert_array_equal(after, was)
    if name not in IN_PLACE:
        sources = arrays_in(given_arguments)
        assert not any(np.may_share_memory(r, a) for r in returned for a in sources)
    for result in returned:
        merged = result.swapaxes(1, 2) if result.ndim == 4 else result  # heads of a position
        assert result.flags.c_contiguous or merged.flags.c_contiguous
        assert result.dtype == (np.float64 if name == "sum_of_squares" else dtype)
