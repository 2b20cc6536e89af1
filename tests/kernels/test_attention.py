"""Attention at the edges of its blocks, on views, with every tile and any number of threads.

`test_reference` has it at any sizes in contiguous memory; here are the sizes at which blocks of
queries and of keys begin and end, groups of heads, the views that a model passes, padding and a
bias, and extreme scores. `test_attention_bf16` bounds the effect of rounding to bfloat16.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autograd import kernels, reference, scaled_dot_product_attention
from autograd.kernels import tiles
from autograd.kernels.bf16 import products as bf16
from autograd.ops.attention import Mask

DTYPES = pytest.mark.parametrize("dtype", [np.float32, np.float64])
CAUSAL = pytest.mark.parametrize("causal", [True, False])
PROJECT = Path(__file__).parents[2]

# B, H, T, S, D
SIZES = [
    (1, 1, 1, 1, 1),  # one key
    (2, 3, 1, 333, 33),  # a single query, as in generation
    (1, 2, 7, 100, 64),  # a few queries after a long text
    (1, 1, 64, 64, 32),  # one full block of queries
    (1, 3, 65, 65, 7),
    (1, 2, 100, 113, 33),  # one key more than a block in AVX-512
    (1, 1, 200, 200, 100),  # three panels of D and a part of one
]


def make(sizes, dtype, causal=True, G=None, shared=None, masked=False, seed=0):
    """Return dy, q, k, v, mask; q, k and v are cut from one array (B, T, 3 C) if they can be.

    shared   whether all sequences have the same bias; None: there is none
    masked   whether some keys are padding, and in the first of several sequences all
    """
    B, H, T, S, D = sizes
    G = G or H
    rng = np.random.default_rng(seed)
    counts = ((T, H), (S, G), (S, G))
    if S == T and G == H:
        qkv = rng.standard_normal((B, T, 3 * H * D)).astype(dtype)
        parts = [x.reshape(B, T, H, D) for x in np.split(qkv, 3, -1)]
    else:
        parts = [rng.standard_normal((B, n, heads, D)).astype(dtype) for n, heads in counts]
    dy = rng.standard_normal((B, T, H, D)).astype(dtype)
    keys = rng.random((B, S)) < 0.7 if masked else None
    if masked:
        keys[0] = B == 1
    bias = None if shared is None else 2 * rng.standard_normal((1 if shared else B, H, T, S))
    mask = Mask(causal, keys, None if bias is None else bias.astype(dtype))
    return *(x.swapaxes(1, 2) for x in (dy, *parts)), mask


def results(module, dy, q, k, v, mask):
    y, lse = module.attention(q, k, v, mask)
    found = y, lse, *module.attention_backward(dy, q, k, v, y, lse, mask)
    return found[: 5 if mask.bias_BHTS is None else 6]


def in_float64(*arrays):
    return [
        Mask(*in_float64(*x)) if isinstance(x, Mask)
        else x.astype(np.float64) if isinstance(x, np.ndarray) and x.dtype == np.float32
        else x
        for x in arrays
    ]


def assert_right(*arrays):
    dtype = arrays[0].dtype
    found = results(kernels, *arrays)
    for f, e in zip(found, results(reference, *in_float64(*arrays)), strict=True):
        assert (f.shape, f.dtype) == (e.shape, dtype)
        size = max(1, np.abs(e).max(initial=0))
        np.testing.assert_allclose(f, e, rtol=0, atol=200 * np.finfo(dtype).eps * size)
    return found


lengths = st.sampled_from([1, 7, 33, 63, 64, 65, 100, 112, 113]) | st.integers(1, 130)


@DTYPES
@CAUSAL
@settings(max_examples=40)
@given(
    B=st.integers(1, 3), G=st.integers(1, 2), repeats=st.integers(1, 3), T=lengths,
    more=st.sampled_from([0, 0, 1, 70]), D=st.sampled_from([1, 7, 16, 33, 64, 100]),
    shared=st.sampled_from([True, False, None]), masked=st.booleans(), seed=st.integers(0, 1000),
)
@example(B=2, G=2, repeats=1, T=130, more=0, D=64, shared=None, masked=False, seed=0)
def test_attention_of_any_size(dtype, causal, B, G, repeats, T, more, D, shared, masked, seed):
    sizes = (B, G * repeats, T, T + more, D)
    assert_right(*make(sizes, dtype, causal, G, shared, masked, seed))


@DTYPES
def test_more_queries_than_keys_if_not_causal(dtype):
    assert_right(*make((1, 2, 130, 5, 8), dtype, False))


@DTYPES
def test_a_view_between_elements_or_of_one_head_is_read_as_a_copy(dtype):
    """Steps of a packed structure are no multiples of an element's size."""
    packed = np.zeros((1, 2, 5), np.dtype([("x", dtype, (8,)), ("flag", np.int8)]))["x"]
    packed[:] = np.random.default_rng(0).standard_normal(packed.shape)
    shared = np.broadcast_to(packed[:, :1], packed.shape)  # steps of 0
    for x in (packed, shared):
        found = scaled_dot_product_attention(x, x, x).data
        whole = x.copy()
        np.testing.assert_array_equal(found, scaled_dot_product_attention(whole, whole, whole).data)


