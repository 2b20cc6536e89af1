"""The cases of each op for gradcheck: CASES has, for every op in OPS, calls of it on random arrays.

They cover the documented settings, shapes and broadcasts of an op. An op of one array without
settings needs no entry. All arrays are of order one, the weights of layer norm too: behind weights
of 0.02 a wrong gradient is too small to be seen. They stay away from kinks, where |x|, max and the
like have no derivative.
"""

from functools import partial

import numpy as np

from autograd.engine import OPS
from autograd.ops import arithmetic, attention, linalg, loss, nn, reductions, shaping


class Case:
    """A call f(*arrays, **settings); `makers` make the arrays from a random generator."""

    def __init__(self, label, f, *makers, **settings):
        self.label, self.f, self.makers = label, partial(f, **settings) if settings else f, makers

    def inputs(self, seed):
        rng = np.random.default_rng(seed)
        return [make(rng) for make in self.makers]


def normal(*shape):
    return lambda rng: rng.normal(size=shape)


def positive(*shape):
    return lambda rng: rng.uniform(0.5, 2.5, size=shape)


def spaced(*shape, offset=0.125):
    """Make numbers at least 0.1 from one another and, unless offset=0, from multiples of 1/4.

    Numbers with offset=0 are at least 0.05 from numbers with the offset 0.125.
    """

    def make(rng):
        ranks = rng.permutation(int(np.prod(shape))).reshape(shape) - int(np.prod(shape)) // 2
        return ranks / 4 + offset + rng.uniform(-0.02, 0.02, size=shape)

    return make


def on_shapes(f, array=normal):
    return [Case(f"shape {shape}", f, array(*shape)) for shape in [(), (5,), (2, 3, 2)]]


PAIRS = {
    "same shape": ((2, 3), (2, 3)),
    "a matrix, a row": ((2, 3), (3,)),
    "a column, a row": ((2, 1), (1, 3)),
    "a stack, a column": ((2, 2, 3), (2, 1)),
    "a scalar, a matrix": ((), (2, 3)),
}


def on_pairs(f, a=normal, b=normal):
    return [Case(label, f, a(*shape_a), b(*shape_b)) for label, (shape_a, shape_b) in PAIRS.items()]


def over_axes(f, array=normal, axes=(None, 0, -1, (0, 2)), **settings):
    return [
        Case(f"axis={a}, keepdims={k}", f, array(2, 3, 2), axis=a, keepdims=k, **settings)
        for a in axes for k in (False, True)
    ]


def with_settings(f, array, *settings):
    """Return a case for each dict of keyword settings, or tuple of positional ones."""
    return [
        Case(", ".join(f"{k}={v}" for k, v in given.items()), f, array, **given)
        if isinstance(given, dict) else Case(f"{given}", lambda x, given=given: f(x, *given), array)
        for given in settings
    ]


def joined(f, *shapes, axis):
    return Case(f"axis={axis}", lambda *xs: f(xs, axis=axis), *[normal(*s) for s in shapes])


