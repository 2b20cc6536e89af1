"""FLOPs are declared beside each op: per element of the output, or by a function of the shapes."""

import numpy as np
import pytest

from autograd import OPS, Observer, observing


class Count(Observer):
    def forward(self, op, node, inputs, settings, outputs, seconds):
        self.flops = op.flops(inputs, outputs, settings)


@pytest.mark.parametrize(("op", "shapes", "settings", "expected"), [
    ("add", [(4, 1), (3,)], {}, 12),  # one per element of the output
    ("gelu", [(4, 3)], {}, 20 * 12),
    ("swapaxes", [(4, 3)], {"first": 0, "second": 1}, 0),
    ("linear", [(2, 5, 3), (3, 4)], {}, 2 * 10 * 3 * 4),
    ("matmul", [(2, 1, 5, 3), (7, 3, 4)], {}, 2 * 2 * 7 * 5 * 3 * 4),
    ("matmul", [(3,), (3,)], {}, 2 * 3),
    ("matmul", [(2, 5, 3), (3,)], {}, 2 * 2 * 5 * 3),
    ("scaled_dot_product_attention", [(2, 3, 4, 5)] * 3, {}, 4 * 2 * 3 * 5 * (1 + 2 + 3 + 4)),
    ("scaled_dot_product_attention", [(2, 3, 4, 5)] * 3, {"causal": False}, 4 * 2 * 3 * 5 * 16),
    ("cross_entropy", [(4, 7)], {"targets": [0, 1, 2, 3]}, 13 * 28),
    ("linear_cross_entropy", [(4, 3), (7, 3)], {"targets": [0] * 4}, (3 * 2 * 3 + 25) * 28),
])
def test_flops_of_a_forward(op, shapes, settings, expected):
    with observing(Count()) as count:
        OPS[op](*map(np.ones, shapes), **settings)
    assert count.flops == expected


def test_flops_of_backward_over_those_of_forward():
    factors = {name: op.vjp_flops for name, op in OPS.items() if op.vjp_flops != 1}
    assert factors == {
        "matmul": 2, "linear": 2, "layer_norm": 2, "rms_norm": 2.5,
        "scaled_dot_product_attention": 2.5, "cross_entropy": 12 / 13, "linear_cross_entropy": 0,
    }
