"""A kernel gives the same bits wherever its arrays lie, also side by side.

Small arrays lie close together, in an order that differs from run to run.
"""

from importlib import import_module

import numpy as np
import pytest

FAR = 1 << 14  # bytes, more than any array here and a loop's vectors
GAPS = range(0, 512, 8)  # bytes from the end of one array to the next


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(6, 4), (3, 5), (6, 8), (2, 12), (5, 33)])
def test_softmax_beside_its_result(shape, dtype):
    kernel = import_module("autograd.kernels.softmax")._softmax
    values = np.random.default_rng(0).standard_normal(shape).astype(dtype)
    found = set()
    for x, y in pairs_of_arrays(shape, dtype):
        x[:] = values
        kernel(x, y)
        found.add(y.tobytes())
    assert len(found) == 1


def pairs_of_arrays(shape, dtype):
    """Yield two arrays far apart, then in either order with every gap between them."""
    memory = np.zeros(2 * FAR, np.uint8)
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize

    def array_at(start):
        return memory[start : start + size].view(dtype).reshape(shape)

    for distance in [FAR, *(size + gap for gap in GAPS)]:
        yield array_at(0), array_at(distance)
        yield array_at(distance), array_at(0)
