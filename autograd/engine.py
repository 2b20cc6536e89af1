"""The engine: arrays that remember how they were computed, and the walk back from a loss.

An op (see `autograd.ops`) is a pair of plain functions on ndarrays:

    forward(x, y, ...)      -> output, saved       saved: whatever backward will need
    vjp(d_output, saved)    -> d_x, d_y, ...       the vector-Jacobian product

For a loss L and an output z = f(x, y), `d_z` stands for dL/dz, an array shaped like z. The chain
rule turns it into d_x = d_z . dz/dx without ever forming the Jacobian dz/dx.

A `Tensor` holds an array; `@op` and `@vjp` make an `Op` of two functions; each call of an op is
recorded as a `Node`; `backward` walks along the nodes from the loss to the leaves; an `Observer`
watches the calls, for a NaN or for their time.
"""

import functools
import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Generic, NoReturn, ParamSpec, overload

import numpy as np
from numpy.typing import ArrayLike

from autograd import checks

P = ParamSpec("P")  # of an op's forward, which its callers see
OPS: dict[str, Any] = {}  # every op by name: what gradient checks must cover

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


def _operator(name: str) -> tuple[Callable[..., "Tensor"], Callable[..., "Tensor"]]:
    return _method(name), _method(name, reflected=True)


class Tensor:
    """An n-dimensional array that remembers how it was computed.

    data           anything `numpy.asarray` takes, an ndarray without a copy; Python's floats and
                   lists of them become float32
    requires_grad  whether `backward` leaves dloss/dtensor in `.grad`, an ndarray of this shape and
                   dtype; TypeError for integers

    Between a loss and its backward `.data` may be replaced. Nobody sees a write into the array, and
    gradients would be wrong: write w.data = w.data - lr * w.grad, or call `mark_written`.
    """

    __slots__ = ("__weakref__", "data", "grad", "node", "output_index", "requires_grad", "version")
    __array_ufunc__ = None  # array + tensor calls Tensor.__radd__; NumPy would add each element

    def __init__(self, data: ArrayLike, requires_grad: bool = False) -> None:
        self.data = checks.tensor_data(data, requires_grad)
        self.requires_grad = requires_grad
        self.grad: np.ndarray | None = None
        self.node: Any = None  # the Node that computed it; None: a leaf
        self.output_index = 0  # which of the node's outputs it is
        self.version = [0]  # the number of writes into the array; a `detach` shares it

    __add__, __radd__ = _operator("add")
    __sub__, __rsub__ = _operator("sub")
    __mul__, __rmul__ = _operator("mul")
    __truediv__, __rtruediv__ = _operator("div")
    __pow__, __rpow__ = _operator("pow")
    __matmul__, __rmatmul__ = _operator("matmul")
    __neg__, __abs__, __getitem__ = _method("neg"), _method("abs"), _method("getitem")
    sum, mean, max = _method("sum"), _method("mean"), _method("max")
    reshape, transpose, swapaxes = _method("reshape"), _method("transpose"), _method("swapaxes")
    backward: Callable[..., None]  # the function `backward` below

    shape = property(lambda x: x.data.shape)
    dtype = property(lambda x: x.data.dtype)
    ndim = property(lambda x: x.data.ndim)
    size = property(lambda x: x.data.size)

    def item(self) -> float:
        """Return the value of a one-element tensor as a Python number."""
        return self.data.item()

    def detach(self) -> "Tensor":
        """Return a constant of the same values: no gradient flows through it."""
        constant = Tensor(self.data)
        constant.version = self.version
        return constant

    def mark_written(self) -> None:
        """Let `backward` refuse what was computed before; for code that writes into `.data`."""
        self.version[0] += 1

    def __len__(self) -> int:
        return len(self.data)

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

    __hash__ = object.__hash__

    def __isub__(self, other: object) -> Any:
        if self.requires_grad and self.node is None:
            raise TypeError("w -= x would leave the weight as it is; write w.data = w.data - x")
        return NotImplemented  # then it is x = x - other

    __iadd__ = __imul__ = __itruediv__ = __ipow__ = __imatmul__ = __isub__

    def __array__(self, dtype: Any = None, copy: Any = None) -> NoReturn:
        raise TypeError("a Tensor is no array; write tensor.data, or autograd.stack of a list")

    def __repr__(self) -> str:
        made_by = f", made by {self.node.op.name}" if self.node else ""
        wants = ", requires_grad=True" if self.requires_grad else ""
        return f"Tensor({self.data}, dtype={self.dtype}{wants}{made_by})"


