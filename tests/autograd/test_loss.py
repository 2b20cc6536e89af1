"""The loss without logits: the same numbers as with them, in less memory."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import autograd
from autograd import Tensor
from autograd.ops import loss as loss_module


def both(x_NC, table_VC, targets_N):
    """(loss, dx, dtable) without the logits, and with them."""
    found = []
    for loss_of in (autograd.linear_cross_entropy,
                    lambda x, table, ids: autograd.cross_entropy(x @ table.transpose(), ids)):
        x, table = Tensor(x_NC, requires_grad=True), Tensor(table_VC, requires_grad=True)
        loss = loss_of(x, table, targets_N)
        loss.backward()
        found.append((loss.data, x.grad, table.grad))
    return found


@settings(max_examples=30, deadline=None)
@given(
    N=st.integers(1, 20), V=st.integers(1, 9), C=st.integers(1, 5), step=st.integers(1, 7),
    seed=st.integers(0, 9),
)
def test_chunks_of_any_size_add_up(N, V, C, step, seed):
    rng = np.random.default_rng(seed)
    targets_N = rng.integers(-1, V, N)
    targets_N[rng.integers(N)] = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loss_module, "CHUNK_ROWS", step)
        patch.setattr(loss_module, "CHUNK_LOGITS", 0)
        fused, plain = both(rng.normal(size=(N, C)), rng.normal(size=(V, C)), targets_N)
    for f, p in zip(fused, plain, strict=True):
        np.testing.assert_allclose(f, p, rtol=1e-12, atol=1e-14)


def test_the_logits_are_never_whole():
    N, V, C = 2048, 4096, 8
    rng = np.random.default_rng(0)
    x = Tensor(rng.normal(size=(N, C)).astype(np.float32), requires_grad=True)
    table = Tensor(rng.normal(size=(V, C)).astype(np.float32), requires_grad=True)
    targets_N = rng.integers(V, size=N)
    autograd.linear_cross_entropy(x, table, targets_N).backward()  # compiles
    tracemalloc.start()
    try:
        autograd.linear_cross_entropy(x, table, targets_N).backward()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * N * V / 2
