"""Inputs on which each op is checked, and the check: `check_op("softmax")`.

SAMPLES has, for every op in OPS, calls that cover its documented settings, shapes and
broadcasts. The arrays are of order one, gains and all, because behind weights of 0.02 a wrong
gradient is too small to be seen; and away from kinks, where |x|, max and the like have no
derivative for differences to find.
"""

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

import autograd as ops
from autograd.draws import (
    apart,
    joined,
    normal,
    on_pairs,
    on_shapes,
    over_axes,
    positive,
    sample,
    with_settings,
)
from autograd.gradcheck import examine

RTOL = 1e-7  # the samples bend little: their differences are right to about 1e-9


@dataclass(frozen=True)
class OpReport:
    """What `check_op` found.

    worst     the largest relative error of a gradient, over all samples
    where     its sample, input and entry
    failure   the report on the first sample that failed; None if none did
    """

    op: str
    samples: int
    worst: float
    where: str
    seconds: float
    failure: str | None

    @property
    def passed(self):
        return self.failure is None


def check_op(name, seed=0):
    """Gradcheck an op on its samples, as drawn by `seed`, up to the first that fails.

    Returns an OpReport. ValueError for a name without samples.
    """
    if name not in SAMPLES:
        raise ValueError(f"check_op: no op {name!r}; use one of: {', '.join(sorted(SAMPLES))}")
    start = time.perf_counter()
    worst, where, failure = -1.0, "", None
    for s in SAMPLES[name]:
        title = f"{name}, {s.label}"
        try:
            report = examine(s.f, s.inputs(seed), rtol=RTOL, seed=seed, name=title)
        except AssertionError as error:  # no gradient to compare: the engine refused it, say
            worst, where, failure = float("nan"), s.label, f"{title}: {error}"
            break
        if not report.worst.error <= worst:
            worst = report.worst.error
            where = f"{s.label}: {report.worst.name}, {list(report.worst.index)}"
        if not report.passed:
            failure = str(report)
            break
    seconds = time.perf_counter() - start
    return OpReport(name, len(SAMPLES[name]), worst, where, seconds, failure)


TARGETS = np.array([[1, 0, 4], [4, -1, 2]])
MASK = np.array([[True, False, True], [False, False, True]])
INDICES = {
    "int": 1,
    "negative int, slice": (-1, slice(None, 2)),
    "slices with steps": (slice(None, None, -2), slice(1, None), slice(0, 2, 2)),
    "new axis, ellipsis": (None, ..., 1),
    "integers, repeated": np.array([2, 0, 2, 2]),
    "matrix of integers": (slice(None), np.array([[0, 1], [2, 0]])),
    "two arrays of integers": (np.array([3, 0, 3]), np.array([1, -1, 1])),
    "integers around a slice": (np.array([3, 3]), slice(None), np.array([0, 1])),
    "list": [0, 0, 1],
    "mask": np.arange(12).reshape(4, 3) % 3 > 0,
}
MATRICES = {
    "matrices": ((2, 3), (3, 4)),
    "vectors": ((3,), (3,)),
    "vector, matrix": ((3,), (3, 2)),
    "matrix, vector": ((2, 3), (3,)),
    "vector, stack": ((3,), (2, 3, 2)),
    "stack, vector": ((2, 2, 3), (3,)),
    "stack, matrix": ((2, 2, 3), (3, 2)),
    "matrix, stack": ((2, 3), (2, 3, 2)),
    "stacks": ((2, 2, 3), (2, 3, 1)),
    "stacks, broadcast": ((2, 1, 2, 3), (3, 3, 2)),
}
HEADS = {
    "causal": (True, (2, 2, 3, 2), (2, 2, 3, 2)),
    "causal, T < S": (True, (1, 2, 2, 3), (1, 2, 4, 3)),
    "not causal": (False, (2, 1, 3, 2), (2, 1, 3, 2)),
    "not causal, T > S": (False, (1, 2, 4, 2), (1, 2, 3, 2)),
    "not causal, T < S": (False, (1, 1, 2, 1), (1, 1, 3, 1)),
}