# ---- Ops, and the record of their calls


@contextmanager
def no_grad() -> Iterator[None]:
    """Switch recording off, as `with no_grad():` or `@no_grad()`.

    In a generator, end the block before each `yield`: the code that reads from it would not be
    recorded either.
    """
    token = _recording.set(False)
    try:
        yield
    finally:
        _recording.reset(token)


class Node:
    """One call of an op: what backward needs of it. Inputs are kept only if the op saved them.

    edges     per array input, where its gradient goes: None (not wanted), or a pair (source,
              index): a leaf Tensor and 0, or a node and the index of its output
    outputs   (shape, dtype) of each output, and of its gradient
    versions  for each Tensor among the inputs, its version and the writes until now
    """

    __slots__ = ("__weakref__", "edges", "op", "outputs", "saved", "versions")

    def __init__(self, op, inputs, saved, results):
        self.op, self.saved, self.edges = op, saved, [_edge(x) for x in inputs]
        self.versions = [(x.version, x.version[0]) for x in inputs if isinstance(x, Tensor)]
        self.outputs = [(x.data.shape, x.data.dtype) for x in results]
        for index, x in enumerate(results):
            x.node, x.output_index, x.requires_grad = self, index, True


def _edge(x):
    return (x.node or x, x.output_index) if isinstance(x, Tensor) and x.requires_grad else None


class Op(Generic[P]):
    """A forward and its VJP under one name, callable on Tensors.

    A forward's parameters before `/` are the arrays: Tensors, ndarrays, numbers, or None if that is
    the default. If a forward takes `*arrays`, call its op with a list. All other parameters are
    settings, except `needs`, which says for each array whether backward may ask for its gradient.
    """

    def __init__(self, forward: Callable[P, Any], keeps_dtype: bool, flops: Any) -> None:
        functools.update_wrapper(self, forward)
        self.name, self.forward, self.keeps_dtype = forward.__name__, forward, keeps_dtype
        self.vjp, self.vjp_takes, self.vjp_flops = None, (), 1.0
        self.flops = flops if callable(flops) else (
            lambda inputs, outputs, settings: flops * sum(y.size for y in outputs))
        signature = inspect.signature(forward)
        parameters = [p for p in signature.parameters.values() if p.name != "needs"]
        self.forward_takes_needs = len(parameters) < len(signature.parameters)
        self.__signature__ = signature.replace(parameters=parameters)
        self.array_names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.setting_names = [p.name for p in parameters[len(self.array_names) or 1 :]]
        if not self.array_names and [p.kind.name for p in parameters[:1]] != ["VAR_POSITIONAL"]:
            raise TypeError(f"op {self.name}: arrays stand before a `/`: def {self.name}(x, /)")

    def __call__(self, *arguments: P.args, **settings: P.kwargs) -> Tensor:
        inputs, rest = arguments, ()
        if settings or not arguments or len(arguments) != len(self.array_names):
            inputs, rest, settings = self._split(arguments, settings)
        recording = _recording.get()
        needs = [recording and isinstance(x, Tensor) and x.requires_grad for x in inputs]
        # Nobody sees a write into an ndarray: what backward may need of the caller's is copied.
        own = np.copy if any(needs) else np.asarray
        arrays = [x.data if isinstance(x, Tensor) else own(x) if type(x) is np.ndarray else x
                  for x in inputs]
        if not checks.of_one_dtype(arrays):
            of_tensors = [x.data for x in inputs if isinstance(x, Tensor)]
            arrays = checks.as_one_dtype(self.name, arrays, of_tensors, self.keeps_dtype)
        kwargs = {"needs": needs} if self.forward_takes_needs else {}
        start = time.perf_counter()
        output, saved = self.forward(*arrays, *rest, **settings, **kwargs)
        seconds = time.perf_counter() - start
        results = tuple(map(Tensor, output if type(output) is tuple else (output,)))
        node = Node(self, inputs, saved, results) if any(needs) else None
        observer = _observer.get()
        if observer is not None:
            bound = self.__signature__.bind(*arrays, *rest, **settings)
            bound.apply_defaults()
            by_name = {name: bound.arguments[name] for name in self.setting_names}
            outputs = tuple([x.data for x in results])
            observer.forward(self, node, tuple(arrays), by_name, outputs, seconds)
        return results if type(output) is tuple else results[0]

    def __reduce__(self):
        return self.__qualname__  # a copy is the op itself; a pickle says where to find it

    def gradients(self, d_output, saved, needs, sums=None):
        """Return the gradients of the VJP as a tuple, also if there is only one; see `vjp`."""
        given = {"needs": needs, "sums": sums or [None] * len(needs)}
        gradients = self.vjp(d_output, saved, **{name: given[name] for name in self.vjp_takes})
        return gradients if isinstance(gradients, tuple) else (gradients,)

    def _split(self, arguments, settings):
        """Return (array inputs, settings by position, settings by name)."""
        n = len(self.array_names)
        inputs, rest = arguments[:n], arguments[n:]
        inputs += tuple([settings.pop(name, None) for name in self.array_names[len(inputs) :]])
        if n == 0:  # it takes a list, or what gives its elements once
            inputs, rest = checks.one_list(self.name, arguments), arguments[1:]
            settings |= zip(self.setting_names[: len(rest)], rest, strict=True)
            rest = ()
        settings = {name: _as_setting(self.name, x) for name, x in settings.items()}
        return inputs, [_as_setting(self.name, x) for x in rest], settings


