"""Anomaly mode finds the first op with a result that is not finite.

A NaN in a loss is the end of a chain, because an op that reads a NaN returns one. To find the first
op of the chain, run the computation again and look at every array on the way. That takes several
times as long as the computation, so it is not always on. (`np.errstate(all="raise")` is no
substitute: a softmax underflows where a probability is 0 to all digits, and is right.)
"""

from weakref import WeakKeyDictionary

import numpy as np

from autograd.engine import Observer, observing


class AnomalyError(FloatingPointError):
    """The first op whose result is not finite."""


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
        self.called_in = WeakKeyDictionary()  # Node -> the words on where it was recorded

    def forward(self, op, node, inputs, settings, outputs, seconds):
        where = self.where()
        called_in = f"{op.name} in {where}" if where else op.name
        for output in outputs:
            if not np.isfinite(output).all():
                given = [f"{name} {x.shape} {_range(x)}" for name, x in _named(op, inputs)]
                raise AnomalyError(
                    f"forward of {called_in}: the output has {describe_nonfinite(output)}; "
                    f"inputs: {', '.join(given)}"
                )
        if node is not None:
            self.called_in[node] = called_in

    def vjp(self, op, node, d_outputs, gradients, seconds):
        for name, gradient in _named(op, gradients):
            if node in self.called_in and not np.isfinite(gradient).all():
                raise AnomalyError(f"backward of {self.called_in[node]}: the gradient of its input "
                                   f"{name} has {describe_nonfinite(gradient)}")


def describe_nonfinite(array):
    """Return in words how many entries of an array are not finite, and where the first is.

    >>> describe_nonfinite(np.array([[1.0, np.nan], [np.inf, 2.0]]))
    '1 nan and 1 inf among its 4 numbers of shape (2, 2), the first at [0, 1]'
    """
    wrong, nans = np.argwhere(~np.isfinite(array)), int(np.isnan(array).sum())
    return (f"{nans} nan and {len(wrong) - nans} inf among its {array.size} numbers of shape "
            f"{array.shape}, the first at {wrong[0].tolist()}")


def _named(op, arrays):
    """Return the pairs (name of an op's input, its array), without the arrays that are None."""
    names = op.array_names or [f"arrays[{i}]" for i in range(len(arrays))]
    return [(name, x) for name, x in zip(names, arrays, strict=True) if x is not None]


def _range(array):
    if not np.isfinite(array).all():
        return f"with {describe_nonfinite(array)}"
    return f"from {array.min():.3g} to {array.max():.3g}" if array.size else "empty"