SAMPLES = {
    # arithmetic
    "add": on_pairs(ops.add),
    "sub": on_pairs(ops.sub),
    "mul": on_pairs(ops.mul),
    "div": on_pairs(ops.div, normal, positive),
    "neg": on_shapes(ops.neg),
    "pow": on_pairs(ops.pow, positive, normal)
    + with_settings(ops.pow, normal(2, 3), {"b": 3}, {"b": 2.0}, {"b": 1}, {"b": 0}),
    "exp": on_shapes(ops.exp),
    "log": on_shapes(ops.log, positive),
    "sqrt": on_shapes(ops.sqrt, positive),
    "tanh": on_shapes(ops.tanh),
    "abs": on_shapes(ops.abs, apart),
    "maximum": on_pairs(ops.maximum, apart, partial(apart, offset=0.0)),
    "where": [
        sample("same shape", partial(ops.where, MASK), normal(2, 3), normal(2, 3)),
        sample("a row, a column", partial(ops.where, MASK), normal(3), normal(2, 1)),
        sample("numbers", partial(ops.where, MASK), normal(), normal()),
        sample("a row of conditions", partial(ops.where, MASK[0]), normal(2, 3), normal(2, 3)),
    ],
    "clip": with_settings(ops.clip, apart(3, 4),
                          {"low": -0.5, "high": 0.5}, {"low": 0.0}, {"high": 0.25}, {}),
    # reductions
    "sum": over_axes(ops.sum),
    "mean": over_axes(ops.mean),
    "max": over_axes(ops.max, apart),
    "logsumexp": over_axes(ops.logsumexp),
    "var": over_axes(ops.var, axes=(None, 0, (-1, 0)))
    + over_axes(ops.var, axes=(1, (0, 2)), correction=1),
    # shaping
    "reshape": [
        sample("three lengths", lambda x: ops.reshape(x, 3, 2, 2), normal(2, 6)),
        sample("a tuple with -1", lambda x: ops.reshape(x, (4, -1)), normal(2, 6)),
        sample("to a number", lambda x: ops.reshape(x, ()), normal(1, 1)),
    ],
    "transpose": [
        sample("reversed", ops.transpose, normal(2, 3, 2)),
        sample("axes", lambda x: ops.transpose(x, 1, 2, 0), normal(2, 3, 4)),
        sample("a tuple", lambda x: ops.transpose(x, (-1, 0, -2)), normal(2, 3, 4)),
    ],
    "swapaxes": with_settings(ops.swapaxes, normal(2, 3, 4),
                              {"first": 0, "second": 1}, {"first": -1, "second": 0}),
    "broadcast_to": [
        sample("a row", lambda x: ops.broadcast_to(x, (2, 3)), normal(3)),
        sample("a column", lambda x: ops.broadcast_to(x, (2, 2, 3)), normal(2, 1)),
        sample("a number", lambda x: ops.broadcast_to(x, (2, 3)), normal()),
        sample("its own shape", lambda x: ops.broadcast_to(x, (2, 3)), normal(2, 3)),
    ],
    "getitem": [
        sample(label, partial(ops.getitem, index=index), normal(4, 3, 2))
        for label, index in INDICES.items()
    ],
    "concat": [
        joined(ops.concat, 0, (1, 3), (2, 3), (2, 3)),
        joined(ops.concat, -1, (2, 1, 2), (2, 1, 2)),
        joined(ops.concat, 1, (2, 3)),
    ],
    "split": with_settings(
        ops.split, normal(4, 3, 2),
        {"size": 2}, {"size": 3}, {"size": [1, 0, 3]}, {"size": 2, "axis": -2},
    ),
    "stack": [
        joined(ops.stack, 0, (2, 3), (2, 3), (2, 3)),
        joined(ops.stack, -1, (2, 3), (2, 3)),
        joined(ops.stack, 1, (4,)),
    ],
    "pad": with_settings(
        ops.pad, normal(2, 3),
        {"widths": ((0, 0), (2, 1))}, {"widths": ((1, 0), (0, 2)), "value": 3.0},
    ),
    # linalg
    "matmul": [
        sample(label, ops.matmul, normal(*a), normal(*b)) for label, (a, b) in MATRICES.items()
    ] + [
        sample("a transposed", lambda a, b: ops.matmul(a.swapaxes(1, 2), b),
               normal(2, 4, 3), normal(2, 4, 2)),
        sample("b transposed", lambda a, b: ops.matmul(a, b.swapaxes(1, 2)),
               normal(2, 3, 4), normal(2, 2, 4)),
        sample("both transposed", lambda a, b: ops.matmul(a.swapaxes(1, 2), b.swapaxes(1, 2)),
               normal(2, 4, 3), normal(2, 2, 4)),
    ],
    "linear": [
        sample("with bias", ops.linear, normal(2, 2, 3), normal(3, 4), normal(4)),
        sample("without bias", ops.linear, normal(3, 2), normal(2, 2)),
        sample("one row", ops.linear, normal(3), normal(3, 2), normal(2)),
        sample("weight transposed", lambda x, w: ops.linear(x, ops.transpose(w)),
               normal(2, 3), normal(4, 3)),
    ],
    # nn
    "relu": on_shapes(ops.relu, apart),
    "sigmoid": on_shapes(ops.sigmoid),
    "gelu": with_settings(ops.gelu, normal(2, 5), {"approximate": "tanh"}, {"approximate": "none"}),
    "softmax": with_settings(ops.softmax, normal(2, 3, 4), {"axis": -1}, {"axis": 0}, {"axis": -2}),
    "log_softmax": with_settings(
        ops.log_softmax, normal(2, 3, 4), {"axis": -1}, {"axis": 0}, {"axis": -2}),
    "layer_norm": [
        sample("weight and bias", ops.layer_norm, normal(2, 2, 5), normal(5), normal(5)),
        sample("no bias", lambda x, w: ops.layer_norm(x, w, None), normal(3, 4), normal(4)),
        sample("no weight", lambda x, b: ops.layer_norm(x, None, b), normal(3, 4), normal(4)),
        sample("neither", lambda x: ops.layer_norm(x, None, None), normal(3, 4)),
        sample("eps=0.1", partial(ops.layer_norm, eps=0.1), normal(4), normal(4), normal(4)),
    ],
    "embedding": with_settings(
        ops.embedding, normal(5, 3),
        {"indices": [[1, 4, 1], [1, 0, 3]]}, {"indices": [2, 2]}, {"indices": 3},
    ),
    "dropout": with_settings(ops.dropout, normal(3, 4),
                             {"p": 0.3, "seed": 1}, {"p": 0.7, "seed": 2}, {"p": 0.0, "seed": 3}),
    "scaled_dot_product_attention": [
        sample(label, partial(ops.scaled_dot_product_attention, causal=causal),
               normal(*q), normal(*kv), normal(*kv))
        for label, (causal, q, kv) in HEADS.items()
    ],
    "cross_entropy": [
        sample("ignore_index=-1", partial(ops.cross_entropy, targets=TARGETS), normal(2, 3, 5)),
        sample("ignore_index=4", partial(ops.cross_entropy, targets=abs(TARGETS), ignore_index=4),
               normal(2, 3, 5)),
        sample("one row", partial(ops.cross_entropy, targets=2), normal(4)),
    ],
    "linear_cross_entropy": [
        sample("ignore_index=-1", partial(ops.linear_cross_entropy, targets=TARGETS),
               normal(2, 3, 4), normal(5, 4)),
        sample("ignore_index=4",
               partial(ops.linear_cross_entropy, targets=abs(TARGETS), ignore_index=4),
               normal(2, 3, 2), normal(5, 2)),
        sample("a third of the loss",
               lambda x, table: ops.linear_cross_entropy(x, table, 2) / 3, normal(3), normal(4, 3)),
    ],
}  # fmt: skip