def _as_setting(name, x):
    if isinstance(x, Tensor) and x.requires_grad:
        raise TypeError(f"{name}: a setting gets no gradient; pass its .detach()")
    x = x.data if isinstance(x, Tensor) else x
    return x.copy()[()] if isinstance(x, np.ndarray) else x  # the caller may write into it


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
    None for an input that has no derivative. It must not write into d_output. It must not return
    an array that the op needs again, because the engine may write into what it returns. It may take
    two more parameters, each with an entry per array input:

    needs   whether the gradient is wanted; where it is not, None may be returned
    sums    the gradient of a leaf so far, from its other uses, or None. The VJP may add to that
            array and return it, where a new array would be large and mostly zeros.
    """

    def attach(function):
        of.vjp, of.vjp_flops = function, flops
        names = list(inspect.signature(function).parameters)
        of.vjp_takes = [name for name in ("needs", "sums") if name in names]
        if len(names) - len(of.vjp_takes) != 2:
            raise TypeError(f"{function.__name__} takes {', '.join(names)}; write (d_output, "
                            f"saved), where saved is all that {of.name} returns beside its output")
        return function

    return attach


# ---- The walk back


def backward(tensor: Tensor, gradient: "ArrayLike | Tensor | None" = None) -> None:
    """Add d(tensor)/d(leaf), times `gradient`, to `.grad` of every leaf it was computed from.

    gradient   an array of the tensor's shape; may be left out for a single element (it is 1)

    Activations are freed as their op is visited: a second backward through a node is a
    RuntimeError, as is one after an input was updated in place. Gradients of gradients are not
    recorded. If an op fails, no `.grad` has changed.
    """
    if not tensor.requires_grad:
        raise RuntimeError("backward: no input has requires_grad=True, or it was under no_grad()")
    given = gradient.data if isinstance(gradient, Tensor) else gradient
    # For each leaf, and each output of a node: the sum of the gradients of its uses so far.
    sums = {_edge(tensor): checks.cotangent("backward", given, tensor.data)}
    ready = [tensor.node] if tensor.node else []
    pending = _count_uses(ready)
    # A node is visited when the gradients of all its uses have been added, not at the first one.
    # In `b = a * a; c = 2 * b; d = b + c`, a depth-first walk would pass on the gradient of b's use
    # in d before its use in c was added, and visit everything below b twice.
    while ready:
        node = ready.pop()
        parents = _parents(node)
        _visit(node, sums)
        for parent in parents:
            pending[parent] -= 1
            if pending[parent] == 0:
                ready.append(parent)
    for (leaf, _), gradient in sums.items():
        if leaf.grad is not None:
            gradient += leaf.grad  # not the other way: the user may still hold the previous .grad
        leaf.grad = gradient


Tensor.backward = backward  # loss.backward(): the method is this function


def _parents(node):
    return [source for source, _ in filter(None, node.edges) if isinstance(source, Node)]


def _count_uses(roots):
    """Return, for each node that the roots were computed from, by how many edges it is used."""
    uses, stack = {}, list(roots)
    while stack:
        node = stack.pop()
        if not node.edges:
            raise RuntimeError(f"backward: an earlier backward has freed the graph of "
                               f"{node.op.name}; compute the loss again, or add the losses")
        if any(version[0] > writes for version, writes in node.versions):
            raise RuntimeError(f"backward: an input of {node.op.name} was updated in place since; "
                               "compute the loss again, or call backward before the step")
        for parent in _parents(node):
            if parent not in uses:
                stack.append(parent)
            uses[parent] = uses.get(parent, 0) + 1
    return uses


def _visit(node, sums):
    """Call the node's VJP, add its gradients to the sums of its inputs, and free the node."""
    op, edges, observer = node.op, node.edges, _observer.get()
    d_outputs = tuple([
        sums.pop((node, i)) if (node, i) in sums else np.zeros(*output)  # nobody used this output
        for i, output in enumerate(node.outputs)
    ])
    needs = [edge is not None for edge in edges]
    of_leaves = [sums.get(e) if e and isinstance(e[0], Tensor) else None for e in edges]
    start = time.perf_counter()
    d_output = d_outputs if len(d_outputs) > 1 else d_outputs[0]
    gradients = op.gradients(d_output, node.saved, needs, of_leaves)
    if observer is not None:
        observer.vjp(op, node, d_outputs, gradients, time.perf_counter() - start)
    node.saved, node.edges = None, ()
    assert len(gradients) == len(edges), f"{op.name}: its VJP must return {len(edges)} gradients"
    for i, (edge, gradient) in enumerate(zip(edges, gradients, strict=True)):
        if edge is None:
            continue
        _check_gradient(op, *edge, gradient)
        if isinstance(edge[0], Node):
            # Out of place: the array may also be on its way to another input.
            sums[edge] = sums[edge] + gradient if edge in sums else gradient
        elif edge not in sums:
            sums[edge] = _owned(gradient, (*d_outputs, *gradients[:i], *gradients[i + 1 :]))
        elif gradient is not sums[edge]:  # else the VJP has added to it in place
            sums[edge] += gradient


