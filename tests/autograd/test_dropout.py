"""Dropout: a mask that depends on the seed and the position, and on nothing else."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from autograd import Tensor, dropout, kernels, reference

SEEDS = [0, 1, -1, 2**31, 2**63 - 1, 2**63, 2**64 + 1, -(2**63), -(2**100), np.int64(7)]


def mask(n, p, seed):
    return dropout(Tensor(np.ones(n)), p, seed=seed).data != 0


@pytest.mark.parametrize("seed", SEEDS)
def test_any_int_is_a_seed(seed):
    x = Tensor(np.arange(1.0, 1001.0), requires_grad=True)
    y = dropout(x, 0.25, seed=seed)
    np.testing.assert_array_equal(y.data, dropout(x, 0.25, seed=seed).data)
    kept = y.data != 0
    assert 650 < kept.sum() < 850
    np.testing.assert_allclose(y.data[kept], x.data[kept] / 0.75)
    y.backward(np.full(1000, 3.0))
    np.testing.assert_allclose(x.grad, np.where(kept, 3 / 0.75, 0))


def test_seeds_give_different_masks():
    seeds = {*range(-50, 50), *(2**n for n in range(63)), *(np.int64(-(2**n)) for n in range(62))}
    assert len({mask(1000, 0.5, seed).tobytes() for seed in seeds}) == len(seeds)


@given(seed=st.integers(), p=st.floats(0, 0.999), n=st.integers(0, 300))
def test_kernel_and_reference_drop_the_same_elements(seed, p, n):
    x = np.ones(n)
    seed %= 2**63
    np.testing.assert_array_equal(kernels.dropout(x, p, seed), reference.dropout(x, p, seed))


@pytest.mark.parametrize("p", [0.01, 0.1, 0.5, 0.9])
def test_the_share_of_kept_elements_and_the_mean(p):
    n = 1_000_000
    y = dropout(Tensor(np.ones(n)), p, seed=3).data
    deviation = np.sqrt(p * (1 - p) / n)
    assert abs((y != 0).mean() - (1 - p)) < 5 * deviation
    assert abs(y.mean() - 1) < 5 * deviation / (1 - p)


def test_neither_neighbours_nor_neighbouring_seeds_are_related():
    n = 1_000_000
    first, second = (mask(n, 0.5, seed) for seed in (10, 11))
    for a, b in [(first, second), (first[1:], first[:-1]), (first[1:], second[:-1]),
                 (first[64:], first[:-64])]:
        assert abs((a == b).mean() - 0.5) < 5 * 0.5 / np.sqrt(n)


def test_the_mask_depends_on_the_position_alone_and_p_0_drops_nothing():
    x = np.random.default_rng(0).standard_normal((4, 5, 6))
    for same in (x, x.astype(np.float32), np.asfortranarray(x)):
        kept = dropout(Tensor(same), 0.4, seed=9).data != 0
        np.testing.assert_array_equal(kept.ravel(), mask(120, 0.4, 9))
        np.testing.assert_array_equal(dropout(Tensor(same), 0, seed=9).data, same)
    np.testing.assert_array_equal(mask(60, 0.4, 9), mask(120, 0.4, 9)[:60])
