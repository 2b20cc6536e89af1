"""The engine: arrays that remember how they were computed, and the walk back from a loss.

An op (see `autograd.ops`) is a pair of plain functions on ndarrays:

    forward(x, y, ...)      -> output, saved       saved: whatever backward will need
    vjp(d_output, saved)    -> d_x, d_y, ...       the vector-Jacobian product

For a loss L and an output z = f(x, y), `d_z` stands for dL/dz, an array shaped like z. The chain
rule turns it into d_x = d_z . dz/dx without ever forming the Jacobian dz/dx.

In reading order: a `Tensor` holds an array; `@op` and `@vjp` make an `Op` of two functions; each
call of an op is recorded as a `Node`; `backward` walks along the nodes from the loss to the leaves;
an `Observer` watches the calls, for a NaN or for their time.
"""

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from inspect import Parameter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, overload
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import ArrayLike

P = ParamSpec("P")  # of an op's forward, which its callers see
# Every op by name: what can be differentiated, and what gradient checks must cover.
OPS: dict[str, Any] = {}
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # dtypes that have gradients
# ndarray + Tensor calls numpy.add, which asks the Tensor.
OPERATORS = {np.add: "add", np.subtract: "sub", np.multiply: "mul", np.divide: "div",
             np.power: "pow", np.matmul: "matmul"}
INSTEAD = {  # attributes of PyTorch's tensors -> what to write here
    "numpy": "x.data", "tolist": "x.data.tolist()", "argmax": "x.data.argmax(axis)",
    "view": "x.reshape(shape)", "unsqueeze": "x.reshape(shape)", "squeeze": "x.reshape(shape)",
    "permute": "x.transpose(axes)", "T": "x.swapaxes(-1, -2)", "zero_": "x.grad = None",
    "clone": "Tensor(x.data.copy()), a constant",
    "to": "Tensor(x.data.astype(dtype)), a constant", "cpu": "x", "flatten": "x.reshape(-1)",
    "masked_fill": "autograd.where(mask, value, x)", "topk": "numpy.argsort(x.data)[..., -k:]",
}

_recording = ContextVar("recording", default=True)
_observer = ContextVar("observer", default=None)


# ---- Tensors


