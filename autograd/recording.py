"""What is recorded when ops are called: each op, what it saved, and whence its inputs came.

`@op` and `@vjp` turn a pair of plain functions into an op that can be called on Tensors and is
listed in OPS. A call runs the forward and, if a gradient may be asked for, keeps a `Node`: the
graph of these is what `autograd.engine.backward` walks.
"""

import functools
import inspect
from contextlib import ContextDecorator
from contextvars import ContextVar

from autograd.tensor import Tensor, as_arrays

OPS = {}  # every op by name: what can be differentiated, and what gradient checks must cover

_recording = ContextVar("recording", default=True)
_needs = ContextVar("needs", default=None)


def differentiated(i):
    """Asked by a forward: is there a use in preparing the gradient of its array input i?"""
    needs = _needs.get()
    return needs is None or needs[i]


class no_grad(ContextDecorator):
    """`with no_grad():` or `@no_grad()`: ops compute, and record nothing to differentiate."""

    def __enter__(self):
        self.token = _recording.set(False)
        return self

    def __exit__(self, *exception):
        _recording.reset(self.token)

    def _recreate_cm(self):  # a decorated function that calls itself needs one token per call
        return type(self)()


class Node:
    """One application of an op: what backward needs of it, and nothing else.

    edges    per array input, where its gradient goes: None (not wanted), a leaf Tensor, or the
             pair (node, index) for output `index` of another node. Inputs themselves are not
             kept: an array stays alive through backward only if some op saved it.
    outputs  (shape, dtype) of each output: what its gradient must look like
    """

    __slots__ = ("edges", "op", "outputs", "saved")

    def __init__(self, op, saved, edges, outputs):
        self.op, self.saved, self.edges, self.outputs = op, saved, edges, outputs


class Op:
    """A forward and its VJP under one name, callable on Tensors.

    In a forward's signature, the parameters before `/` are the arrays, and may be Tensors,
    ndarrays or numbers when the op is called, or None where that is the default; an op whose
    forward takes `*arrays` is called with a list of them. All other parameters are settings and
    reach the forward as they are.
    """

    def __init__(self, forward, keeps_dtype):
        functools.update_wrapper(self, forward)
        self.name = forward.__name__
        self.forward = forward
        self.keeps_dtype = keeps_dtype
        self.vjp = None
        self.vjp_takes = ()  # which of `needs` and `into` the VJP has as parameters
        parameters = inspect.signature(forward).parameters.values()
        self.array_names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.optional_names = {p.name for p in parameters if p.default is None}
        self.setting_names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.takes_list = not self.array_names

    def __call__(self, *arguments, **settings):
        inputs, rest = self._split_arguments(arguments, settings)
        arrays = as_arrays(self.name, inputs, self.keeps_dtype)
        edges = [_edge(x) for x in inputs] if _recording.get() else [None] * len(inputs)
        needs = tuple([edge is not None for edge in edges])
        token = _needs.set(needs)
        try:
            output, saved = self.forward(*arrays, *rest, **settings)
        finally:
            _needs.reset(token)
        several = isinstance(output, tuple)
        results = tuple(map(Tensor, output)) if several else (Tensor(output),)
        if any(needs):
            node = Node(self, saved, edges, [(r.data.shape, r.data.dtype) for r in results])
            for index, result in enumerate(results):
                result.node, result.output_index, result.requires_grad = node, index, True
        return results if several else results[0]

    def gradients(self, d_output, saved, needs, into=None):
        """The VJP's result as a tuple, one array (or None) per array input."""
        told = {}
        if "needs" in self.vjp_takes:
            told["needs"] = needs
        if "into" in self.vjp_takes:
            told["into"] = into or (None,) * len(needs)
        gradients = self.vjp(d_output, saved, **told)
        return gradients if isinstance(gradients, tuple) else (gradients,)

    def _split_arguments(self, arguments, settings):
        """(array inputs, positional settings); takes arrays given by name out of `settings`."""
        if self.takes_list:
            first, *rest = arguments or ((),)
            usable = isinstance(first, list | tuple) and first and all(x is not None for x in first)
            if not usable or len(rest) > len(self.setting_names):
                raise TypeError(
                    f"{self.name}: takes one list of one or more tensors; write "
                    f"{self.name}([a, b]), with {', '.join(self.setting_names)} after the list"
                )
            settings.update(zip(self.setting_names, rest, strict=False))
            return list(first), _without_tensors((), settings)
        count = len(self.array_names)
        inputs, rest = arguments[:count], arguments[count:]
        if len(inputs) < count:
            inputs += tuple(settings.pop(name, None) for name in self.array_names[len(inputs) :])
        for i, x in enumerate(inputs):
            name = self.array_names[i]
            if x is None and name not in self.optional_names:
                raise TypeError(f"{self.name}: {name} is missing or None; give an array or number")
        return inputs, _without_tensors(rest, settings) if rest or settings else ()


def op(forward=None, *, keeps_dtype=False):
    """Register a forward as an op under its own name; `@vjp(name)` adds the derivative.

    keeps_dtype   for ops that only move numbers: integers and bools then stay what they are,
                  where other ops take them as floats
    """
    if forward is None:
        return functools.partial(op, keeps_dtype=keeps_dtype)
    OPS[forward.__name__] = Op(forward, keeps_dtype)
    return OPS[forward.__name__]


def vjp(of):
    """Attach a vector-Jacobian product to the op `of`.

    The function takes (d_output, saved) and returns one gradient per array input: an array, or
    None for an input that has no derivative. With a parameter `needs`, a tuple of bools, it is
    told which gradients are wanted and may return None for the others. With a parameter `into`,
    it is offered for each input the sum of the gradients that came before, or None: it may add to
    that array in place and return it, where a new array would be large and mostly zeros. It must
    not write into d_output, nor return an array that it saved and still needs, nor one array of
    its own for two inputs.
    """

    def attach(function):
        of.vjp = function
        parameters = inspect.signature(function).parameters
        of.vjp_takes = tuple(name for name in ("needs", "into") if name in parameters)
        return function

    return attach


def _without_tensors(positional, settings):
    """Settings such as indices may be given as Tensors; a forward sees only arrays."""
    for name, value in settings.items():
        if isinstance(value, Tensor):
            settings[name] = value.data
    return [value.data if isinstance(value, Tensor) else value for value in positional]


def _edge(x):
    if not (isinstance(x, Tensor) and x.requires_grad):
        return None
    return x if x.node is None else (x.node, x.output_index)
