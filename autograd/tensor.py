"""Tensor: an array, the gradient of some loss with respect to it, and the op that made it.

A Tensor is deliberately thin. It holds no rule of differentiation (those stand beside their
forward in `autograd.ops`) and does not know how gradients travel (that is `autograd.engine`).
Its operators and methods name the ops that they call, which are found in OPS.
"""

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike

# Every op by name: what can be differentiated, and what gradient checks must cover.
OPS: dict[str, Any] = {}
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # dtypes that have gradients
# ndarray + Tensor calls numpy.add, which asks the Tensor.
OPERATORS = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div",
             np.power: "pow", np.matmul: "matmul"}  # fmt: skip
INSTEAD = {  # what PyTorch has as an attribute of a tensor, and what to write here
    "numpy": "x.data", "tolist": "x.data.tolist()", "argmax": "x.data.argmax(axis)",
    "view": "x.reshape(shape)", "unsqueeze": "x.reshape(shape)", "squeeze": "x.reshape(shape)",
    "permute": "x.transpose(axes)", "T": "x.swapaxes(-1, -2)", "zero_": "x.grad = None",
    "clone": "Tensor(x.data.copy())", "to": "Tensor(x.data.astype(dtype))",
}  # fmt: skip


def _operators(name: str) -> tuple[Callable[..., "Tensor"], Callable[..., "Tensor"]]:
    """x + y is autograd.add(x, y); 2 - x, for which Python asks x, is autograd.sub(2, x)."""

    def operator(x, y):
        return OPS[name](x, y)

    def reflected(x, y):
        return OPS[name](y, x)

    operator.__doc__, reflected.__doc__ = f"autograd.{name}(x, y)", f"autograd.{name}(y, x)"
    operator.__name__ = reflected.__name__ = name
    return operator, reflected


