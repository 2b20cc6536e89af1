"""Reverse-mode differentiation: record what was computed, then walk it backwards.

Every op (see `autograd.ops`) is a pair of plain functions on ndarrays:

    forward(x, y, ...)      -> output, saved       saved: the tuple that backward will need
    vjp(d_output, saved)    -> d_x, d_y, ...       the vector-Jacobian product

For a loss L and an output z = f(x, y), `d_z` stands for dL/dz, an array shaped like z. The chain
rule turns it into d_x = d_z . dz/dx without ever forming the Jacobian dz/dx. Calling an op runs
its forward and, if a gradient may be asked for, keeps a `Node`: the op, what it saved, and where
the gradients of its inputs have to go. `backward` visits the nodes from the loss to the leaves.
"""

import functools
import inspect
from contextlib import ContextDecorator
from contextvars import ContextVar

import numpy as np

from autograd.tensor import Tensor, as_arrays

OPS = {}  # every op by name: what can be differentiated, and what gradient checks must cover

_recording = ContextVar("recording", default=True)


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
    inputs   (shape, dtype) of each array input: what its gradient must look like
    outputs  (shape, dtype) of each output
    """

    __slots__ = ("edges", "inputs", "op", "outputs", "saved")

    def __init__(self, op, saved, edges, inputs, outputs):
        self.op, self.saved, self.edges = op, saved, edges
        self.inputs, self.outputs = inputs, outputs


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
        self.vjp_skips = False  # whether the VJP takes `needs` and skips unwanted gradients
        parameters = inspect.signature(forward).parameters.values()
        self.array_names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.optional_names = {p.name for p in parameters if p.default is None}
        self.setting_names = [p.name for p in parameters if p.kind is p.KEYWORD_ONLY]
        self.takes_list = not self.array_names

    def __call__(self, *arguments, **settings):
        inputs, rest = self._split_arguments(arguments, settings)
        arrays = as_arrays(self.name, inputs, self.keeps_dtype)
        output, saved = self.forward(*arrays, *rest, **settings)
        wanted = _recording.get() and any(isinstance(x, Tensor) and x.requires_grad for x in inputs)
        if isinstance(output, tuple):
            results = tuple(Tensor(array) for array in output)
        else:
            results = (Tensor(output),)
        if wanted:
            self._record(inputs, arrays, results, saved)
        return results if isinstance(output, tuple) else results[0]

    def gradients(self, d_output, saved, needs):
        """The VJP's result as a tuple, one array (or None) per array input."""
        skips = {"needs": needs} if self.vjp_skips else {}
        gradients = self.vjp(d_output, saved, **skips)
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
        inputs = list(arguments[:count])
        for name in self.array_names[len(inputs) :]:
            inputs.append(settings.pop(name, None))
        for name, x in zip(self.array_names, inputs, strict=True):
            if x is None and name not in self.optional_names:
                raise TypeError(f"{self.name}: {name} is missing or None; give an array or number")
        return inputs, _without_tensors(arguments[count:], settings)

    def _record(self, inputs, arrays, results, saved):
        node = Node(
            self,
            saved,
            [_edge(x) for x in inputs],
            [(a.shape, a.dtype) if a is not None else None for a in arrays],
            [(r.shape, r.dtype) for r in results],
        )
        for index, result in enumerate(results):
            result.requires_grad = True
            result.node, result.output_index = node, index


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
    None for an input that has no derivative. With a third parameter `needs`, a tuple of bools, it
    is told which gradients are wanted and may return None for the others. It must not write into
    d_output, nor return an array that it saved, nor one array of its own for two inputs.
    """

    def attach(function):
        of.vjp = function
        of.vjp_skips = "needs" in inspect.signature(function).parameters
        return function

    return attach


def backward(tensor, gradient=None):
    """Add d(tensor)/d(leaf), times `gradient`, to `.grad` of every leaf it was computed from.

    gradient   an array of the tensor's shape; may be left out for a single element (it is 1)

    The graph is freed on the way: activations live until their op has been visited, and a second
    backward through the same nodes is an error. Gradients of gradients are not recorded.
    """
    gradient = _starting_gradient(tensor, gradient)
    if tensor.node is None:
        _add_to_leaf(tensor, gradient)
        return
    users = _count_users(tensor.node)
    arrived = {tensor.node: [None] * len(tensor.node.outputs)}
    arrived[tensor.node][tensor.output_index] = gradient
    # A node is visited when the gradients of all its uses have arrived, not when the first one
    # has. In `b = a + a; c = b + b`, a depth-first walk would pass on the gradient of b's first
    # use before the second one was added, and visit everything below b twice.
    ready = [tensor.node]
    while ready:
        node = ready.pop()
        d_output = _complete(arrived.pop(node), node)
        needs = tuple(edge is not None for edge in node.edges)
        gradients = node.op.gradients(d_output, node.saved, needs)
        _check(node, gradients)
        edges, node.saved, node.edges = node.edges, None, ()
        for edge, d_input in zip(edges, gradients, strict=True):
            if edge is None:
                continue
            if isinstance(edge, Tensor):
                _add_to_leaf(edge, _owned(d_input, d_output))
                continue
            parent, index = edge
            slots = arrived.setdefault(parent, [None] * len(parent.outputs))
            # Out of place: the array may also be on its way to another input.
            slots[index] = d_input if slots[index] is None else slots[index] + d_input
            users[parent] -= 1
            if users[parent] == 0:
                ready.append(parent)


Tensor.backward = backward  # here and not in tensor.py, so that imports run in one direction


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


def _starting_gradient(tensor, gradient):
    if not tensor.requires_grad:
        raise RuntimeError(
            "backward: nothing this tensor was computed from requires a gradient; create those "
            "inputs with requires_grad=True, and do not compute it under no_grad()"
        )
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(
                f"backward: a tensor of shape {tensor.shape} is not a single number; call "
                f"backward on its sum or mean, or pass gradient=, an array of that shape"
            )
        return np.ones(tensor.shape, tensor.dtype)
    (gradient,) = as_arrays("backward", [gradient], keeps_dtype=False)
    if gradient.shape != tensor.shape:
        raise ValueError(
            f"backward: gradient of shape {gradient.shape} for a tensor of shape {tensor.shape}; "
            "they must be equal"
        )
    return gradient.astype(tensor.dtype)


def _count_users(root):
    """For each node that root was computed from: by how many edges it is used on the way."""
    users = {root: 0}
    stack = [root]
    while stack:
        node = stack.pop()
        if not node.edges:
            raise RuntimeError(
                f"backward: the graph below op {node.op.name!r} was used by an earlier backward "
                "and is freed; compute the loss again, or add the losses and go backward once"
            )
        for edge in node.edges:
            if isinstance(edge, tuple):
                parent = edge[0]
                if parent not in users:
                    users[parent] = 0
                    stack.append(parent)
                users[parent] += 1
    return users


def _complete(gradients, node):
    """The d_output of a VJP: outputs of the op that nobody used have gradient zero."""
    filled = tuple(
        np.zeros(shape, dtype) if g is None else g
        for g, (shape, dtype) in zip(gradients, node.outputs, strict=True)
    )
    return filled if len(filled) > 1 else filled[0]


def _check(node, gradients):
    name = node.op.name
    assert len(gradients) == len(node.edges), f"{name}: one gradient per array input is needed"
    for edge, gradient, expected in zip(node.edges, gradients, node.inputs, strict=True):
        if edge is None:
            continue
        if gradient is None:
            raise RuntimeError(
                f"backward: {name} has no derivative with respect to an input of shape "
                f"{expected[0]} that requires a gradient; pass that input's .detach() to {name}"
            )
        found = (gradient.shape, gradient.dtype)
        assert found == expected, f"{name}: gradient is {found}, its input {expected}"


def _owned(gradient, d_output):
    """`gradient` as an array that a leaf may keep: writable, its memory held by nobody else."""
    d_outputs = d_output if isinstance(d_output, tuple) else (d_output,)
    shared = any(np.may_share_memory(gradient, d) for d in d_outputs)
    whole = gradient.flags.c_contiguous and gradient.flags.writeable
    return gradient if whole and not shared else gradient.copy()


def _add_to_leaf(tensor, gradient):
    total = gradient if tensor.grad is None else tensor.grad + gradient
    tensor.grad = np.asarray(total)
