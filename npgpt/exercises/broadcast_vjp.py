"""The vector-Jacobian product of broadcasting."""

TASK = """
NumPy broadcasts: in x + bias, a bias of the shape (C,) is used in each row of x. So it reaches the
loss by every row, and its gradient is their sum. Write the backward of any broadcasting: from dy,
of the larger shape, to the gradient with respect to an array of the smaller shape. Broadcasting
puts new axes in front, and stretches axes of length 1.
"""
RETURNS = "dx"
WHERE = "autograd.ops.arithmetic.unbroadcast"
HINTS = """
What forward copied, backward adds up. So sum over each axis that was new or was stretched.
New axes are in front: while dy.ndim > len(shape), sum over axis 0.
For each axis of length 1 in shape: dy.sum(axis=axis, keepdims=True).
"""


def broadcast_vjp(dy, shape):
    """Return dx, of the given shape, which is broadcast to the shape of dy."""
    while dy.ndim > len(shape):
        dy = dy.sum(axis=0)
    for axis, size in enumerate(shape):
        if size == 1:
            dy = dy.sum(axis=axis, keepdims=True)
    return dy


def cases(rng):
    for shape in ((3,), (2, 1), (1, 3), (2, 3)):
        yield {"dy": rng.normal(size=(2, 3)), "shape": shape}
    yield {"dy": rng.normal(size=(4, 2, 3, 2)), "shape": (2, 1, 2)}


FAULTS = {
    "dy has more entries than dx: add them up, a reshape cannot":
        {"    while": "    return dy.reshape(shape)\n    while"},
    "it is always summed over axis 0; which axes were stretched depends on the shape":
        {"    while": "    return dy.sum(axis=0)\n    while"},
    "the gradients of the copies are averaged; they add up": {".sum(": ".mean("},
    "nothing is summed over an axis of length 1, which was stretched, too":
        {"if size == 1": "if False"},
    "axes of length 1 are summed away: keepdims=True is missing":
        {"dy = dy.sum(axis=axis, keepdims=True)": "dy = dy.sum(axis=min(axis, dy.ndim - 1))"},
    "it is not summed over the new axes in front": {"while dy.ndim > len(shape)": "while False"},
    "each axis is summed, and not only those that were stretched": {"if size == 1": "if True"},
}
