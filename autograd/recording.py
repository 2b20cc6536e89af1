"""What is recorded when ops are called: each op, what it saved, and where its inputs came from.

`@op` and `@vjp` turn a pair of plain functions into an op that can be called on Tensors and is
listed in OPS. A call runs the forward and, if a gradient may be asked for, keeps a `Node`: the
graph of these is what `autograd.engine.backward` walks. To watch the calls themselves, for a NaN
or for their time, subclass `Observer`.
"""

import functools
import inspect
import time
from collections.abc import Callable
from contextlib import ContextDecorator, contextmanager
from contextvars import ContextVar
from typing import Any, Generic, ParamSpec, overload

from autograd.tensor import OPS, Tensor, as_arrays

P = ParamSpec("P")  # of an op's forward, which its callers see
_recording = ContextVar("recording", default=True)
current_observer = ContextVar("observer", default=None)


class no_grad(ContextDecorator):
    """`with no_grad():` or `@no_grad()`: ops compute, and record nothing to differentiate."""

    def __enter__(self) -> "no_grad":
        self.token = _recording.set(False)
        return self

    def __exit__(self, *exception: Any) -> None:
        _recording.reset(self.token)

    def _recreate_cm(self):  # a decorated function that calls itself needs one token per call
        return type(self)()


class Observer:
    """What `observing` tells of each op; a subclass overrides what it wants to know.

    op        the Op: its name, array_names, flops
    node      the Node of this call, the same object in `forward` and `vjp`; None if nothing is
              recorded
    seconds   what the op's own function took

    An exception raised here ends the computation.
    """

    def forward(self, op, node, inputs, settings, outputs, seconds):
        """After a forward: a tuple of its arrays (None for an absent one), a dict of all its
        settings by name, and a tuple of the arrays it computed."""

    def vjp(self, op, node, d_outputs, gradients, seconds):
        """After a vector-Jacobian product: a tuple of the gradients of the op's outputs, and one
        of those of its array inputs, with None for what is not wanted. A gradient that was added
        in place (`Need.sum_so_far`) is the leaf's sum."""


@contextmanager
def observing(observer):
    """Inside, the observer is told of each op of this thread; if they nest, only the innermost."""
    token = current_observer.set(observer)
    try:
        yield observer
    finally:
        current_observer.reset(token)


class Node:
    """One application of an op: what backward needs of it, and nothing else.

    edges    per array input, where its gradient goes: None (not wanted), a leaf Tensor, or the
             pair (node, index) for output `index` of another node. Inputs themselves are not
             kept: an array stays alive through backward only if some op saved it.
    outputs  (shape, dtype) of each output: what its gradient must look like
    """

    __slots__ = ("__weakref__", "edges", "op", "outputs", "saved")

    def __init__(self, op, saved, edges, outputs):
        self.op, self.saved, self.edges, self.outputs = op, saved, edges, outputs


class Need:
    """Says in a rule's `needs` that the gradient of an input is wanted. (None: it is not.)

    sum_so_far   the gradients that other uses of the same leaf have given in this backward, added
                 up; None if there are none. A VJP may add its own to that array and return it,
                 where a new array would be large and mostly zeros.
    """

    __slots__ = ("sum_so_far",)

    def __init__(self, sum_so_far=None):
        self.sum_so_far = sum_so_far


