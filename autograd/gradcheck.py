"""Is a gradient right? Derivatives that take only forwards, against what `backward` computes.

For a function f of an array x and a fixed array c, the cotangent, the number

    L(x) = sum_i c_i f(x)_i

has the gradient that backward, started with c, leaves in x.grad. Along any direction v

    (L(x + h v) - L(x - h v)) / (2 h)  =  x.grad . v  +  O(h^2)     central differences
    Im L(x + i h v) / h                =  x.grad . v  +  O(h^2)     a complex step

The difference of two nearly equal numbers loses digits, more of them for a smaller h. The complex
step subtracts nothing: with h = 1e-30 it is right to the last digit. But it needs a forward that is
analytic and computed in complex numbers. NumPy's abs, var and logaddexp are not.

`gradcheck` compares differences with the gradient of any function

- for every entry of an input with up to 100 entries: v is 1 in that entry and 0 elsewhere;
- for 32 random entries of a larger input, and along 4 random directions without a zero. An entry
  that alone is wrong, by more than 2 rtol times the L2 norm of x.grad, shows in each of these
  directions; a smaller error is found only if its entry is among the 32.

`check_op` does this for an op, on its cases in `autograd.gradcheck_cases`, and adds the transpose
test. With J the Jacobian of f and u a cotangent, backward computes J^T u, a complex step J v, and
<u, J v> = <J^T u, v>: each rule is held to 1e-14. A rule whose forward has no complex step is held
to the differences only.

What makes such checks worth something:

- c is random, of order one and of both signs. With all c_i = 1 the gradient of a softmax is 0, and
  a rule that is doubled, or has the wrong sign, passes.
- An error is measured relative to the largest entry of that gradient, input by input. Only below
  atol, the rounding of the differences, can a wrong gradient hide.
- float64. The step is near the cube root of its precision, where the error of the formula, as h^2,
  and the error of rounding, as 1 / h, are both small: `error_by_step` shows both sides of that
  valley. It is a power of two, so x + h is exact. Inputs should be of order one.

Source: Squire and Trapp, Using Complex Variables to Estimate Derivatives of Real Functions, 1998.
"""

import inspect
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from autograd import backend, checks
from autograd.engine import OPS, Tensor, no_grad

EPS = 2.0**-17
COMPLEX_STEP = 1e-30
RTOL = 1e-6
RTOL_OF_CASES = 1e-7  # of nearly linear functions: differences are right to about 1e-9
RTOL_OF_TRANSPOSE = 1e-14  # by a complex step; the worst of all ops and backends has 1e-15
ATOL = 1e-10  # a difference of numbers of order one is known to about 1e-16 / EPS
FULL_CHECK_ENTRIES, SAMPLED_ENTRIES, DIRECTIONS = 100, 32, 4


class GradcheckError(AssertionError):
    """A gradient is wrong, or a function is not fit to have its gradient checked."""


# ---- Both sides: gradients by backward, derivatives by forwards alone