def _check_gradient(op, source, index, gradient):
    leaf = isinstance(source, Tensor)
    expected = (source.shape, source.dtype) if leaf else source.outputs[index]
    if gradient is None:
        raise RuntimeError(f"backward: {op.name} has no derivative with respect to an input of "
                           f"shape {expected[0]}; pass that input's .detach()")
    found = (gradient.shape, gradient.dtype)
    assert found == expected, f"{op.name}: gradient is {found}, its input's .data {expected}"


def _owned(gradient, others):
    """Return `gradient` as a writable array that shares no memory with the VJP's other arrays."""
    shared = any(d is not None and np.may_share_memory(gradient, d) for d in others)
    return gradient if gradient.flags.carray and not shared else np.array(gradient, order="C")


# ---- Watching


class Observer:
    """The base of what `observing` calls; an exception raised in a method ends the computation.

    node      the Node of this call, the same in `forward` and `vjp`; None if nothing is recorded
    seconds   the time of the op's own function
    """

    def forward(self, op, node, inputs, settings, outputs, seconds):
        """Take a tuple of arrays (None for an absent one), all settings by name, the outputs."""

    def vjp(self, op, node, d_outputs, gradients, seconds):
        """Take the gradients of the outputs and of the inputs, None where not wanted."""


@contextmanager
def observing(observer):
    """Call the observer for each op of this thread inside; if they nest, only the innermost."""
    token = _observer.set(observer)
    try:
        yield observer
    finally:
        _observer.reset(token)