@DTYPES
@CAUSAL
@pytest.mark.parametrize("T", [1, 70, 130])
@pytest.mark.parametrize("scale", [1e4, 1e-4, 1e-30, 1e-42])
def test_scores_of_any_size(dtype, causal, T, scale):
    """Scores up to 1e4 and more: one key has all the weight; subnormal ones: all have the same."""
    dy, q, k, v, mask = make((1, 2, T, T, 16), dtype, causal)
    q = q * dtype(scale)
    y, lse = kernels.attention(q, k, v, mask)
    exact_y, exact_lse = reference.attention(*in_float64(q, k, v), mask)
    allowed = 20 * np.finfo(dtype).eps * max(1, scale)
    np.testing.assert_allclose(y, exact_y, rtol=0, atol=5 * allowed)
    np.testing.assert_allclose(lse, exact_lse, rtol=0, atol=5 * allowed)
    gradients = kernels.attention_backward(dy, q, k, v, y, lse, mask)[:3]
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.parametrize(
    ("dtype", "module"), [("f4", kernels), ("f8", kernels), ("f4", bf16)]
)
@pytest.mark.parametrize("s", [0, 63, 64, 112, 129])
@pytest.mark.parametrize("which", ["k", "v"])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_bad_key_reaches_the_queries_that_read_it_and_no_other(dtype, module, s, which, bad):
    _, q, k, v, mask = make((1, 2, 130, 130, 16), dtype)
    clean, _ = module.attention(q, k, v, mask)
    (k if which == "k" else v)[0, 1, s] = bad
    y, _ = module.attention(q, k, v, mask)
    reached = np.zeros(y.shape, bool)
    reached[0, 1, s:] = True
    np.testing.assert_array_equal(np.isfinite(y), ~reached)
    rounding = 2**-6 if module is bf16 else 0  # the block of a bad value is multiplied in float32
    np.testing.assert_allclose(y[:, :, :s], clean[:, :, :s], rtol=0, atol=rounding)


# ---- padding, a bias


@DTYPES
def test_padding_is_as_if_it_were_not_there(dtype):
    dy, q, k, v, mask = make((1, 2, 70, 100, 16), dtype, False)
    k[:, :, 90:], v[:, :, 90:] = np.nan, np.inf  # whatever it holds
    padded = mask._replace(keys_BS=np.arange(100)[None] < 90)
    y, _, dq, dk, dv = results(kernels, dy, q, k, v, padded)
    y0, _, dq0, dk0, dv0 = results(kernels, dy, q, k[:, :, :90], v[:, :, :90], mask)
    for found, expected in ((y, y0), (dq, dq0), (dk[:, :, :90], dk0), (dv[:, :, :90], dv0)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=100 * np.finfo(dtype).eps)
    assert not dk[:, :, 90:].any() and not dv[:, :, 90:].any()


