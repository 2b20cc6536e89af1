"""Anomaly mode: which op was the first to give a number that is not finite?

A NaN in a loss is the end of a chain: whatever reads a NaN gives one. The first op of the chain is
found by running the same computation once more and looking at every array on the way, which costs
more than the computation itself and is therefore no permanent state.
"""

from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from autograd.recording import OPS


class AnomalyError(FloatingPointError):
    """The first op whose result is not finite. op: its name; place: where it was called."""

    def __init__(self, message, op, place):
        super().__init__(message)
        self.op, self.place = op, place


class _Placed(NamedTuple):
    """What a forward saved, with the place where it was called, for backward to name."""

    place: str
    saved: tuple


@contextmanager
def detect_anomaly(place=lambda: ""):
    """Inside, an op raises `AnomalyError` if its output, or a gradient by it, is not finite.

    place   called at each forward: where it happens, such as the model's module at work

    For forward and backward of one thread; ops take several times as long. An op that gives an
    infinity on purpose is reported too.
    """
    originals = {op: (op.forward, op.vjp) for op in OPS.values()}
    for op, (forward, vjp) in originals.items():
        op.forward = _watched_forward(op, forward, place)
        op.vjp = _watched_vjp(op, vjp)
    try:
        yield
    finally:
        for op, (forward, vjp) in originals.items():
            op.forward, op.vjp = forward, vjp


def _watched_forward(op, forward, place):
    def watched(*arrays, **settings):
        output, saved = forward(*arrays, **settings)
        where = place()
        for result in output if isinstance(output, tuple) else (output,):
            if not np.isfinite(result).all():
                raise AnomalyError(_of_forward(op, where, arrays, result), op.name, where)
        return output, _Placed(where, saved)

    return watched


def _watched_vjp(op, vjp):
    def watched(d_output, placed, **offered):
        if not isinstance(placed, _Placed):  # recorded outside of anomaly mode
            return vjp(d_output, placed, **offered)
        gradients = vjp(d_output, placed.saved, **offered)
        for i, gradient in enumerate(gradients if isinstance(gradients, tuple) else (gradients,)):
            if gradient is not None and not np.isfinite(gradient).all():
                name = op.array_names[i] if op.array_names else f"arrays[{i}]"
                message = (
                    f"backward of {op.name}{_at(placed.place)}: the gradient of its input {name} "
                    f"has {described(gradient)}"
                )
                raise AnomalyError(message, op.name, placed.place)
        return gradients

    return watched


def described(array):
    """How many entries of an array are not finite, and which is the first.

    >>> described(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    '1 nan and 1 inf among its 4 numbers of shape (2, 2), the first at [0, 1]'
    """
    wrong = np.argwhere(~np.isfinite(array))
    first = [int(i) for i in wrong[0]]
    nans = int(np.isnan(array).sum())
    return (
        f"{nans} nan and {len(wrong) - nans} inf among its {array.size} numbers of shape "
        f"{array.shape}, the first at {first}"
    )


def _of_forward(op, where, arrays, result):
    names = op.array_names or [f"arrays[{i}]" for i in range(len(arrays))]
    inputs = [
        f"{name} {array.shape} {_range(array)}"
        for name, array in zip(names, arrays, strict=False)
        if isinstance(array, np.ndarray)
    ]
    return (
        f"forward of {op.name}{_at(where)}: the output has {described(result)}; "
        f"inputs: {', '.join(inputs)}"
    )


def _range(array):
    if not np.isfinite(array).all():
        return f"with {described(array)}"
    return f"from {array.min():.3g} to {array.max():.3g}" if array.size else "empty"


def _at(place):
    return f" in {place}" if place else ""
