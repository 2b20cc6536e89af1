"""Anomaly mode: which op was the first to give a number that is not finite?

A NaN in a loss is the end of a chain: whatever reads a NaN gives one. The first op of the chain is
found by running the same computation once more and looking at every array on the way, which costs
more than the computation itself and is therefore no permanent state.
"""

from weakref import WeakKeyDictionary

import numpy as np

from autograd.engine import Observer, observing


class AnomalyError(FloatingPointError):
    """The first op whose result is not finite. op: its name; where: in which part of the model."""

    def __init__(self, message, op, where):
        super().__init__(message)
        self.op, self.where = op, where


def detect_anomaly(where=lambda: ""):
    """Inside, an op raises `AnomalyError` if its output, or one of its gradients, is not finite.

    where   called at each forward: in which part of the model it is, for the message

    For forward and backward of one thread; ops take several times as long. An op that gives an
    infinity on purpose is reported too. What was recorded before is not looked at in backward.
    """
    return observing(_FiniteOnly(where))


class _FiniteOnly(Observer):
    def __init__(self, where):
        self.where = where
        self.called_in = WeakKeyDictionary()  # Node -> what `where` said when it was recorded

    def forward(self, op, node, inputs, settings, outputs, seconds):
        where = self.where()
        for output in outputs:
            if not np.isfinite(output).all():
                raise AnomalyError(_of_forward(op, where, inputs, output), op.name, where)
        if node is not None:
            self.called_in[node] = where

    def vjp(self, op, node, d_outputs, gradients, seconds):
        if node not in self.called_in:
            return
        where = self.called_in[node]
        for name, gradient in zip(_input_names(op, gradients), gradients, strict=True):
            if gradient is not None and not np.isfinite(gradient).all():
                message = (
                    f"backward of {op.name}{_in(where)}: the gradient of its input {name} "
                    f"has {described(gradient)}"
                )
                raise AnomalyError(message, op.name, where)


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


def _of_forward(op, where, inputs, output):
    ranges = [
        f"{name} {array.shape} {_range(array)}"
        for name, array in zip(_input_names(op, inputs), inputs, strict=True)
        if array is not None
    ]
    return (
        f"forward of {op.name}{_in(where)}: the output has {described(output)}; "
        f"inputs: {', '.join(ranges)}"
    )


def _input_names(op, arrays):
    return op.array_names or [f"arrays[{i}]" for i in range(len(arrays))]


def _range(array):
    if not np.isfinite(array).all():
        return f"with {described(array)}"
    return f"from {array.min():.3g} to {array.max():.3g}" if array.size else "empty"


def _in(where):
    return f" in {where}" if where else ""
