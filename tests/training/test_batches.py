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


def check_windows(x_BT, y_BT, shape):
    assert x_BT.shape == y_BT.shape == shape and x_BT.dtype == y_BT.dtype == np.int64
    assert (x_BT == x_BT[:, :1] + np.arange(shape[1])).all()
    assert ((y_BT == x_BT + 1) | (y_BT == -1)).all()


# ---- training


@given(lengths, block_sizes, batch_sizes, st.integers(0, 99), st.integers(0, 99),
       st.sampled_from([np.uint16, np.int32, np.int64]))
def test_targets_follow_their_inputs_and_windows_lie_inside_the_text(more, T, B, seed, step, dtype):
    x_BT, y_BT = sample_batch(np.arange(T + more - 1, dtype=dtype), T, B, seed=seed, step=step)
    check_windows(x_BT, y_BT, (B, T))
    assert y_BT.min() > 0 and y_BT.max() < T + more


def test_every_window_can_be_drawn():
    assert {*sample_batch(np.arange(7), 4, 99, seed=0, step=0)[0][:, 0]} == {0, 1, 2}


# ---- evaluation


def evaluated(*arguments, **settings):
    return [(batch.inputs[0], batch.targets_BT)
            for batch in NEXT_TOKEN.evaluation(*arguments, **settings)]


@given(st.data(), lengths, block_sizes, batch_sizes)
def test_every_token_but_the_first_counts_once_with_its_context(data, N, block_size, B):
    stride = data.draw(st.none() | st.integers(1, block_size))
    counted, T = [], min(block_size, N - 1)
    batches = evaluated(np.arange(N, dtype=np.uint16), block_size, B, stride)
    for x_BT, y_BT in batches:
        check_windows(x_BT, y_BT, (len(x_BT), T))
        for b, t in np.argwhere(y_BT != -1):
            seen = t + 1
            assert seen == y_BT[b, t] or seen > block_size - (stride or block_size)
            counted.append(y_BT[b, t])
    assert counted == list(range(1, N))
    heights = [len(x_BT) for x_BT, _ in batches]
    assert {*heights[:-1]} <= {B} and 1 <= heights[-1] <= B


@given(st.data(), lengths, block_sizes, st.integers(1, 60))
def test_drawn_windows_ask_as_they_would_among_all(data, N, block_size, max_tokens):
    stride = data.draw(st.none() | st.integers(1, block_size))
    every, some = (
        [window for batch in evaluated(np.arange(N), block_size, 3, stride, **drawn)
         for window in zip(*map(np.ndarray.tolist, batch), strict=True)]
        for drawn in ({}, {"max_tokens": max_tokens, "seed": 3})
    )
    positions = [every.index(window) for window in some]
    assert positions == sorted({*positions})
    assert len(some) == min(len(every), -(-max_tokens // (stride or block_size)))
