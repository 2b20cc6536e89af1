"""Windows of token ids: `npgpt.batches`.

Each id is its own position, so that a window shows where it was cut.
"""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from npgpt.batches import NEXT_TOKEN, sample_batch

lengths = st.integers(2, 150)
block_sizes = st.integers(1, 40)
batch_sizes = st.integers(1, 6)


# ---- training


@given(st.data(), block_sizes, batch_sizes, st.integers(0, 99), st.integers(0, 99))
def test_targets_follow_their_inputs_and_windows_lie_inside_the_text(data, T, B, seed, step):
    N = data.draw(st.integers(T + 1, 150))
    dtype = data.draw(st.sampled_from([np.uint16, np.int32, np.int64]))
    x_BT, y_BT = sample_batch(np.arange(N, dtype=dtype), T, B, seed=seed, step=step)
    assert x_BT.shape == y_BT.shape == (B, T)
    assert x_BT.dtype == y_BT.dtype == np.int64
    assert (x_BT == x_BT[:, :1] + np.arange(T)).all()
    assert (y_BT == x_BT + 1).all()
    assert x_BT.min() >= 0 and y_BT.max() < N


def test_every_window_can_be_drawn():
    starts = [sample_batch(np.arange(7), 4, 8, seed=0, step=n)[0][:, 0] for n in range(20)]
    assert set(np.concatenate(starts)) == {0, 1, 2}


# ---- evaluation


def evaluation_batches(*arguments, **settings):
    for batch in NEXT_TOKEN.evaluation(*arguments, **settings):
        yield batch.inputs[0], batch.targets_BT


@given(st.data(), lengths, block_sizes, batch_sizes)
def test_every_token_but_the_first_counts_once_with_its_context(data, N, block_size, B):
    stride = data.draw(st.none() | st.integers(1, block_size))
    ids_N = np.arange(N, dtype=np.uint16)
    counted, heights = [], []
    for x_BT, y_BT in evaluation_batches(ids_N, block_size, B, stride):
        T = x_BT.shape[1]
        assert x_BT.shape == y_BT.shape and min(block_size, N - 1) == T
        assert x_BT.dtype == y_BT.dtype == np.int64
        assert (x_BT == x_BT[:, :1] + np.arange(T)).all()
        heights.append(len(x_BT))
        for b, t in np.argwhere(y_BT != -1):
            assert y_BT[b, t] == x_BT[b, t] + 1
            seen = t + 1
            assert seen == y_BT[b, t] or seen > block_size - (stride or block_size)
            counted.append(y_BT[b, t])
    assert counted == list(range(1, N))
    assert set(heights[:-1]) <= {B} and 1 <= heights[-1] <= B


@given(st.data(), lengths, block_sizes, st.integers(1, 60))
def test_drawn_windows_ask_as_they_would_among_all(data, N, block_size, max_tokens):
    stride = data.draw(st.none() | st.integers(1, block_size))
    ids_N = np.arange(N)

    def windows(**drawn):
        for batch in evaluation_batches(ids_N, block_size, 3, stride, **drawn):
            yield from zip(*map(np.ndarray.tolist, batch), strict=True)

    every, some = list(windows()), list(windows(max_tokens=max_tokens, seed=3))
    positions = [every.index(window) for window in some]
    assert positions == sorted(set(positions))
    assert len(some) == min(len(every), -(-max_tokens // (stride or block_size)))
