"""Tensor: an array, the gradient of some loss with respect to it, and the op that made it.

A Tensor is deliberately thin. It holds no rule of differentiation (those stand beside their
forward in `autograd.ops`) and does not know how gradients travel (that is `autograd.engine`).
Arithmetic on Tensors works because the last lines of `autograd.ops` attach the operators.
"""

import numpy as np


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    data           anything `numpy.asarray` takes. An ndarray is kept, not copied. Python numbers
                   and lists of them become float32 (or int64, or bool).
    requires_grad  True for the arrays to differentiate with respect to: `backward` then leaves
                   dloss/dtensor in `.grad`, an ndarray of the same shape and dtype.

    Raises TypeError for a dtype other than float32, float64, integer or bool, and for a request
    of gradients on integers.
    """

    __slots__ = ("data", "grad", "node", "output_index", "requires_grad")
    __array_ufunc__ = None  # ndarray * Tensor is then left to Tensor.__rmul__

    def __init__(self, data, requires_grad=False):
        self.data = as_supported_array(data)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"Tensor: {self.data.dtype} values have no gradient; "
                "use float data, or requires_grad=False"
            )
        self.requires_grad = requires_grad
        self.grad = None
        self.node = None  # the engine.Node that computed this tensor; None for a leaf
        self.output_index = 0  # which of the node's outputs it is

    @property
    def shape(self):
        return self.data.shape

    @property
    def dtype(self):
        return self.data.dtype

    @property
    def ndim(self):
        return self.data.ndim

    @property
    def size(self):
        return self.data.size

    def item(self):
        """The value of a one-element tensor as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: needs one element, got shape {self.shape}; use .data")
        return self.data.item()

    def detach(self):
        """The same values as a constant: no gradient flows through the result."""
        return Tensor(self.data)

    def __len__(self):
        if self.ndim == 0:
            raise TypeError("len: a 0-d tensor has no length; use .size or .item()")
        return self.shape[0]

    def __iter__(self):
        return (self[i] for i in range(len(self)))

    def __bool__(self):
        return bool(self.item())

    def __setitem__(self, index, value):
        raise TypeError(
            "a Tensor can not be assigned to: a changed value would make recorded gradients wrong; "
            "build a new one with autograd.where or autograd.concat, or assign to .data of a leaf"
        )

    def __array__(self, dtype=None, copy=None):
        raise TypeError("a Tensor is not converted to an array silently; write tensor.data")

    def __repr__(self):
        made_by = f", made by {self.node.op.name}" if self.node else ""
        wants = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({self.data}, dtype={self.dtype}{wants}{made_by})"


def as_supported_array(data):
    """`data` as a float32, float64, integer or bool ndarray; TypeError for anything else."""
    if isinstance(data, Tensor):
        raise TypeError("Tensor: the data is a Tensor already; use it as it is, or its .detach()")
    array = np.asarray(data)
    if array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        array = array.astype(np.float32)
    if array.dtype.kind not in "iub" and array.dtype not in (np.float32, np.float64):
        raise TypeError(
            f"Tensor: dtype {array.dtype} is not supported; "
            "use float32 or float64 (or integers or bools, as indices and masks)"
        )
    return array
