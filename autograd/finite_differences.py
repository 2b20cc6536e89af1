"""The two sides of a gradient check: what backward computes, and what finite differences say.

`Function` binds a function to its inputs, refuses what cannot be checked, and has both sides:
`gradients` by backward, `directional_derivative` by two forwards. `autograd.gradcheck` compares
them.
"""

import contextlib
import inspect

import numpy as np

from autograd.engine import Tensor, no_grad


class GradcheckError(AssertionError):
    """A gradient is wrong, or a function is not fit to have its gradient checked."""


class Function:
    """f and its inputs. A call returns the outputs of f as a tuple.

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
            raise ValueError(
                "gradcheck: nothing to check; give a non-empty float64 array, or a Tensor with "
                "requires_grad=True"
            )

    def __call__(self):
        result = self.f(**self.inputs) if self.by_name else self.f(*self.inputs.values())
        outputs = tuple(result) if isinstance(result, tuple | list) else (result,)
        if not outputs or not all(isinstance(y, Tensor) and y.dtype.kind == "f" for y in outputs):
            raise TypeError("gradcheck: f returns a Tensor of floats, or a tuple of them")
        return outputs

    @contextlib.contextmanager
    def restored(self):
        """Inside, data and grad of the checked Tensors may be replaced; afterwards, as before."""
        before = [(x, x.data, x.grad) for x in self.checked.values()]
        try:
            yield
        finally:
            for x, data, gradient in before:
                x.data, x.grad = data, gradient

    def cotangents(self, rng):
        """A random one for each output, once it is certain that f is a function in float64."""
        before = self._bytes_of_inputs()
        outputs, again = self(), self()
        self._check_unchanged("f", before)
        for y in outputs:
            if y.dtype != np.float64:
                raise TypeError(f"gradcheck: f returns {y.dtype}; keep everything in it float64")
        first, second = ([(y.shape, y.data.tobytes()) for y in ys] for ys in (outputs, again))
        if first != second:
            raise GradcheckError(
                "gradcheck: f returns something else when called again with the same inputs; seed "
                "what is random in it, such as dropout"
            )
        return [random_signed(rng, y.shape) for y in outputs]

    def gradients(self, cotangents):
        """By name, what backward gives for the sum of cotangents times outputs."""
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
        """dL(x + h v)/dh at h = 0, for L the sum of cotangents times outputs and v shaped like x.

        By central differences, (L(x + h v) - L(x - h v)) / (2 h), where the step h v has the length
        eps: the error of the formula grows with the square of that length.
        """
        data = x.data
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

    def _bytes_of_inputs(self):
        arrays = {k: x.data if isinstance(x, Tensor) else x for k, x in self.inputs.items()}
        return {k: a.tobytes() for k, a in arrays.items() if isinstance(a, np.ndarray)}

    def _check_unchanged(self, who, before):
        for label, content in self._bytes_of_inputs().items():
            if content != before[label]:
                raise GradcheckError(
                    f"gradcheck: {who} writes into {label}; let it write into a copy"
                )


def random_signed(rng, shape):
    """Numbers in [1/2, 1] and [-1, -1/2], as many of the one as of the other."""
    size = int(np.prod(shape))
    signs = rng.permutation(np.resize(rng.permutation([1.0, -1.0]), size))
    return (signs * rng.uniform(0.5, 1.0, size)).reshape(shape)


def _labels(f, count):
    """What inputs given in a list are called: as the parameters of f, else by their position."""
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
        raise TypeError(
            f"gradcheck: {label} is {array.dtype}, too coarse to tell a wrong gradient from "
            "rounding; convert it: Tensor(x.data.astype(numpy.float64), requires_grad=True)"
        )
    if isinstance(x, Tensor) and x.node is not None:
        raise ValueError(
            f"gradcheck: {label} was computed by op {x.node.op.name!r}; give what it was computed "
            "from, or a leaf: Tensor(x.data, requires_grad=True)"
        )
    return x if isinstance(x, Tensor) else Tensor(array, requires_grad=True)


def _gradient(label, x):
    if x.grad is None:  # f does not use this input, or hides from backward that it does
        return np.zeros(x.shape)
    found, expected = (x.grad.shape, x.grad.dtype), (x.shape, x.dtype)
    if found != expected:
        raise GradcheckError(f"gradcheck: gradient of {label} is {found}, its input {expected}")
    return x.grad
