"""The sides of a gradient check: `gradients` by backward, and derivatives that take only forwards.

For a number L(x), the sum of cotangents times outputs, and a direction v there are two of these:

    central differences    (L(x + h v) - L(x - h v)) / (2 h)  =  dL/dv + O(h^2)
    a complex step         Im L(x + i h v) / h                =  dL/dv + O(h^2)

The difference of two nearly equal numbers loses digits, more of them for a smaller h. The complex
step subtracts nothing: with h = 1e-30 it is right to the last digit. But it needs a forward that is
analytic and computed in complex numbers. NumPy's abs, var and logaddexp are not.

Source: Squire and Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, 1998.
"""

import contextlib
import inspect
import warnings

import numpy as np

from autograd import backend, engine
from autograd.engine import Tensor, no_grad

COMPLEX_STEP = 1e-30


class GradcheckError(AssertionError):
    """A gradient is wrong, or a function is not fit to have its gradient checked."""


class Function:
    """A function f and its inputs. A call returns the outputs of f as a tuple.

    checked   by name, the Tensors whose gradient is to be checked

    f and inputs as for `autograd.gradcheck`. Raises TypeError for inputs that are not float64,
    ValueError if there is nothing to check.
    """

    def __init__(self, f, inputs):
        if not isinstance(inputs, list | tuple | dict):
            raise TypeError("gradcheck: inputs is a list or dict of Tensors or arrays, as in [x]")
        self.f, self.by_name = f, isinstance(inputs, dict)
        items = inputs if self.by_name else zip(_labels(f, len(inputs)), inputs, strict=True)
        self.inputs = {label: _as_input(label, x) for label, x in dict(items).items()}
        tensors = {label: x for label, x in self.inputs.items() if isinstance(x, Tensor)}
        self.checked = {label: x for label, x in tensors.items() if x.requires_grad and x.size}
        if not self.checked:
            raise ValueError("gradcheck: nothing to check; give a non-empty float64 array, or a "
                             "Tensor with requires_grad=True")

    def __call__(self):
        result = self.f(**self.inputs) if self.by_name else self.f(*self.inputs.values())
        outputs = tuple(result) if isinstance(result, tuple | list) else (result,)
        if not outputs or not all(isinstance(y, Tensor) and y.dtype.kind in "fc" for y in outputs):
            raise TypeError("gradcheck: f returns a Tensor of floats, or a tuple of them")
        return outputs

    @contextlib.contextmanager
    def restored(self):
        """Restore data and grad of the checked Tensors at the end of the block."""
        before = [(x, x.data, x.grad) for x in self.checked.values()]
        try:
            yield
        finally:
            for x, data, gradient in before:
                x.data, x.grad = data, gradient

    def cotangents(self, rng):
        """Return a random cotangent per output, once f is known to be a function in float64."""
        before = self._bytes_of_inputs()
        outputs, again = self(), self()
        self._check_unchanged("f", before)
        for y in outputs:
            if y.dtype != np.float64:
                raise TypeError(f"gradcheck: f returns {y.dtype}; keep everything in it float64")
        first, second = ([(y.shape, y.data.tobytes()) for y in ys] for ys in (outputs, again))
        if first != second:
            raise GradcheckError("gradcheck: f returns something else when called again; seed what "
                                 "is random, such as dropout")
        return [random_signed(rng, y.shape) for y in outputs]

    def gradients(self, cotangents):
        """Return by name what backward gives for the sum of cotangents times outputs."""
        before = self._bytes_of_inputs()
        for x in self.checked.values():
            x.grad = None
        # A graph serves one backward, and joining several outputs would take ops, which may be
        # what is wrong: so a forward for each output. Without any that requires a gradient,
        # backward on the first says what to do.
        for i in [i for i, y in enumerate(self()) if y.requires_grad] or [0]:
            self()[i].backward(cotangents[i])
        self._check_unchanged("backward", before)
        return {label: _gradient(label, x) for label, x in self.checked.items()}

    def directional_derivative(self, x, cotangents, eps, v):
        """Return dL/dv by central differences, for a v shaped like x; h v has the length eps.

        If the data of x are complex128, return Im L(x + i eps v) / eps.
        """
        data = x.data
        if data.dtype.kind == "c":
            return self.complex_derivative([(x, v)], cotangents, eps)
        h = eps / np.linalg.norm(v)
        step = (v * h).astype(data.dtype)
        with no_grad():
            x.data = data + step
            above = self()
            x.data = data - step
            below = self()
        x.data = data
        # Subtracted before they are summed: what both have in common then adds no rounding.
        terms = zip(cotangents, above, below, strict=True)
        return float(sum(np.sum(c * (a.data - b.data)) for c, a, b in terms)) / (2 * h)

    def complex_derivative(self, along, cotangents, h=COMPLEX_STEP):
        """Return dL/dv by a complex step h, for the pairs (x, v) in `along` at once.

        Computed by the reference implementation, on any backend. TypeError, or ComplexWarning, if
        it is not made for complex numbers.
        """
        with self.restored(), no_grad(), backend.using("numpy"), _complex_numbers():
            for x in self.checked.values():
                x.data = x.data.astype(np.complex128)
            for x, v in along:
                x.data = x.data + 1j * h * v
            terms = zip(cotangents, self(), strict=True)
            return float(sum(np.sum(c * y.data.imag) for c, y in terms)) / h

    def _bytes_of_inputs(self):
        arrays = {k: x.data if isinstance(x, Tensor) else x for k, x in self.inputs.items()}
        return {k: a.tobytes() for k, a in arrays.items() if isinstance(a, np.ndarray)}

    def _check_unchanged(self, who, before):
        for label, content in self._bytes_of_inputs().items():
            if content != before[label]:
                raise GradcheckError(f"gradcheck: {who} writes into {label}; use a copy")