class Op(Generic[P]):
    """A forward and its VJP under one name, callable on Tensors.

    In a forward's signature, the parameters before `/` are the arrays, and may be Tensors,
    ndarrays or numbers when the op is called, or None where that is the default; an op whose
    forward takes `*arrays` is called with a list of them. All other parameters are settings and
    reach the forward as they are, except `needs`: it is not for the caller, but says which
    gradients backward may ask for, as it does to a VJP.
    """

    def __init__(self, forward: Callable[P, Any], keeps_dtype: bool, flops: Any) -> None:
        functools.update_wrapper(self, forward)
        self.name = forward.__name__
        self.forward, self.vjp = forward, None
        self.keeps_dtype = keeps_dtype
        self._flops, self.vjp_flops = flops, 1.0
        signature = inspect.signature(forward)
        parameters = [p for p in signature.parameters.values() if p.name != "needs"]
        self.__signature__ = signature.replace(parameters=parameters)
        self.forward_takes_needs = "needs" in signature.parameters
        self.vjp_takes_needs = False
        self.array_names = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self.optional_names = {p.name for p in parameters if p.default is None}
        self.takes_list = not self.array_names
        self.setting_names = [p.name for p in parameters[len(self.array_names) or 1 :]]

    def __call__(self, *arguments: P.args, **settings: P.kwargs) -> Tensor:
        inputs, rest = self._split_arguments(arguments, settings)
        for name in settings:
            if name not in self.setting_names:
                known = ", ".join(self.setting_names) or "no settings"
                raise TypeError(f"{self.name}: no argument {name!r}; it has {known}")
        arrays = as_arrays(self.name, inputs, self.keeps_dtype)
        edges = [_edge(x) for x in inputs] if _recording.get() else [None] * len(inputs)
        wanted = [edge is not None for edge in edges]
        needs = {"needs": _as_needs(wanted)} if self.forward_takes_needs else {}
        observer = current_observer.get()
        start = None if observer is None else time.perf_counter()
        output, saved = self.forward(*arrays, *rest, **settings, **needs)
        seconds = None if observer is None else time.perf_counter() - start
        several = isinstance(output, tuple)
        results = tuple(map(Tensor, output)) if several else (Tensor(output),)
        node = None
        if any(wanted):
            node = Node(self, saved, edges, [(r.data.shape, r.data.dtype) for r in results])
            for index, result in enumerate(results):
                result.node, result.output_index, result.requires_grad = node, index, True
        if observer is not None:
            named = self._all_settings(arrays, rest, settings)
            outputs = tuple([result.data for result in results])
            observer.forward(self, node, tuple(arrays), named, outputs, seconds)
        return results if several else results[0]

    def __reduce__(self):
        return self.__qualname__  # a copy is the op itself; a pickle says where to find it

    def gradients(self, d_output, saved, needs):
        """The VJP's result as a tuple, one array (or None) per array input.

        needs   per array input a Need, or just True, where its gradient is wanted; else None
        """
        kwargs = {"needs": _as_needs(needs)} if self.vjp_takes_needs else {}
        gradients = self.vjp(d_output, saved, **kwargs)
        return gradients if isinstance(gradients, tuple) else (gradients,)

    def flops(self, inputs, outputs, settings):
        """How many FLOPs a forward takes, of the arguments that an Observer is given."""
        if callable(self._flops):
            return self._flops(inputs, outputs, settings)
        return self._flops * sum(array.size for array in outputs)

    def _all_settings(self, arrays, rest, settings):
        """By name, those that were given by position and the defaults among them."""
        bound = self.__signature__.bind(*arrays, *rest, **settings)
        bound.apply_defaults()
        return {name: bound.arguments[name] for name in self.setting_names}

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


@overload
def op(forward: Callable[P, Any]) -> Op[P]: ...
@overload
def op(*, keeps_dtype: bool = False, flops: Any = 1) -> Callable[[Callable[P, Any]], Op[P]]: ...
def op(forward: Any = None, *, keeps_dtype: bool = False, flops: Any = 1) -> Any:
    """Register a forward as an op under its own name; `@vjp(the_op)` adds the derivative.

    keeps_dtype   for ops that only move elements: integers and bools then stay what they are,
                  where other ops take them as floats
    flops         FLOPs per element of the output, an exponential counted as 10; or a function
                  (inputs, outputs, settings) -> FLOPs
    """
    if forward is None:
        return functools.partial(op, keeps_dtype=keeps_dtype, flops=flops)
    OPS[forward.__name__] = Op(forward, keeps_dtype, flops)
    return OPS[forward.__name__]


def vjp(of: Op, *, flops: float = 1) -> Callable[[Callable], Callable]:
    """Attach a vector-Jacobian product to the op `of`.

    flops   FLOPs of the VJP over those of the forward

    The function takes (d_output, saved) and returns one gradient per array input: an array, or
    None for an input that has no derivative. With a parameter `needs` it is told which gradients
    are wanted, by a tuple with a `Need` or None per array input, and may return None for the
    others. It must not write into d_output, nor return an array that it saved and still needs, nor
    one array of its own for two inputs.
    """

    def attach(function):
        of.vjp, of.vjp_flops = function, flops
        of.vjp_takes_needs = "needs" in inspect.signature(function).parameters
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


def _as_needs(wanted):
    return tuple([w if isinstance(w, Need) else Need() if w else None for w in wanted])