class Function:
    """A function f and its inputs, as for `gradcheck`. A call returns the outputs as a tuple.

    checked   by name, the Tensors whose gradient is to be checked

    Raises TypeError for inputs that are not float64, ValueError if there is nothing to check.
    """

    def __init__(self, f, inputs):
        self.f, self.by_name = f, isinstance(inputs, dict)
        items = inputs if self.by_name else zip(_labels(f, len(inputs)), inputs, strict=True)
        self.inputs = {label: _as_input(label, x) for label, x in dict(items).items()}
        self.checked = {label: x for label, x in self.inputs.items()
                        if isinstance(x, Tensor) and x.requires_grad and x.size}
        if not self.checked:
            raise ValueError("gradcheck: nothing to check; give a non-empty float64 array, or a "
                             "Tensor with requires_grad=True")

    def __call__(self):
        result = self.f(**self.inputs) if self.by_name else self.f(*self.inputs.values())
        return tuple(result) if isinstance(result, tuple | list) else (result,)

    @contextmanager
    def restored(self):
        """Restore data and grad of the checked Tensors; refuse inputs that were written to."""
        before = [(x, x.data, x.grad) for x in self.checked.values()]
        given = [x.data if isinstance(x, Tensor) else x for x in self.inputs.values()]
        contents = [np.asarray(array).tobytes() for array in given]
        try:
            yield
        finally:
            for x, data, gradient in before:
                x.data, x.grad = data, gradient
            for label, array, content in zip(self.inputs, given, contents, strict=True):
                if np.asarray(array).tobytes() != content:
                    raise GradcheckError(f"gradcheck: f or its backward writes into {label}; use a "
                                         "copy")

    def cotangents(self, rng):
        """Return a random cotangent per output, once f is known to be a function in float64."""
        outputs, again = self(), self()
        for y in outputs:
            if y.dtype != np.float64:
                raise TypeError(f"gradcheck: f returns {y.dtype}; keep everything in it float64")
        first, second = ([(y.shape, y.data.tobytes()) for y in ys] for ys in (outputs, again))
        if first != second:
            raise GradcheckError("gradcheck: f returns something else when called again; seed what "
                                 "is random, such as dropout")
        return [random_signed(rng, y.shape) for y in outputs]

    def gradients(self, cotangents):
        """Return by name the gradients of the sum of cotangents times outputs."""
        for x in self.checked.values():
            x.grad = None
        # A graph serves one backward, and joining several outputs would take ops, which may be
        # wrong: so a forward for each output. If none requires a gradient, backward on the first
        # raises an error that says so.
        for i in [i for i, y in enumerate(self()) if y.requires_grad] or [0]:
            self()[i].backward(cotangents[i])
        # Without a gradient: f does not use this input, or hides from backward that it does.
        return {
            label: np.zeros(x.shape) if x.grad is None else x.grad
            for label, x in self.checked.items()
        }

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
        with self.restored(), no_grad(), backend.using("numpy"), checks.complex_numbers():
            for x in self.checked.values():
                x.data = x.data.astype(np.complex128)
            for x, v in along:
                x.data = x.data + 1j * h * v
            terms = zip(cotangents, self(), strict=True)
            return float(sum(np.sum(c * y.data.imag) for c, y in terms)) / h


def random_signed(rng, shape):
    """Return numbers in [1/2, 1] and [-1, -1/2], half of them positive."""
    size = int(np.prod(shape))
    signs = rng.permutation(np.resize(rng.permutation([1.0, -1.0]), size))
    return (signs * rng.uniform(0.5, 1.0, size)).reshape(shape)


def _labels(f, count):
    """Return the names of inputs given in a list: the parameters of f, else their positions."""
    try:
        parameters = inspect.signature(f).parameters.values()
    except (TypeError, ValueError):  # of a built-in, or a partial op with an array by name
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
    leaf = isinstance(x, Tensor) and x.node is None
    return x if leaf else Tensor(array, requires_grad=True)


# ---- Comparing them


@dataclass(frozen=True)
class InputReport:
    """The gradient with respect to one input, and the entry in which it agrees worst."""

    name: str
    shape: tuple
    index: tuple
    analytic: float
    numeric: float
    # |analytic - numeric| there, relative to the largest entry of the gradient; for an entry found
    # along a direction, the gap along it relative to the gradient's norm
    error: float
    compared: int  # the number of entries that were compared ...
    wrong: int  # ... and how many of them differ too much
    case: str = ""  # the label of the op's case, if `check_op` made the report

    def __str__(self):
        ratio = self.analytic / self.numeric if self.numeric else float("nan")
        case = f" ({self.case})" if self.case else ""
        return (
            f"{self.name}, shape {self.shape}{case}: {self.wrong} of {self.compared} entries "
            f"wrong; worst at {list(self.index)}: analytic {self.analytic:.9g}, numeric "
            f"{self.numeric:.9g}, ratio {ratio:.6g}, relative error {self.error:.2g}"
        )


@dataclass(frozen=True)
class Report:
    """The results of checking the function `name`: an InputReport for each input."""

    name: str
    rtol: float
    inputs: tuple
    # the largest relative gap between <u, J v> and <J^T u, v>; None without a complex step
    transpose: float | None = None
    rule: str = ""  # the functions that compute an op's gradients, for a failed report

    @property
    def passed(self) -> bool:
        transposed = self.transpose is None or self.transpose <= RTOL_OF_TRANSPOSE
        return transposed and not any(x.wrong for x in self.inputs)

    @property
    def worst(self) -> InputReport:
        """Return the InputReport with the largest error, a wrong one before one that passes."""
        return max(self.inputs, key=lambda x: (x.wrong > 0, x.error))

    def __str__(self):
        wrong = [x for x in self.inputs if x.wrong]
        lines = [f"gradcheck of {self.name}: {len(wrong)} of {len(self.inputs)} gradients wrong "
                 f"(relative error allowed: {self.rtol:g})", *map(str, wrong or self.inputs)]
        if not (wrong or self.passed):
            lines.append(f"<u, J v> and <J^T u, v> are {self.transpose:.2g} apart, relatively "
                         f"(allowed: {RTOL_OF_TRANSPOSE:g})")
        if self.rule and not self.passed:
            lines.append(f"the gradients are computed by {self.rule}")
        return "\n  ".join(lines)