TARGETS = np.array([[1, 0, 4], [4, -1, 2]])
PADDING = np.array([[1, 1, 0], [0, 0, 0]])  # the second text is nothing else
MASK = np.array([[True, False, True], [False, False, True]])
ALONG = {"axis": -1}, {"axis": 0}
INDICES = {
    "new axis, ellipsis": (None, ..., 1),
    "integers, repeated": np.array([2, 0, 2, 2]),
    "two arrays of integers": (np.array([3, 0, 3]), np.array([1, -1, 1])),
    "integers around a slice": (np.array([3, 3]), slice(None), np.array([0, 1])),
    "mask": np.arange(12).reshape(4, 3) % 3 > 0,
}
MATRICES = {
    "matrices": ((2, 3), (3, 4)),
    "vectors": ((3,), (3,)),
    "stack, vector": ((2, 2, 3), (3,)),
    "stack, matrix": ((2, 2, 3), (3, 2)),
    "stacks, broadcast": ((2, 1, 2, 3), (3, 3, 2)),
}
HEADS = {
    "causal": ({}, (2, 2, 3, 2), (2, 2, 3, 2)),
    "causal, T < S": ({}, (1, 2, 2, 3), (1, 2, 4, 3)),
    "two heads of queries to one of keys": ({}, (2, 4, 3, 2), (2, 2, 3, 2)),
    "padding": ({"mask": PADDING, "causal": False}, (2, 2, 3, 2), (2, 2, 3, 2)),
    "two texts in a row": ({"first": [[0, 0, 1, 1], [0, 0, 0, 2]]}, (2, 2, 4, 2), (2, 1, 4, 2)),
    # with a bias, whose shape is the last one
    "a bias for all sequences": ({}, (2, 2, 3, 2), (2, 2, 3, 2), (1, 2, 3, 3)),
    "a bias for each": ({"causal": False, "scale": 0.8}, (2, 2, 2, 2), (2, 1, 3, 2), (2, 2, 2, 3)),
}
ONE_ARRAY = [op for op in OPS.values() if len(op.array_names) == 1 and not op.setting_names]
CASES = {op.name: on_shapes(op) for op in ONE_ARRAY} | {
    "add": on_pairs(arithmetic.add),
    "sub": on_pairs(arithmetic.sub),
    "mul": on_pairs(arithmetic.mul),
    "div": on_pairs(arithmetic.div, normal, positive),
    "pow": on_pairs(arithmetic.pow, positive, normal)
    + with_settings(arithmetic.pow, normal(2, 3), {"b": 3}, {"b": 2.0}, {"b": 0}),
    "log": on_shapes(arithmetic.log, positive),
    "sqrt": on_shapes(arithmetic.sqrt, positive),
    "abs": on_shapes(arithmetic.abs, spaced),
    "maximum": on_pairs(arithmetic.maximum, spaced, partial(spaced, offset=0.0)),
    "where": [
        Case("same shape", partial(arithmetic.where, MASK), normal(2, 3), normal(2, 3)),
        Case("a row, a column", partial(arithmetic.where, MASK), normal(3), normal(2, 1)),
        Case("a row of conditions", partial(arithmetic.where, MASK[0]), normal(2, 3), normal(2, 3)),
    ],
    "clip": with_settings(arithmetic.clip, spaced(3, 4),
                          {"low": -0.5, "high": 0.5}, {"high": 0.25}),
    "sum": over_axes(reductions.sum),
    "mean": over_axes(reductions.mean),
    "max": over_axes(reductions.max, spaced),
    "min": over_axes(reductions.min, spaced),
    "std": over_axes(reductions.std, axes=(None, 0))
    + over_axes(reductions.std, axes=((-1, 0),), correction=1),
    "logsumexp": over_axes(reductions.logsumexp),
    "var": over_axes(reductions.var, axes=(None, 0))
    + over_axes(reductions.var, axes=((-1, 0),), correction=1),
    "reshape": with_settings(shaping.reshape, normal(2, 6), (3, 2, 2), ((4, -1),))
    + with_settings(shaping.reshape, normal(1, 1), ((),)),
    "transpose": with_settings(shaping.transpose, normal(2, 3, 4), (), (1, 2, 0), ((-1, 0, -2),)),
    "swapaxes": with_settings(shaping.swapaxes, normal(2, 3, 4),
                              {"first": 0, "second": 1}, {"first": -1, "second": 0}),
    "broadcast_to": [
        Case(f"{a} to {b}", partial(shaping.broadcast_to, shape=b), normal(*a))
        for a, b in (((3,), (2, 3)), ((2, 1), (2, 2, 3)), ((), (2, 3)))
    ],
    "getitem": [
        Case(label, shaping.getitem, normal(4, 3, 2), index=index)
        for label, index in INDICES.items()
    ],
    "concat": [
        joined(shaping.concat, (1, 3), (2, 3), (2, 3), axis=0),
        joined(shaping.concat, (2, 1, 2), (2, 1, 2), axis=-1),
    ],
    "split": with_settings(shaping.split, normal(4, 3, 2), {"size": 2}, {"size": 3},
                           {"size": [1, 0, 3]}, {"size": 2, "axis": -2}),
    "stack": [
        joined(shaping.stack, (2, 3), (2, 3), (2, 3), axis=0),
        joined(shaping.stack, (2, 3), (2, 3), axis=-1),
    ],
    "pad": with_settings(shaping.pad, normal(2, 3), {"widths": ((0, 0), (2, 1))},
                         {"widths": ((1, 0), (0, 2)), "value": 3.0}),
    "matmul": [
        Case(label, linalg.matmul, normal(*a), normal(*b)) for label, (a, b) in MATRICES.items()
    ] + [
        Case("a transposed", lambda a, b: a.swapaxes(1, 2) @ b, normal(2, 4, 3), normal(2, 4, 2)),
        Case("b transposed", lambda a, b: a @ b.swapaxes(1, 2), normal(2, 3, 4), normal(2, 2, 4)),
        Case("both transposed", lambda a, b: a.swapaxes(1, 2) @ b.swapaxes(1, 2),
             normal(2, 4, 3), normal(2, 2, 4)),
    ],
    "linear": [
        Case("with bias", linalg.linear, normal(2, 2, 3), normal(3, 4), normal(4)),
        Case("without bias", linalg.linear, normal(3, 2), normal(2, 2)),
        Case("one row", linalg.linear, normal(3), normal(3, 2), normal(2)),
        Case("weight transposed", lambda x, weight: linalg.linear(x, shaping.transpose(weight)),
             normal(2, 3), normal(4, 3)),
    ],
    "relu": on_shapes(nn.relu, spaced),
    "gelu": with_settings(nn.gelu, normal(2, 5), {"approximate": "tanh"}, {"approximate": "none"}),
    "softmax": with_settings(nn.softmax, normal(2, 3, 4), *ALONG),
    "log_softmax": with_settings(nn.log_softmax, normal(2, 3, 4), *ALONG),
    "layer_norm": [
        Case("weight and bias", nn.layer_norm, normal(2, 2, 5), normal(5), normal(5)),
        Case("no bias", lambda x, weight: nn.layer_norm(x, weight, None), normal(3, 4), normal(4)),
        Case("no weight", lambda x, bias: nn.layer_norm(x, None, bias), normal(3, 4), normal(4)),
        Case("no weight, no bias", lambda x: nn.layer_norm(x, None, None), normal(3, 4)),
        Case("eps=0.1", nn.layer_norm, normal(4), normal(4), normal(4), eps=0.1),
    ],
    "rms_norm": [
        Case("a matrix of rows", nn.rms_norm, normal(2, 2, 5), normal(5)),
        Case("eps=0.1", nn.rms_norm, normal(3, 4), normal(4), eps=0.1),
    ],
    "rotary_embedding": with_settings(nn.rotary_embedding, normal(2, 2, 3, 4),
                                      {"positions": [0, 1, 2]},
                                      {"positions": np.array([7, 3, 3]), "base": 100.0}),
    "embedding": with_settings(nn.embedding, normal(5, 3), {"indices": [[1, 4, 1], [1, 0, 3]]},
                               {"indices": 3}),
    "dropout": with_settings(nn.dropout, normal(3, 4),
                             {"p": 0.3, "seed": 1}, {"p": 0.7, "seed": 2}),
    "scaled_dot_product_attention": [
        Case(label, attention.scaled_dot_product_attention,
             *[normal(*shape) for shape in (q, kv, kv, *bias)], **settings)
        for label, (settings, q, kv, *bias) in HEADS.items()
    ],
    "cross_entropy": with_settings(
        loss.cross_entropy, normal(2, 3, 5),
        {"targets": TARGETS}, {"targets": abs(TARGETS), "ignore_index": 4},
    ) + with_settings(loss.cross_entropy, normal(4), {"targets": 2}),
    "binary_cross_entropy": with_settings(
        loss.binary_cross_entropy, normal(2, 3), {"targets": MASK}, {"targets": MASK * 0.75},
    ) + with_settings(loss.binary_cross_entropy, normal(), {"targets": 1}),
    "linear_cross_entropy": [
        Case("ignore_index=-1", loss.linear_cross_entropy, normal(2, 3, 4), normal(5, 4),
             targets=TARGETS),
        Case("ignore_index=4", loss.linear_cross_entropy, normal(2, 3, 2), normal(5, 2),
             targets=abs(TARGETS), ignore_index=4),
        Case("a third of the loss", lambda x, table: loss.linear_cross_entropy(x, table, 2) / 3,
             normal(3), normal(4, 3)),
    ],
}
