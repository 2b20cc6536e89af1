"""The record is true to the engine, and the packed weights are those that the page uses."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from look_page import stored

from npgpt.look.packing import pack
from npgpt.look.record import LARGEST, record_gradient


@pytest.fixture
def model(subjects):
    return stored(subjects["bpe"], None)


IDS = np.arange(40, 60)

arrays = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=1, max_dims=2, max_side=6),
    elements=st.floats(-6e4, 6e4, width=32),
)


@given(arrays)
def test_a_packed_weight_stands_for_a_value_near_it(array):
    """That the page reads this value is tested in a browser."""
    for kind in ("fp16", "int8"):
        value = pack({"w": array}, kind)[1]["w"]
        if array.ndim == 1:
            assert np.array_equal(value, array)
        elif kind == "fp16":
            assert np.array_equal(value, array.astype(np.float16))
        else:
            step = np.abs(array).max(axis=1, keepdims=True) / 127
            assert (np.abs(value - array) <= step * 0.501 + 1e-40).all()


def test_weights_beyond_float16_are_refused_with_the_way_out():
    with pytest.raises(ValueError, match=r"wte.weight .*--weights int8"):
        pack({"wte.weight": np.full((2, 2), 1e5, np.float32)}, "fp16")
    pack({"wte.weight": np.full((2, 2), 1e5, np.float32)}, "int8")


def test_the_recorded_gradient_is_the_engines_and_saliency_its_norm_by_token(model):
    record = record_gradient(model, IDS)
    assert all(weight.grad is None for weight in model.parameters().values())
    loss = model.loss(IDS[None, :-1], IDS[None, 1:])
    loss.backward()
    assert record["loss"] == loss.item() and record["dtype"] == "float64"
    assert record["weights"].keys() == model.parameters().keys()
    for name, weight in model.parameters().items():
        entry, d = record["weights"][name], weight.grad.ravel()
        assert entry["values"] == d[entry["at"]].tolist()
        assert entry["norm"] == np.linalg.norm(d)
        largest = np.sort(np.abs(d))[::-1][:LARGEST]
        assert np.isin(largest, np.abs(entry["values"])).all(), name
    # Each token stands at one position, so its gradient is a row of the position table's.
    rows = np.linalg.norm(model.wpe.weight.grad, axis=1)[: len(IDS) - 1]
    assert np.allclose(record["saliency"], rows, rtol=1e-12)