def gradcheck(
    f: Callable, inputs: Iterable | Mapping[str, Any], *, eps: float = EPS, rtol: float = RTOL,
    atol: float = ATOL, seed: int = 0,
) -> Report:
    """Compare backward through f with finite differences, and return a Report.

    f        a function of Tensors; returns a Tensor or a tuple of Tensors
    inputs   a list, for f(*inputs), or a dict, for f(**inputs). Tensors that require a gradient are
             checked, and arrays of floats; their data and gradients are restored. The report uses
             the names of f's parameters, or the keys of the dict. f need not take arguments:
             gradcheck(lambda **_: model(idx, targets)[1], model.parameters()) checks a model.
    rtol     allowed error, relative to the largest entry of the gradient of that input
    atol     allowed error, absolute: for gradients that are 0 up to rounding
    seed     of cotangents, entries and directions

    Raises GradcheckError if a gradient is wrong (it says which, where, and by how much), if f is
    not deterministic, or if f or backward write into an input; TypeError if anything is not
    float64; ValueError if there is nothing to check.
    """
    report = examine(f, inputs, eps=eps, rtol=rtol, atol=atol, seed=seed)
    if not report.passed:
        raise GradcheckError(str(report))
    return report


def examine(f, inputs, *, eps=EPS, rtol=RTOL, atol=ATOL, seed=0, transpose=False):
    """Return the Report of `gradcheck`, also if a gradient is wrong.

    transpose   True to make the transpose test, for an f that rounds no more than one op does
    """
    function, rng = Function(f, inputs), np.random.default_rng(seed)
    found = []
    with function.restored():
        cotangents = function.cotangents(rng)
        gradients = function.gradients(cotangents)
        for label, x in function.checked.items():
            derivative = partial(function.directional_derivative, x, cotangents, eps)
            found.append(_compare(label, gradients[label], derivative, rtol, atol, rng))
        gap = _transpose_gap(function, gradients, cotangents, eps, rng) if transpose else None
    return Report(getattr(f, "__name__", str(f)), rtol, tuple(found), gap)


@np.errstate(invalid="ignore")  # inf - inf is NaN, which is wrong
def _compare(label, gradient, derivative, rtol, atol, rng):
    entries = _entries(gradient.size, rng)
    numeric = _numeric(derivative, entries, gradient.shape)
    sizes = np.abs(np.concatenate([gradient.ravel(), numeric, [atol / rtol]]))
    scale = sizes[np.isfinite(sizes)].max()
    errors = np.abs(gradient.flat[entries] - numeric) / scale
    if gradient.size > FULL_CHECK_ENTRIES and (errors <= rtol).all():
        norm = max(scale, np.linalg.norm(gradient))
        for _ in range(DIRECTIONS):
            v = random_signed(rng, gradient.shape)
            error = _gap(gradient, derivative, v, np.arange(gradient.size)) / norm
            if not error <= rtol:
                entries = np.append(entries, _entry_with_gap(gradient, derivative, v))
                numeric = np.append(numeric, _numeric(derivative, entries[-1:], gradient.shape))
                errors = np.append(errors, error)
                break
    worst = np.argmax(errors)  # the first NaN, if there is one
    index = tuple(int(i) for i in np.unravel_index(entries[worst], gradient.shape))
    return InputReport(
        label, gradient.shape, index, float(gradient[index]), float(numeric[worst]),
        float(errors[worst]), len(entries), int((~(errors <= rtol)).sum()),
    )


def _entries(size, rng):
    if size <= FULL_CHECK_ENTRIES:
        return np.arange(size)
    return np.sort(rng.choice(size, SAMPLED_ENTRIES, replace=False))


def _only(v, entries):
    """Return v with zeros outside these entries."""
    part = np.zeros(v.shape)
    part.flat[entries] = v.flat[entries]
    return part


def _numeric(derivative, entries, shape):
    return np.array([derivative(_only(np.ones(shape), entry)) for entry in entries])


def _gap(gradient, derivative, v, entries):
    """Return how far the two sides are apart along v, in these entries only."""
    return abs(gradient.flat[entries] @ v.flat[entries] - derivative(_only(v, entries)))