def _method(name: str) -> Callable[..., "Tensor"]:
    """x.sum(axis=0) is autograd.sum(x, axis=0)."""

    def method(x: "Tensor", *arguments: Any, **settings: Any) -> "Tensor":
        return OPS[name](x, *arguments, **settings)

    method.__doc__, method.__name__ = f"autograd.{name}(x, ...)", name
    return method


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

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        self.data = as_supported_array(data)
        if requires_grad and self.data.dtype.kind != "f":
            raise TypeError(
                f"Tensor: {self.data.dtype} values have no gradient; "
                "use float data, or requires_grad=False"
            )
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self.node: Any = None  # the recording.Node that computed this tensor; None for a leaf
        self.output_index = 0  # which of the node's outputs it is

    __add__, __radd__ = _operators("add")
    __sub__, __rsub__ = _operators("sub")
    __mul__, __rmul__ = _operators("mul")
    __truediv__, __rtruediv__ = _operators("div")
    __pow__, __rpow__ = _operators("pow")
    __matmul__, __rmatmul__ = _operators("matmul")
    __neg__, __abs__, __getitem__ = _method("neg"), _method("abs"), _method("getitem")
    sum, mean, max = _method("sum"), _method("mean"), _method("max")
    reshape, transpose, swapaxes = _method("reshape"), _method("transpose"), _method("swapaxes")

    def backward(self, gradient: "ArrayLike | Tensor | None" = None) -> None:
        """Add d(self)/d(leaf), times `gradient`, to `.grad` of every leaf it was computed from.

        gradient   an array of this tensor's shape; may be left out for a single element (it is 1)

        How: `autograd.engine.backward`. RuntimeError if nothing requires a gradient, if there are
        several elements and no `gradient`, or if an earlier backward has freed the graph.
        """
        import autograd.engine  # here, because the engine imports this module

        autograd.engine.backward(self, gradient)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.data.shape

    @property
    def dtype(self) -> np.dtype:
        return self.data.dtype

    @property
    def ndim(self) -> int:
        return self.data.ndim

    @property
    def size(self) -> int:
        return self.data.size

    def item(self) -> float:
        """The value of a one-element tensor as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: needs one element, got shape {self.shape}; use .data")
        return self.data.item()

    def detach(self) -> "Tensor":
        """The same values as a constant: no gradient flows through the result."""
        return Tensor(self.data)

    def __len__(self) -> int:
        if self.ndim == 0:
            raise TypeError("len: a 0-d tensor has no length; use .size or .item()")
        return self.shape[0]

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.item())

    def __float__(self) -> float:
        return float(self.item())

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else repr(self)

    def __eq__(self, other: object) -> bool:
        if self is not other:
            raise TypeError(
                "Tensors are not compared: compare their values, as in x.data == 3, or ask whether "
                "two are the same object with `is`"
            )
        return True

    __hash__ = object.__hash__

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError(
            "a Tensor cannot be assigned to: a changed value would make recorded gradients wrong; "
            "build a new one with autograd.where or autograd.concat, or assign to .data of a leaf"
        )

    if not TYPE_CHECKING:  # a type checker would then accept any name

        def __getattr__(self, name):
            said = f"'Tensor' object has no attribute {name!r}"
            instead = f"autograd.{name}(x)" if name in OPS else INSTEAD.get(name)
            raise AttributeError(said + f"; write {instead}" * bool(instead), name=name, obj=self)

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        if ufunc in OPERATORS and method == "__call__" and not settings:
            return OPS[OPERATORS[ufunc]](*inputs)
        name = ufunc.__name__
        raise TypeError(
            f"numpy.{name} of a Tensor; write " + f"autograd.{name}(x), or " * (name in OPS)
            + f"numpy.{name}(x.data), which has no gradient"
        )  # fmt: skip

    def __array__(self, dtype=None, copy=None):
        raise TypeError(
            "a Tensor is not converted to an array silently; write tensor.data, or make one "
            "Tensor of a list of them with autograd.stack"
        )

    def __repr__(self) -> str:
        made_by = f", made by {self.node.op.name}" if self.node else ""
        wants = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({self.data}, dtype={self.dtype}{wants}{made_by})"


def as_supported_array(data: ArrayLike) -> np.ndarray:
    """`data` as a float32, float64, integer or bool ndarray; TypeError for anything else."""
    if type(data) is np.ndarray and data.dtype in FLOATS:
        return data
    if isinstance(data, Tensor):
        raise TypeError("Tensor: the data is a Tensor already; use it as it is, or its .detach()")
    array = np.asarray(data)
    if array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic):
        array = array.astype(np.float32)
    _check_dtype("Tensor", array.dtype)
    return array


def as_arrays(name, inputs, keeps_dtype):
    """The array inputs of the op `name` as ndarrays of one float dtype; None stays None.

    The dtype is that of the float Tensors, else of the float ndarrays, else float32. An op that
    `keeps_dtype` gets bools as they are, and integers too unless there are floats beside them.
    """
    arrays = [x.data if isinstance(x, Tensor) else _as_array(name, x) for x in inputs]
    if isinstance(inputs[0], Tensor) and _all_of_one_float_dtype(arrays):
        return arrays  # the usual case needs no more
    dtypes = _float_dtypes(Tensor, inputs, arrays) or _float_dtypes(np.ndarray, inputs, arrays)
    if len(set(dtypes)) > 1:
        raise TypeError(
            f"{name}: float32 and float64 in one op; "
            "convert one of them: Tensor(x.data.astype(numpy.float64))"
        )
    kept = ("b" if dtypes else "iub") if keeps_dtype else ""
    dtype = dtypes[0] if dtypes else np.dtype(np.float32)
    return [
        a if a is None or a.dtype == dtype or a.dtype.kind in kept else a.astype(dtype)
        for a in arrays
    ]


def _all_of_one_float_dtype(arrays):
    dtype = arrays[0].dtype
    for array in arrays:
        if array is not None and array.dtype is not dtype:
            return False
    return dtype in FLOATS


def _float_dtypes(kind, inputs, arrays):
    pairs = zip(inputs, arrays, strict=True)
    return [a.dtype for x, a in pairs if isinstance(x, kind) and a.dtype.kind == "f"]


def _as_array(name, x):
    if x is None:
        return None
    array = np.asarray(x)
    _check_dtype(name, array.dtype)
    return array


def _check_dtype(name, dtype):
    if dtype not in FLOATS and dtype.kind not in "iub":
        raise TypeError(
            f"{name}: dtype {dtype} is not supported; "
            "use float32 or float64 (or integers or bools, as indices and masks)"
        )
