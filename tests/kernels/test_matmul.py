"""The three matrix products: every tile, every edge of a block, any number of threads.

Each tile runs in a separate process (`test_threads`). `test_reference` has the products at any
sizes for the tile of this machine; the sizes here are those at which blocks, panels and jobs begin
and end.
"""


import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import kernels
from autograd.kernels import tiles
from autograd.kernels.bf16 import products as bf16
from autograd.reference_bf16 import rounded

FORMS = pytest.mark.parametrize("form", ["matmul", "matmul_nt", "matmul_tn"])
OPERANDS = [(np.float32, kernels), (np.float64, kernels), (np.float32, bf16)]

# Z, M, K, N
SIZES = [
    (1, 1, 1, 1),
    (2, 1, 400, 70),  # one row, of two steps of the depth
    (2, 15, 16, 33),  # one row and one column more than a tile
    (3, 13, 7, 31),  # less deep than a vector is long
    (1, 129, 401, 96),  # too many rows to read b in place
    (1, 530, 20, 40),  # rows divided among threads
    (1, 16, 17, 600),  # columns divided among threads
    (5, 64, 64, 32),  # several products, not a multiple of the threads
    (1, 1030, 390, 8),  # too many rows for one job, and two steps of the depth
    (1, 1100, 20, 1024),  # a result that is written past the caches
    (1, 8, 9000, 32),  # fewer rows than can be divided, and many steps of the depth
]


def operands(form, sizes, dtype, seed=0):
    """Return a and b in the layout of the form, and untransposed."""
    Z, M, K, N = sizes
    rng = np.random.default_rng(seed)
    a_ZMK = rng.standard_normal((Z, M, K)).astype(dtype)
    b_ZKN = rng.standard_normal((Z, K, N)).astype(dtype)
    a = a_ZMK.swapaxes(1, 2).copy() if form == "matmul_tn" else a_ZMK
    b = b_ZKN.swapaxes(1, 2).copy() if form == "matmul_nt" else b_ZKN
    return a, b, a_ZMK, b_ZKN


def as_multiplied(module, *arrays):
    return map(rounded, arrays) if module is bf16 else arrays


def assert_right(form, sizes, dtype, module=kernels, seed=0):
    """Assert that each c_ij is within the rounding bound of a sum of K products, in any order."""
    a, b, a_ZMK, b_ZKN = operands(form, sizes, dtype, seed)
    c_ZMN = getattr(module, form)(a, b)
    a_ZMK, b_ZKN = as_multiplied(module, a_ZMK, b_ZKN)
    assert (c_ZMN.dtype, c_ZMN.shape) == (dtype, (sizes[0], sizes[1], sizes[3]))
    exact = a_ZMK.astype(np.longdouble) @ b_ZKN.astype(np.longdouble)
    bound = (sizes[2] + 1) * np.finfo(dtype).eps * (np.abs(a_ZMK) @ np.abs(b_ZKN))
    worst = np.max(np.abs(c_ZMN - exact) - bound, initial=-np.inf)
    assert worst <= 0, f"{form} {sizes} {np.dtype(dtype)}: {worst} above the bound"
    return c_ZMN


@FORMS
@pytest.mark.parametrize(("dtype", "module"), OPERANDS)
@settings(max_examples=40)
@given(
    Z=st.integers(0, 3), M=st.integers(0, 70), K=st.integers(0, 70), N=st.integers(0, 70),
    seed=st.integers(0, 1000),
)
def test_products_of_any_size(form, dtype, module, Z, M, K, N, seed):
    assert_right(form, (Z, M, K, N), dtype, module, seed)


@FORMS
@pytest.mark.parametrize(("dtype", "module"), OPERANDS)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_nan_and_infinity_reach_their_row_and_column_and_no_other(form, dtype, module, bad):
    sizes = (2, 19, 400, 37)
    a, b, a_ZMK, b_ZKN = operands(form, sizes, dtype)
    for i, j, k in [(0, 0, 0), (13, 31, 383), (18, 36, 399)]:
        for array, plain in ((a, a_ZMK), (b, b_ZKN)):
            array[:], plain[:] = np.abs(array), np.abs(plain)
        (a[1].T if form == "matmul_tn" else a[1])[i, k] = bad
        (b[1].T if form == "matmul_nt" else b[1])[k, j] = bad
        c_ZMN = getattr(module, form)(a, b)
        reached = np.zeros(c_ZMN.shape, bool)
        reached[1, i], reached[1, :, j] = True, True
        np.testing.assert_array_equal(~np.isfinite(c_ZMN), reached)
        np.testing.assert_array_equal(np.isnan(c_ZMN), reached & np.isnan(bad))
        (a[1].T if form == "matmul_tn" else a[1])[i, k] = 1
        (b[1].T if form == "matmul_nt" else b[1])[k, j] = 1


def assert_layer_right(sizes, dtype, module):
    """Check a layer of one matrix: y = x w + bias, and the gradients dw = x^T dy and dbias."""
    a, _, x_NI, w_IO = (stack[0] for stack in operands("matmul_tn", sizes, dtype))
    bias_O = w_IO.sum(axis=0)
    y_NO = module.linear(x_NI, w_IO, bias_O)
    dw_IO, dbias_O = module.linear_backward(w_IO, a)
    x_NI, w_IO = as_multiplied(module, x_NI, w_IO)
    exact = x_NI @ w_IO
    allowed = {"rtol": 0, "atol": (10 + sizes[2]) * 10 * np.finfo(dtype).eps}
    np.testing.assert_allclose(y_NO, exact + bias_O, **allowed)
    np.testing.assert_allclose(dw_IO, exact, **allowed)
    np.testing.assert_allclose(dbias_O, bias_O, **allowed)
    return y_NO, dw_IO, dbias_O


def main():
    """Check all sizes with one, two and three threads, in a separate process."""
    for sizes in SIZES:
        for dtype, module in OPERANDS:
            found = set()
            for threads in (1, 2, 3):
                numba.set_num_threads(threads)
                forms = ("matmul", "matmul_nt", "matmul_tn")
                arrays = [assert_right(form, sizes, dtype, module) for form in forms]
                arrays += assert_layer_right(sizes, dtype, module)
                found.add(b"".join(array.tobytes() for array in arrays))
            assert len(found) == 1, f"{sizes} {dtype} {module} depends on threads"
    print(tiles.TILE, "right")


if __name__ == "__main__":
    main()