def _method(name: str, reflected: bool = False) -> Callable[..., "Tensor"]:
    """Return a method: x.sum(0) is autograd.sum(x, 0); reflected, 2 - x is autograd.sub(2, x)."""

    def method(x: "Tensor", *arguments: Any, **settings: Any) -> "Tensor":
        return OPS[name](*arguments, x) if reflected else OPS[name](x, *arguments, **settings)

    method.__name__ = name
    method.__doc__ = f"autograd.{name}({'y, x' if reflected else 'x, ...'})"
    return method


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    data           anything `numpy.asarray` takes. An ndarray is not copied. Python numbers and
                   lists of them become float32 (or int64, or bool).
    requires_grad  whether `backward` leaves dloss/dtensor in `.grad`, an ndarray of this shape and
                   dtype; TypeError for integers. Set it on leaves only; a result has `detach`

    Between a loss and its backward, `.data` may be replaced: what was recorded keeps the old array.
    Writes into the array cannot be seen, and make gradients wrong without an error; instead of
    w.data -= lr * w.grad write w.data = w.data - lr * w.grad, or call `mark_written`.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "output_index", "requires_grad")

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        self.data = _as_tensor_data(data)
        if requires_grad and self.data.dtype not in FLOATS:
            raise TypeError(f"Tensor: {self.data.dtype} values have no gradient; use float data")
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self.node: Any = None  # the Node that computed it; None: a leaf
        self.output_index = 0  # which of the node's outputs it is

    __add__, __radd__ = _method("add"), _method("add", reflected=True)
    __sub__, __rsub__ = _method("sub"), _method("sub", reflected=True)
    __mul__, __rmul__ = _method("mul"), _method("mul", reflected=True)
    __truediv__, __rtruediv__ = _method("div"), _method("div", reflected=True)
    __pow__, __rpow__ = _method("pow"), _method("pow", reflected=True)
    __matmul__, __rmatmul__ = _method("matmul"), _method("matmul", reflected=True)
    __neg__, __abs__, __getitem__ = _method("neg"), _method("abs"), _method("getitem")
    sum, mean, max = _method("sum"), _method("mean"), _method("max")
    reshape, transpose, swapaxes = _method("reshape"), _method("transpose"), _method("swapaxes")

    shape = property(lambda x: x.data.shape)
    dtype = property(lambda x: x.data.dtype)
    ndim = property(lambda x: x.data.ndim)
    size = property(lambda x: x.data.size)

    if TYPE_CHECKING:  # it is the function `backward` below

        def backward(self, gradient: "ArrayLike | Tensor | None" = None) -> None: ...

    def item(self) -> float:
        """Return the value of a one-element tensor as a Python number."""
        if self.size != 1:
            raise ValueError(f"item: needs one element, got shape {self.shape}; use .data")
        return self.data.item()

    def detach(self) -> "Tensor":
        """Return a constant of the same values: no gradient flows through it."""
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
            raise TypeError("Tensors are not compared; compare x.data == 3, or objects with `is`")
        return True

    def __lt__(self, other: object) -> NoReturn:
        raise TypeError("Tensors are not compared; compare x.data < 3, as a mask of autograd.where")

    __le__ = __gt__ = __ge__ = __lt__
    __hash__ = object.__hash__

    def __setitem__(self, index: Any, value: Any) -> NoReturn:
        raise TypeError("a Tensor cannot be assigned to; use autograd.where, or .data of a leaf")

    if not TYPE_CHECKING:  # a type checker would then accept any name

        def __getattr__(self, name):
            said = f"'Tensor' object has no attribute {name!r}"
            instead = f"autograd.{name}(x)" if name in OPS else INSTEAD.get(name)
            said += f"; write {instead}" if instead else ""
            raise AttributeError(said, name=name, obj=self)

        def __isub__(self, other: object) -> Any:
            if self.requires_grad and self.node is None:
                raise TypeError("w -= ... would make a new Tensor and leave the weight as it is; "
                                "write w.data = w.data - rate * w.grad")
            return NotImplemented  # then it is x = x - other

        __iadd__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = __isub__

    def __array_ufunc__(self, ufunc, method, *inputs, **settings):
        if ufunc in OPERATORS and method == "__call__" and not settings:
            return OPS[OPERATORS[ufunc]](*inputs)
        return self.__array_function__(ufunc)

    def __array_function__(self, function, *_):
        name = function.__name__
        ours = f"autograd.{name}(x), or " if name in OPS else ""
        raise TypeError(f"numpy.{name} of a Tensor; write {ours}numpy.{name}(x.data), which has no "
                        "gradient")

    def __array__(self, dtype=None, copy=None):
        raise TypeError("a Tensor is no array; write tensor.data, or autograd.stack of a list")

    def __repr__(self) -> str:
        made_by = f", made by {self.node.op.name}" if self.node else ""
        wants = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({self.data}, dtype={self.dtype}{wants}{made_by})"


def _as_tensor_data(data):
    if type(data) is np.ndarray and data.dtype in FLOATS:
        return data
    if isinstance(data, Tensor):
        raise TypeError("Tensor: the data is a Tensor already; use it as it is, or its .detach()")
    array = _as_array("Tensor", data)
    single = array.dtype == np.float64 and not isinstance(data, np.ndarray | np.generic)
    return array.astype(np.float32) if single else array


def _as_array(name, x):
    if hasattr(x, "filled"):  # np.ma is imported at its first use only
        raise TypeError(f"{name}: a masked array, whose mask would be lost; use its .filled(value)")
    array = np.asarray(x)
    if array.dtype not in FLOATS and array.dtype.kind not in "iub":
        raise TypeError(f"{name}: dtype {array.dtype} is not supported; use float32 or float64")
    return array


def _as_arrays(name, inputs, keeps_dtype):
    """Return the array inputs of the op `name` as ndarrays of one float dtype; None stays None.

    The float Tensors decide the dtype, else the float ndarrays, else it is float32. If the op
    `keeps_dtype`, bools stay bools, and integers stay integers unless another input is a float.
    """
    arrays = [
        x.data if isinstance(x, Tensor) else x if x is None else _as_array(name, x) for x in inputs
    ]
    first, plain = arrays[0].dtype if isinstance(inputs[0], Tensor) else None, np.ndarray
    usual = [a is None or (a.dtype is first and type(a) is plain) for a in arrays]
    if first in FLOATS and all(usual):
        return arrays
    arrays = [a if a is None else _as_array(name, a) for a in arrays]  # a .data may be anything
    for kind in (Tensor, np.ndarray):
        pairs = zip(inputs, arrays, strict=True)
        dtypes = {a.dtype for x, a in pairs if isinstance(x, kind) and a.dtype in FLOATS}
        if dtypes:
            break
    if len(dtypes) > 1:
        raise TypeError(f"{name}: float32 and float64 in one op; convert one: "
                        "x.data.astype(numpy.float64)")
    kept = ("b" if dtypes else "iub") if keeps_dtype else ""
    dtype = dtypes.pop() if dtypes else FLOATS[0]
    return [
        a if a is None or a.dtype == dtype or a.dtype.kind in kept else a.astype(dtype)
        for a in arrays
    ]


