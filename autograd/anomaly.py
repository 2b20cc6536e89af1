"""Anomaly mode finds the first op with a result that is not finite.

A NaN in a loss is the end of a chain, because an op that reads a NaN returns one. To find the first
op of the chain, run the computation again and look at every array on the way. That takes several
times as long as the computation, so it is not always on.
"""

from weakref import WeakKeyDictionary

import numpy as np

from autograd.engine import Observer, observing


class AnomalyError(FloatingPointError):
    """The first op whose result is not finite. op: its name; where: its part of the model."""

    def __init__(self, message, op, where):
        super().__init__(message)
        self.op, self.where = op, where


def detect_anomaly(where=lambda: ""):
    """Raise `AnomalyError` inside if an output or a gradient of an op is not finite.

    where   called at each forward; returns the part of the model, for the message

    For forward and backward of one thread. An intended infinity is reported too; ops that were
    recorded before are not looked at in backward.
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
                raise AnomalyError(f"backward of {op.name}{_in(where)}: the gradient of its input "
                                   f"{name} has {described(gradient)}", op.name, where)


def described(array):
    """Return in words how many entries of an array are not finite, and where the first is.

    >>> described(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    '1 nan and 1 inf among its 4 numbers of shape (2, 2), the first at [0, 1]'
    """
    wrong, nans = np.argwhere(~np.isfinite(array)), int(np.isnan(array).sum())
    return (f"{nans} nan and {len(wrong) - nans} inf among its {array.size} numbers of shape "
            f"{array.shape}, the first at {wrong[0].tolist()}")


def _of_forward(op, where, inputs, output):
    named = zip(_input_names(op, inputs), inputs, strict=True)
    ranges = [f"{name} {x.shape} {_range(x)}" for name, x in named if x is not None]
    return (f"forward of {op.name}{_in(where)}: the output has {described(output)}; "
            f"inputs: {', '.join(ranges)}")


def _input_names(op, arrays):
    return op.array_names or [f"arrays[{i}]" for i in range(len(arrays))]


def _range(array):
    if not np.isfinite(array).all():
        return f"with {described(array)}"
    return f"from {array.min():.3g} to {array.max():.3g}" if array.size else "empty"


def _in(where):
    return f" in {where}" if where else ""
