"""Reverse-mode differentiation: what was computed is walked backwards, from the loss to the leaves.

Every op (see `autograd.ops`) is a pair of plain functions on ndarrays:

    forward(x, y, ...)      -> output, saved       saved: the tuple that backward will need
    vjp(d_output, saved)    -> d_x, d_y, ...       the vector-Jacobian product

For a loss L and an output z = f(x, y), `d_z` stands for dL/dz, an array shaped like z. The chain
rule turns it into d_x = d_z . dz/dx without ever forming the Jacobian dz/dx. `autograd.recording`
keeps a node for each op that is called; `backward` visits the nodes.
"""

import time

import numpy as np

from autograd.recording import Need, current_observer
from autograd.tensor import Tensor, as_arrays


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
    leaf_grads = {}  # per leaf, its sum so far: arrays that nobody else holds, added to in place
    output_grads = {(tensor.node, tensor.output_index): gradient}  # per output of a node, its sum
    pending = _count_uses(tensor.node)
    # A node is visited when the gradients of all its uses have been added, not at the first one.
    # In `b = a + a; c = b + b`, a depth-first walk would pass on the gradient of b's first use
    # before the second one was added, and visit everything below b twice.
    ready = [tensor.node]
    while ready:
        node = ready.pop()
        d_output = _complete(output_grads, node)
        gradients = _apply_vjp(node, d_output, leaf_grads)
        _check(node, gradients)
        edges, node.saved, node.edges = node.edges, None, ()
        d_outputs = _as_tuple(d_output)
        for i, (edge, d_input) in enumerate(zip(edges, gradients, strict=True)):
            if edge is None:
                continue
            if isinstance(edge, Tensor):
                # The arrays beside it are not given a name here, which would keep them alive.
                _add_to_sum(
                    leaf_grads, edge, d_input, (*d_outputs, *gradients[:i], *gradients[i + 1 :])
                )
                continue
            parent, index = edge
            # Out of place: the array may also be on its way to another input.
            output_grads[edge] = output_grads[edge] + d_input if edge in output_grads else d_input
            pending[parent] -= 1
            if pending[parent] == 0:
                ready.append(parent)
    for leaf, gradient in leaf_grads.items():
        _add_to_leaf(leaf, gradient)


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
    return gradient


def _count_uses(root):
    """For each node that root was computed from: by how many edges it is used on the way."""
    uses = {root: 0}
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
                if parent not in uses:
                    uses[parent] = 0
                    stack.append(parent)
                uses[parent] += 1
    return uses


def _complete(output_grads, node):
    """The d_output of a VJP: outputs of the op that nobody used have gradient zero."""
    if len(node.outputs) == 1:
        return output_grads.pop((node, 0))
    found = [output_grads.pop((node, i), None) for i in range(len(node.outputs))]
    return tuple(
        np.zeros(shape, dtype) if d is None else d
        for d, (shape, dtype) in zip(found, node.outputs, strict=True)
    )


def _apply_vjp(node, d_output, leaf_grads):
    """The gradients of the node's inputs; an observer is told of them."""
    needs = tuple([edge if edge is None else Need(leaf_grads.get(edge)) for edge in node.edges])
    observer = current_observer.get()
    if observer is None:
        return node.op.gradients(d_output, node.saved, needs)
    start = time.perf_counter()
    gradients = node.op.gradients(d_output, node.saved, needs)
    seconds = time.perf_counter() - start
    observer.vjp(node.op, node, _as_tuple(d_output), gradients, seconds)
    return gradients


def _as_tuple(d_output):
    return d_output if isinstance(d_output, tuple) else (d_output,)


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


def _add_to_sum(leaf_grads, leaf, gradient, others):
    """Add a gradient to the leaf's sum so far, unless the VJP has added it in place (`Need`).

    others   the arrays that came in and go out beside it, None among them
    """
    if leaf not in leaf_grads:
        leaf_grads[leaf] = _owned(gradient, others)
    elif gradient is not leaf_grads[leaf]:
        leaf_grads[leaf] += gradient


def _owned(gradient, others):
    """`gradient` as an array that a leaf may keep: writable, its memory held by nobody else."""
    whole = gradient.flags.carray  # row-major, aligned and writable
    for d in others:
        whole = whole and (d is None or not np.may_share_memory(gradient, d))
    return gradient if whole else np.array(gradient, order="C")


def _add_to_leaf(tensor, gradient):
    if tensor.grad is not None:
        gradient += tensor.grad  # not the other way: the user may still hold the previous .grad
    tensor.grad = gradient