# ---- Ops, and the record of their calls


@contextmanager
def no_grad() -> Iterator[None]:
    """`with no_grad():` or `@no_grad()`: ops compute, and record nothing to differentiate.

    In a generator, end the block before each `yield`, or whoever reads it records nothing either;
    `@no_grad()` above a generator does nothing.
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


class Node:
    """One call of an op: what backward needs of it. Inputs are kept only if the op saved them.

    edges    per array input, where its gradient goes: None (not wanted), a leaf Tensor, or the
             pair (node, index) for output `index` of another node
    outputs  (shape, dtype) of each output, and of its gradient
    writes   the number of calls of `mark_written` before
    """

    __slots__ = ("__weakref__", "edges", "op", "outputs", "saved", "writes")

    def __init__(self, op, saved, edges, outputs):
        self.op, self.saved, self.edges, self.outputs = op, saved, edges, outputs
        self.writes = _writes.count


def _edge(x):
    if not isinstance(x, Tensor) or x.node is None:
        return x if isinstance(x, Tensor) and x.requires_grad else None
    if not x.requires_grad:
        raise RuntimeError(f"requires_grad is False on a result of {x.node.op.name}, which would "
                           "cut it off without a word; use its .detach()")
    return x.node, x.output_index


# The number of calls of `mark_written`, and by Tensor its name and the number of its last one.
_writes = SimpleNamespace(count=0, last=WeakKeyDictionary())


def mark_written(tensors: dict[str, Tensor]) -> None:
    """Let `backward` refuse what was recorded before, if it saved an array of these tensors.

    For code that writes into `.data` in place, such as an optimizer, right before it does so.
    """
    _writes.count += 1
    _writes.last.update((x, (name, _writes.count)) for name, x in tensors.items())


class Op(Generic[P]):
    """A forward and its VJP under one name, callable on Tensors.

    In a forward's signature, the parameters before `/` are the arrays: Tensors, ndarrays, numbers,
    or None where that is the default. An op whose forward takes `*arrays` is called with a list.
    All other parameters are settings and reach the forward as they are, except `needs`: the engine
    says there, for each array, whether backward may ask for its gradient.
    """

    def __init__(self, forward: Callable[P, Any], keeps_dtype: bool, flops: Any) -> None:
        functools.update_wrapper(self, forward)
        self.name, self.forward, self.keeps_dtype = forward.__name__, forward, keeps_dtype
        self.vjp, self.vjp_takes, self.vjp_flops, self._flops = None, (), 1.0, flops
        signature = inspect.signature(forward)
        self.forward_takes_needs = "needs" in signature.parameters
        parameters = [p for p in signature.parameters.values() if p.name != "needs"]
        self.__signature__ = signature.replace(parameters=parameters)
        self.array_names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        if not self.array_names and [p.kind for p in parameters[:1]] != [Parameter.VAR_POSITIONAL]:
            first = parameters[0].name if parameters else "x"
            raise TypeError(f"op {self.name}: no array is before `/` among its parameters; write "
                            f"def {self.name}({first}, /), with settings after the `/`")
        self.optional_names = {p.name for p in parameters if p.default is None}
        self.setting_names = [p.name for p in parameters[len(self.array_names) or 1 :]]

    def __call__(self, *arguments: P.args, **settings: P.kwargs) -> Tensor:
        inputs, rest = self._split(arguments, settings)
        arrays = _as_arrays(self.name, inputs, self.keeps_dtype)
        edges = [_edge(x) for x in inputs] if _recording.get() else [None] * len(inputs)
        needs = [edge is not None for edge in edges]
        kwargs = {"needs": needs} if self.forward_takes_needs else {}
        start = time.perf_counter()
        result = self.forward(*arrays, *rest, **settings, **kwargs)
        seconds = time.perf_counter() - start
        if type(result) is not tuple or len(result) != 2:
            raise TypeError(f"{self.name}: a forward returns a pair, (output, saved); write "
                            "`return output, ()`, of two outputs `return (one, other), ()`")
        output, saved = result
        if isinstance(output, list):
            raise TypeError(f"{self.name}: outputs in a list; of several return a tuple of arrays")
        several, node = isinstance(output, tuple), None
        results = tuple(map(Tensor, output)) if several else (Tensor(output),)
        if any(needs):
            node = Node(self, saved, edges, [(r.data.shape, r.data.dtype) for r in results])
            for index, result in enumerate(results):
                result.node, result.output_index, result.requires_grad = node, index, True
        observer = _observer.get()
        if observer is not None:
            bound = self.__signature__.bind(*arrays, *rest, **settings)
            bound.apply_defaults()
            by_name = {name: bound.arguments[name] for name in self.setting_names}
            outputs = tuple([r.data for r in results])
            observer.forward(self, node, tuple(arrays), by_name, outputs, seconds)
        return results if several else results[0]

    def __reduce__(self):
        return self.__qualname__  # a copy is the op itself; a pickle says where to find it

    def gradients(self, d_output, saved, needs, sums=None):
        """Call the VJP and return its gradients as a tuple, also if there is only one.

        needs, sums   see `vjp`; they are passed on if it has these parameters
        """
        if self.vjp is None:
            raise TypeError(f"{self.name} has no vector-Jacobian product; write below it, under "
                            f"@vjp({self.name}), a function (d_output, saved) -> gradients")
        given = {"needs": needs, "sums": sums or [None] * len(needs)} if self.vjp_takes else {}
        gradients = self.vjp(d_output, saved, **{name: given[name] for name in self.vjp_takes})
        return gradients if isinstance(gradients, tuple) else (gradients,)

    def flops(self, inputs, outputs, settings):
        """Return the FLOPs of a forward, from what an Observer is given."""
        if callable(self._flops):
            return self._flops(inputs, outputs, settings)
        return self._flops * sum(array.size for array in outputs)

    def _split(self, arguments, settings):
        """Return (array inputs, positional settings); arrays given by name leave `settings`."""
        names, setting_names = self.array_names, self.setting_names
        inputs, rest = arguments[: len(names)], arguments[len(names) :]
        if len(inputs) < len(names):
            inputs += tuple([settings.pop(name, None) for name in names[len(inputs) :]])
        for i, x in enumerate(inputs):
            if x is None and (name := names[i]) not in self.optional_names:
                raise TypeError(f"{self.name}: {name} is missing or None; give an array or number")
        if not names:  # it takes a list
            inputs, *rest = arguments or ((),)
            usable = isinstance(inputs, list | tuple) and not any(x is None for x in inputs)
            if not (usable and inputs) or len(rest) > len(setting_names):
                more = f", with {', '.join(setting_names)}" if setting_names else ""
                raise TypeError(f"{self.name}: takes one list of tensors; "
                                f"write {self.name}([a, b]){more}")
            settings.update(zip(setting_names, rest, strict=False))
            rest = ()
        for name in settings:
            if name not in setting_names:
                has = ", ".join(setting_names) or "no settings"
                raise TypeError(f"{self.name}: no argument {name!r}; it has {has}")
        if settings or rest:  # indices, say, may be Tensors; a forward sees arrays
            for x in (*settings.values(), *rest):
                if isinstance(x, Tensor) and x.requires_grad and _recording.get():
                    raise TypeError(f"{self.name}: a setting gets no gradient; pass its .detach(), "
                                    "or in an op of your own move that parameter before `/`")
            settings.update((k, x.data) for k, x in settings.items() if isinstance(x, Tensor))
            rest = [x.data if isinstance(x, Tensor) else x for x in rest]
        return inputs, rest


@overload
def op(forward: Callable[P, Any]) -> Op[P]: ...
@overload
def op(*, keeps_dtype: bool = False, flops: Any = 1) -> Callable[[Callable[P, Any]], Op[P]]: ...
def op(forward: Any = None, *, keeps_dtype: bool = False, flops: Any = 1) -> Any:
    """Register a forward as an op under its own name; `@vjp(the_op)` adds the derivative.

        @op
        def cube(x, /):                # arrays stand before `/`, settings after it
            return x**3, x             # the output, and what backward will need: "saved"
        @vjp(cube)
        def cube_vjp(dz, x):           # the gradient of the output, and what was saved
            return dz * 3 * x**2       # one gradient per array

    keeps_dtype   for ops that only move elements: integers and bools do not become floats
    flops         FLOPs per element of the output, an exponential counted as 10; or a function
                  (inputs, outputs, settings) -> FLOPs
    """
    if forward is None:
        return functools.partial(op, keeps_dtype=keeps_dtype, flops=flops)
    OPS[forward.__name__] = Op(forward, keeps_dtype, flops)
    return OPS[forward.__name__]


def vjp(of: Op, *, flops: float = 1) -> Callable[[Callable], Callable]:
    """Attach a vector-Jacobian product to the op `of`; it takes `flops` per FLOP of the forward.

    The function takes (d_output, saved) and returns one gradient per array input: an array, or
    None for an input that has no derivative. It must not write into d_output. The engine may write
    into a returned array, so it must not be an array that the op needs again, nor be returned for
    two inputs. The function may take two more parameters, each with an entry per array input:

    needs   whether the gradient is wanted; where it is not, None may be returned
    sums    the gradient of a leaf so far, from its other uses, or None. The VJP may add to that
            array and return it, where a new array would be large and mostly zeros.
    """

    def attach(function):
        of.vjp, of.vjp_flops = function, flops
        parameters = inspect.signature(function).parameters
        needed = [p.name for p in parameters.values() if p.default is p.empty
                  and p.name not in ("needs", "sums")]
        if len(needed) != 2:
            raise TypeError(f"{function.__name__} takes {', '.join(needed)}; write (d_output, "
                            f"saved), where saved is all that {of.name} returns beside its output")
        of.vjp_takes = [name for name in ("needs", "sums") if name in parameters]
        return function

    return attach


# ---- The walk back


def backward(tensor: Tensor, gradient: "ArrayLike | Tensor | None" = None) -> None:
    """Add d(tensor)/d(leaf), times `gradient`, to `.grad` of every leaf it was computed from.

    gradient   an array of the tensor's shape; may be left out for a single element (it is 1)

    Activations are freed as their op is visited, so a second backward through the same nodes is a
    RuntimeError. So is a backward through an op that saved a weight which was updated in place
    since, whether or not its VJP would read it. Gradients of gradients are not recorded. If an op
    fails, no `.grad` has changed.
    """
    # For each leaf, and each output (node, index): the sum of the gradients of its uses so far.
    sums = {_edge(tensor): _first_gradient(tensor, gradient)}
    pending = _count_uses(tensor.node)
    # A node is visited when the gradients of all its uses have been added, not at the first one.
    # In `b = a * a; c = 2 * b; d = b + c`, a depth-first walk would pass on the gradient of b's use
    # in d before its use in c was added, and visit everything below b twice.
    ready = [tensor.node] if tensor.node else []
    while ready:
        node = ready.pop()
        parents = [edge[0] for edge in node.edges if isinstance(edge, tuple)]
        _visit(node, sums)
        for parent in parents:
            pending[parent] -= 1
            if pending[parent] == 0:
                ready.append(parent)
    for leaf, gradient in sums.items():
        if leaf.grad is not None:
            gradient += leaf.grad  # not the other way: the user may still hold the previous .grad
        leaf.grad = gradient


Tensor.backward = backward  # loss.backward(): the method is this function


def _first_gradient(tensor, gradient):
    if not tensor.requires_grad:
        raise RuntimeError("backward: no input of this tensor requires a gradient; make them with "
                           "requires_grad=True, and do not compute it under no_grad()")
    if gradient is None:
        if tensor.size != 1:
            raise RuntimeError(f"backward: shape {tensor.shape} is not a single number; take its "
                               "sum or mean, or pass gradient=")
        return np.ones(tensor.shape, tensor.dtype)
    given = gradient.data if isinstance(gradient, Tensor) else gradient
    _, array = _as_arrays("backward", [tensor, given], keeps_dtype=False)
    if array.shape != tensor.shape:
        raise ValueError(f"backward: gradient of shape {array.shape} for a tensor of shape "
                         f"{tensor.shape}; they must be equal")
    return array.copy()


def _count_uses(root):
    """Return, for each node that root was computed from, by how many edges it is used."""
    uses, stack = {}, [root] if root else []
    while stack:
        node = stack.pop()
        if not node.edges:
            raise RuntimeError(f"backward: the graph below op {node.op.name!r} was used by an "
                               "earlier backward and is freed; compute the loss again, or add the "
                               "losses before one backward")
        if node.writes != _writes.count:
            _refuse_written(node)
        for edge in node.edges:
            if isinstance(edge, tuple):
                if edge[0] not in uses:
                    stack.append(edge[0])
                uses[edge[0]] = uses.get(edge[0], 0) + 1
    return uses


def _refuse_written(node):
    """Raise RuntimeError if an array that the node saved was written to after it was recorded."""
    for x, (name, when) in _writes.last.items():
        if when > node.writes and _shares_memory(node.saved, x.data):
            raise RuntimeError(
                f"backward: {name} {x.shape} was updated in place after {node.op.name} had saved "
                "it, so the gradient would belong to no weights; compute the loss again after the "
                "step, or call every backward before the step"
            )


def _shares_memory(saved, array):
    if isinstance(saved, tuple | list):
        return any(_shares_memory(part, array) for part in saved)
    return isinstance(saved, np.ndarray) and np.may_share_memory(saved, array)


def _visit(node, sums):
    """Call the node's VJP, add its gradients to the sums of its inputs, and free the node."""
    summed = [sums.pop((node, i), None) for i in range(len(node.outputs))]
    d_outputs = tuple([
        np.zeros(*output) if d is None else d  # outputs that nobody used
        for d, output in zip(summed, node.outputs, strict=True)
    ])
    edges, op, observer = node.edges, node.op, _observer.get()
    needs, of_leaves = [edge is not None for edge in edges], None
    if "sums" in op.vjp_takes:
        of_leaves = [sums.get(edge) if isinstance(edge, Tensor) else None for edge in edges]
    start = time.perf_counter()
    d_output = d_outputs if len(d_outputs) > 1 else d_outputs[0]
    gradients = op.gradients(d_output, node.saved, needs, of_leaves)
    if observer is not None:
        observer.vjp(op, node, d_outputs, gradients, time.perf_counter() - start)
    node.saved, node.edges = None, ()
    if len(gradients) != len(edges):
        raise AssertionError(f"{op.name}: its VJP returns {len(gradients)} gradients for "
                             f"{len(edges)} arrays; return one for each")
    for i, (edge, gradient) in enumerate(zip(edges, gradients, strict=True)):
        if edge is None:
            continue
        leaf = isinstance(edge, Tensor)
        expected = (edge.data.shape, edge.data.dtype) if leaf else edge[0].outputs[edge[1]]
        if gradient is None:
            raise RuntimeError(f"backward: {op.name} has no derivative with respect to an input of "
                               f"shape {expected[0]}; pass that input's .detach()")
        found = (gradient.shape, gradient.dtype)
        if found != expected:
            since = "; if its .data was replaced since, compute the loss again" if leaf else ""
            raise AssertionError(f"{op.name}: gradient is {found}, its input {expected}{since}")
        if not leaf:
            # Out of place: the array may also be on its way to another input.
            sums[edge] = sums[edge] + gradient if edge in sums else gradient
        elif edge not in sums:
            sums[edge] = _owned(gradient, (*d_outputs, *gradients[:i], *gradients[i + 1 :]))
        elif gradient is not sums[edge]:  # else the VJP has added to it in place
            sums[edge] += gradient


def _owned(gradient, others):
    """Return `gradient` as a writable array that shares no memory with the VJP's other arrays."""
    shared = any(d is not None and np.may_share_memory(gradient, d) for d in others)
    return gradient if gradient.flags.carray and not shared else np.array(gradient, order="C")


# ---- Watching


class Observer:
    """The base of what `observing` calls; an exception raised in a method ends the computation.

    op        the Op: its name, array_names, flops
    node      the Node of this call, the same in `forward` and `vjp`; None if nothing is recorded
    seconds   the time of the op's own function
    """

    def forward(self, op, node, inputs, settings, outputs, seconds):
        """Take a tuple of arrays (None for an absent one), all settings by name, the outputs."""

    def vjp(self, op, node, d_outputs, gradients, seconds):
        """Take the gradients of the outputs and of the array inputs (None where not wanted), as
        tuples. A VJP may add to a leaf's sum (`sums`) in place; it then gives that sum."""


@contextmanager
def observing(observer):
    """Call the observer for each op of this thread inside; if they nest, only the innermost."""
    token = _observer.set(observer)
    try:
        yield observer
    finally:
        _observer.reset(token)