@contextlib.contextmanager
def _complex_numbers():
    """Let the engine compute with complex numbers, and refuse to discard an imaginary part."""
    floats = engine.FLOATS
    engine.FLOATS = (*floats, np.dtype(np.complex128))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", np.exceptions.ComplexWarning)
            yield
    finally:
        engine.FLOATS = floats


def random_signed(rng, shape):
    """Return numbers in [1/2, 1] and [-1, -1/2], half of them positive."""
    size = int(np.prod(shape))
    signs = rng.permutation(np.resize(rng.permutation([1.0, -1.0]), size))
    return (signs * rng.uniform(0.5, 1.0, size)).reshape(shape)


def _labels(f, count):
    """Return the names of inputs given in a list: the parameters of f, else their positions."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # a built-in function may have no signature
        parameters = []
    names = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return names[:count] + [f"input {i}" for i in range(len(names), count)]


def _as_input(label, x):
    array = x.data if isinstance(x, Tensor) else np.asarray(x)
    if array.dtype.kind != "f":
        return x
    if array.dtype != np.float64:
        raise TypeError(f"gradcheck: {label} is {array.dtype}, too coarse to tell errors from "
                        "rounding; use x.data.astype(numpy.float64)")
    if isinstance(x, Tensor) and x.node is not None:
        raise ValueError(f"gradcheck: {label} was computed by op {x.node.op.name!r}; give a leaf: "
                         "Tensor(x.data, requires_grad=True)")
    return x if isinstance(x, Tensor) else Tensor(array, requires_grad=True)


def _gradient(label, x):
    if x.grad is None:  # f does not use this input, or hides from backward that it does
        return np.zeros(x.shape)
    found, expected = (x.grad.shape, x.grad.dtype), (x.shape, x.dtype)
    if found != expected:
        raise GradcheckError(f"gradcheck: gradient of {label} is {found}, its input {expected}")
    return x.grad