def _entry_with_gap(gradient, derivative, v):
    """Return the entry to blame for a gap along v: halve v, keep the worse half, and so on."""
    entries = np.arange(v.size)
    while entries.size > 1:
        halves = np.array_split(entries, 2)
        entries = halves[np.argmax([_gap(gradient, derivative, v, half) for half in halves])]
    return entries[0]


def _transpose_gap(function, gradients, cotangents, eps, rng):
    """Return |<u, J v> - <J^T u, v>|, relatively; None if J v cannot be had by a complex step.

    A complex step goes wrong without a word where a forward drops the imaginary part: it counts
    only if differences along the same v agree with it. They were compared with the rule before.
    """
    along = [(x, random_signed(rng, x.shape)) for x in function.checked.values()]
    try:
        Jv = function.complex_derivative(along, cotangents)
    except (TypeError, np.exceptions.ComplexWarning):
        return None
    differences = [function.directional_derivative(x, cotangents, eps, v) for x, v in along]
    if not abs(Jv - sum(differences)) <= RTOL * max(1, abs(Jv)):
        return None
    pairs = zip(gradients.values(), along, strict=True)
    terms = np.concatenate([(gradient * v).ravel() for gradient, (_, v) in pairs])
    return abs(Jv - terms.sum()) / max(np.abs(terms).sum(), ATOL / RTOL_OF_CASES)


def error_by_step(f, inputs, steps, dtype=np.float64, seed=0):
    """Return, for each step, the largest error of the quotient: of its formula, or of rounding.

    dtype   float32 or float64: of f, for central differences; complex128: for complex steps, which
            do not cancel. The gradient that backward computes in float64 counts as the truth.

    f, inputs and seed as for `gradcheck`. Returns an array as long as `steps`: the largest error,
    relative to the largest gradient.
    """
    function, rng = Function(f, inputs), np.random.default_rng(seed)
    checked, errors = function.checked, np.zeros(len(steps))
    with function.restored():
        for x in checked.values():  # the gradient at the rounded numbers that f sees in `dtype`
            x.data = x.data.astype(dtype).real.astype(np.float64)
        cotangents = function.cotangents(rng)
        gradients = function.gradients(cotangents)
        scale = max(np.abs(gradient).max() for gradient in gradients.values()) or 1.0
        for x in checked.values():
            x.data = x.data.astype(dtype)
        for label, x in checked.items():
            entries = _entries(x.size, rng)
            for i, eps in enumerate(steps):
                derivative = partial(function.directional_derivative, x, cotangents, eps)
                numeric = _numeric(derivative, entries, x.shape)
                gap = np.abs(numeric - gradients[label].flat[entries]).max()
                errors[i] = max(errors[i], gap / scale)
    return errors


# ---- Ops


def check_op(name, seed=0):
    """Gradcheck an op on its cases, with arrays drawn by `seed`, up to the first that fails.

    Returns one Report of all inputs. ValueError for a name without cases; AssertionError for a rule
    whose gradients the engine refuses.
    """
    inputs, gaps = [], []
    for case in cases_of(name):
        report = examine(case.f, case.inputs(seed), rtol=RTOL_OF_CASES, seed=seed, transpose=True)
        inputs += [replace(found, case=case.label) for found in report.inputs]
        gaps.append(report.transpose)
        if not report.passed:
            break
    gap = None if None in gaps else max(gaps)
    rule = ", by ".join(_rule_and_arithmetic(name))
    return Report(name, RTOL_OF_CASES, tuple(inputs), gap, rule)


def _rule_and_arithmetic(name):
    """Yield (name, file, line) of an op's VJP, and of each backend function that it calls, directly
    or through a helper of its own file."""
    rule = OPS[name].vjp
    helpers = filter(inspect.isfunction, map(rule.__globals__.get, rule.__code__.co_names))
    own = [rule, *(helper for helper in helpers if helper.__module__ == rule.__module__)]
    called = (getattr(backend, name, None) for part in own for name in part.__code__.co_names)
    for function in map(inspect.unwrap, (rule, *filter(inspect.isroutine, called))):
        file = function.__module__.replace(".", "/") + ".py"
        line = function.__code__.co_firstlineno
        yield f"{function.__module__}.{function.__name__} ({file}, line {line})"


def cases_of(name):
    """Return the cases of an op; ValueError if there is no such op, or no case of it."""
    if name not in OPS:
        raise ValueError(f"no such op: {name!r}; use one of: {', '.join(sorted(OPS))}")
    from autograd.gradcheck_cases import CASES  # which no other command has to load

    if name not in CASES:
        raise ValueError(f"{name!r} has no cases; give it some in autograd/gradcheck_cases.py")
    return CASES[name]
