"""Reverse-mode differentiation: what was computed is walked backwards, from the loss to the leaves.

Every op (see `autograd.ops`) is a pair of plain functions on ndarrays:

    forward(x, y, ...)      -> output, saved       saved: the tuple that backward will need
    vjp(d_output, saved)    -> d_x, d_y, ...       the vector-Jacobian product

For a loss L and an output z = f(x, y), `d_z` stands for dL/dz, an array shaped like z. The chain
rule turns it into d_x = d_z . dz/dx without ever forming the Jacobian dz/dx. `autograd.recording`
keeps a node for each op that is called; `backward` visits the nodes.
"""

import numpy as np

from autograd.recording import OPS, no_grad, op, vjp
from autograd.tensor import Tensor, as_arrays

__all__ = ["OPS", "backward", "no_grad", "op", "vjp"]


def backward(tensor, gradient=None):
    """Add d(tensor)/d(leaf), times `gradient`, to `.grad` of every leaf it was computed from.

    gradient   an array of the tensor's shape; may be left out for a single element (it is 1)

    The graph is freed on the way: activations live until their op has been visited, and a second
    backward through the same nodes is an error. Gradients of gradients are not recorded. If an op
    fails, no `.grad` has changed.
    """
    gradient = _starting_gradient(tensor, gradient)
    if tensor.node is None:
        _add_to_leaf(tensor, gradient.copy())
        return
    sums = {}  # per leaf, its gradient so far: arrays that nobody else holds, added to in place
    users = _count_users(tensor.node)
    arrived = {(tensor.node, tensor.output_index): gradient}  # the same, per output of a node
    # A node is visited when the gradients of all its uses have arrived, not when the first one
    # has. In `b = a + a; c = b + b`, a depth-first walk would pass on the gradient of b's first
    # use before the second one was added, and visit everything below b twice.
    ready = [tensor.node]
    while ready:
        node = ready.pop()
        d_output = _complete(arrived, node)
        needs = tuple([edge is not None for edge in node.edges])
        gradients = node.op.gradients(d_output, node.saved, needs, *_offer(node, sums))
        _check(node, gradients)
        edges, node.saved, node.edges = node.edges, None, ()
        outputs = d_output if isinstance(d_output, tuple) else (d_output,)
        for i, (edge, d_input) in enumerate(zip(edges, gradients, strict=True)):
            if edge is None:
                continue
            if isinstance(edge, Tensor):
                _add_to_sum(sums, edge, d_input, (*outputs, *gradients[:i], *gradients[i + 1 :]))
                continue
            parent, index = edge
            # Out of place: the array may also be on its way to another input.
            arrived[edge] = arrived[edge] + d_input if edge in arrived else d_input
            users[parent] -= 1
            if users[parent] == 0:
                ready.append(parent)
    for leaf, gradient in sums.items():
        _add_to_leaf(leaf, gradient)


Tensor.backward = backward  # here and not in tensor.py, so that imports run in one direction


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
    given = gradient.data if isinstance(gradient, Tensor) else gradient
    _, gradient = as_arrays("backward", [tensor, given], keeps_dtype=False)
    if gradient.shape != tensor.shape:
        raise ValueError(
            f"backward: gradient of shape {gradient.shape} for a tensor of shape {tensor.shape}; "
            "they must be equal"
        )
    return gradient.astype(tensor.dtype, copy=False)


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


def _complete(arrived, node):
    """The d_output of a VJP: outputs of the op that nobody used have gradient zero."""
    if len(node.outputs) == 1:
        return arrived.pop((node, 0))
    found = [arrived.pop((node, i), None) for i in range(len(node.outputs))]
    return tuple(
        np.zeros(shape, dtype) if d is None else d
        for d, (shape, dtype) in zip(found, node.outputs, strict=True)
    )


def _check(node, gradients):
    name = node.op.name
    assert len(gradients) == len(node.edges), f"{name}: one gradient per array input is needed"
    for edge, gradient in zip(node.edges, gradients, strict=True):
        if edge is None:
            continue
        if isinstance(edge, Tensor):
            expected = (edge.data.shape, edge.data.dtype)
        else:
            parent, index = edge
            expected = parent.outputs[index]
        if gradient is None:
            raise RuntimeError(
                f"backward: {name} has no derivative with respect to an input of shape "
                f"{expected[0]} that requires a gradient; pass that input's .detach() to {name}"
            )
        found = (gradient.shape, gradient.dtype)
        assert found == expected, f"{name}: gradient is {found}, its input {expected}"


def _offer(node, sums):
    """[into] for an op that adds to gradients in place, where there are any yet."""
    if "into" not in node.op.vjp_takes:
        return []
    into = tuple(map(sums.get, node.edges))
    return [into] if any(total is not None for total in into) else []


def _add_to_sum(sums, leaf, gradient, others):
    """Add a leaf's gradient to what has arrived, unless the op has put it there (`into`).

    others   the arrays that came in and go out beside it, None among them
    """
    if leaf not in sums:
        sums[leaf] = _owned(gradient, others)
    elif gradient is not sums[leaf]:
        sums[leaf] += gradient


def _owned(gradient, others):
    """`gradient` as an array that a leaf may keep: writable, its memory held by nobody else."""
    whole = gradient.flags.carray  # row-major, aligned and writable
    for d in others:
        whole = whole and (d is None or not np.may_share_memory(gradient, d))
    return gradient if whole else np.array(gradient, order="C")


def _add_to_leaf(tensor, gradient):
    if tensor.grad is not None:
        gradient += tensor.grad  # not the other way: the user may hold that of the backward before
    tensor.grad = gradient