@DTYPES
@CAUSAL
def test_a_query_that_reads_nothing_gives_0_and_has_no_gradient(dtype, causal):
    *arrays, mask = make((2, 4, 70, 70, 8), dtype, causal, 2, False, True)
    y, lse, dq, dk, dv, dbias = results(kernels, *arrays, mask)
    for array in (y, lse, dq, dk, dv, dbias):
        assert not array[0].any() and array[1].any() and np.isfinite(array).all()
    mask.bias_BHTS[1, :, 5] = -np.inf  # in a sequence where others read something
    y, _, dq, *_, dbias = results(kernels, *arrays, mask)
    assert not y[1, :, 5].any() and not dq[1, :, 5].any() and not dbias[1, :, 5].any()
    assert y[1, :, 6].any() and np.isfinite(y).all() and np.isfinite(dq).all()


MEMORY = """
import resource
import numpy as np
from autograd import kernels
from autograd.ops.attention import Mask

def call(T):
    x, mask = np.ones((1, 1, T, 16), np.float32), Mask(False, np.ones((1, T), bool))
    y, lse = kernels.attention(x, x, x, mask)
    kernels.attention_backward(x, x, x, x, y, lse, mask)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

print(-call(64) + call(8192))
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="asks the system for the peak of memory")
def test_weights_of_8192_keys_are_never_in_memory():
    """They would take 256 MB; the process grows by a small part of that."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY],
        env=os.environ | {"PYTHONPATH": str(PROJECT)}, capture_output=True, text=True, check=True,
    )
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 60e6


@CAUSAL
def test_thousands_of_keys_of_one_sign(causal):
    """Differences in dz are only as exact as the sum of the weights."""
    rng = np.random.default_rng(0)
    q, dy = rng.uniform(0.5, 1.5, (2, 1, 1, 256, 32)).astype(np.float32)
    k, v = rng.uniform(0.5, 1.5, (2, 1, 1, 4096, 32)).astype(np.float32)
    found, reference_found, exact = (
        results(module, *(x.astype(dtype) for x in (dy, q, k, v)), Mask(causal))[2:]
        for module, dtype in ((kernels, "f4"), (reference, "f4"), (reference, "f8"))
    )
    for x, y, z in zip(found, reference_found, exact, strict=True):
        assert np.abs(x - z).max() <= 3 * np.abs(y - z).max()


def test_a_single_query_over_a_million_keys():
    rng = np.random.default_rng(0)
    k, v = rng.normal(0.1, 1e-3, (2, 1, 1, 10**6, 8)).astype(np.float32)
    y, lse = kernels.attention(k[:, :, :1], k, v, Mask(False))
    exact, exact_lse = reference.attention(*in_float64(k[:, :, :1], k, v), Mask(False))
    np.testing.assert_allclose(y, exact, rtol=5e-7)
    np.testing.assert_allclose(lse, exact_lse, rtol=5e-7)


def main():
    """Check all sizes with one, two and three threads, in a separate process.

    In float32 only, because compiling takes most of the time.
    """
    import numba

    for B, H, T, S, D in SIZES:
        for causal in (True, False):
            for arrays in (
                make((B, H, T, S, D), np.float32, causal),
                make((3, 2 * H, T, S, D), np.float32, causal, H, True, True),
            ):
                found = set()
                for threads in (1, 2, 3):
                    numba.set_num_threads(threads)
                    found.add(b"".join(x.tobytes() for x in assert_right(*arrays)))
                assert len(found) == 1, f"{(B, H, T, S, D)} {causal} depends on the threads"
    print(tiles.TILE, "right")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
