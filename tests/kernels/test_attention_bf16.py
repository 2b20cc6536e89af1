"""Attention with rounded operands differs from the reference, which rounds too, by rounding only.

Weights are rounded relative to the largest score so far, and so not as in the reference. Each has
an error of at most half of its last bit of 8; the bound on a result is the sum of these errors
times their factors. The sizes are those at which blocks, panels and pairs begin and end.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd import reference, reference_bf16
from autograd.kernels import tiles
from autograd.kernels.bf16 import products as bf16
from autograd.ops.attention import Mask

ROUNDING = 2.0**-8
CAUSAL = pytest.mark.parametrize("causal", [True, False])
# B, H, G, T, S, D
SIZES = [
    (1, 1, 1, 1, 1, 1),
    (2, 4, 2, 1, 333, 33),  # a single query of groups of heads
    (1, 2, 2, 7, 100, 64),  # a few queries after a long text, whose blocks begin anywhere
    (1, 1, 1, 64, 64, 32),
    (1, 3, 3, 65, 65, 7),
    (2, 2, 1, 200, 213, 100),
]


def make(sizes, causal, masked=False, seed=0):
    """Return dy, q, k, v, mask."""
    B, H, G, T, S, D = sizes
    rng = np.random.default_rng(seed)
    arrays = (
        rng.standard_normal((B, n, heads, D)).astype(np.float32).swapaxes(1, 2)
        for n, heads in ((T, H), (T, H), (S, G), (S, G))
    )
    if not masked:
        return *arrays, Mask(causal)
    keys = rng.random((B, S)) < 0.7
    keys[0] = B == 1
    return *arrays, Mask(causal, keys, rng.standard_normal((1, H, T, S)).astype(np.float32))


def assert_right(sizes, causal, masked=False, seed=0):
    dy, q, k, v, mask = make(sizes, causal, masked, seed)
    y, lse = bf16.attention(q, k, v, mask)
    expected_y, expected_lse = reference_bf16.attention(q, k, v, mask)
    np.testing.assert_allclose(lse, expected_lse, rtol=0, atol=1e-5)
    B, H, G, _, S, D = sizes
    k_, v_ = (np.repeat(x, H // G, axis=1) for x in (k, v))
    a, dz = _weights(dy, q, k_, v_, expected_y, expected_lse, mask)
    assert_within(y, expected_y, a @ np.abs(v_))
    saved = expected_y, expected_lse
    found = bf16.attention_backward(dy, q, k, v, *saved, mask)
    expected = reference_bf16.attention_backward(dy, q, k, v, *saved, mask)
    of_groups = lambda x: x.reshape(B, G, H // G, S, D).sum(axis=2)  # noqa: E731
    assert_within(found[0], expected[0], dz @ np.abs(k_))
    assert_within(found[1], expected[1], of_groups(dz.swapaxes(2, 3) @ np.abs(q)))
    assert_within(found[2], expected[2], of_groups(a.swapaxes(2, 3) @ np.abs(dy)))
    if masked:
        np.testing.assert_allclose(found[3], expected[3], rtol=0, atol=1e-4)
    return y, lse, *found[:3]


def _weights(dy, q, k, v, y, lse, mask):
    """Return the magnitudes of the weights and of the scores' gradients, which are rounded."""
    q, k, v, dy_ = map(reference_bf16.rounded, (q, k, v, dy))
    a = np.exp(reference._scores(q, k, mask) - lse[..., None])
    a = np.where(np.isfinite(a), a, 0)
    dz = a * (dy_ @ v.swapaxes(2, 3) - (dy_ * y).sum(axis=3, keepdims=True))
    return a, np.abs(dz) / np.sqrt(q.shape[3])


def assert_within(found, expected, sizes):
    worst = np.max(np.abs(found - expected) - 2 * ROUNDING * sizes, initial=-np.inf)
    assert worst <= 1e-5 * max(1, np.abs(expected).max(initial=0))


lengths = st.sampled_from([1, 7, 33, 63, 64, 65, 100, 129]) | st.integers(1, 140)


@CAUSAL
@settings(max_examples=30)
@given(
    B=st.integers(1, 2), G=st.integers(1, 2), repeats=st.integers(1, 2), T=lengths,
    more=st.sampled_from([0, 0, 1, 64, 70]), D=st.sampled_from([1, 7, 16, 33, 64, 100]),
    masked=st.booleans(), seed=st.integers(0, 1000),
)
def test_attention_of_any_size(causal, B, G, repeats, T, more, D, masked, seed):
    assert_right((B, G * repeats, G, T, T + more, D), causal, masked, seed)


def main():
    import numba

    for sizes in SIZES:
        for causal in (True, False):
            for masked in (True, False):
                found = set()
                for threads in (1, 2, 3):
                    numba.set_num_threads(threads)
                    arrays = assert_right(sizes, causal, masked)
                    found.add(b"".join(a.tobytes() for a in arrays))
                assert len(found) == 1, f"{sizes} {causal} {masked} depends on the threads"
    print(tiles.TILE, "right")


if __name__ == "__main__":
    with np.errstate(all="ignore"):
        main()
