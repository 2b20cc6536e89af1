"""Is a gradient right? Derivatives that take only forwards, against what `backward` computes.

For a function f of an array x and a fixed array c, the cotangent, the number

    L(x) = sum_i c_i f(x)_i

has the gradient that backward, started with c, leaves in x.grad. Along any direction v

    (L(x + eps v) - L(x - eps v)) / (2 eps)  =  x.grad . v  +  O(eps^2)

Both sides are compared

- for every entry of an input with up to 100 entries: v is 1 in that entry and 0 elsewhere;
- for 32 random entries of a larger input, and along 4 random directions without a zero. An entry
  that alone is wrong, by more than 2 rtol times the L2 norm of x.grad, shows in each of these
  directions; a smaller error is found only if its entry is among the 32.

`gradcheck` does this for any function; `check_op` for an op, on its cases in
`autograd.gradcheck_cases`, and adds the transpose test. With J the Jacobian of f and u a cotangent,
backward computes J^T u, a forward derivative J v, and

    <u, J v>  =  <J^T u, v>

By a complex step (`autograd.finite_differences`) both sides are known to about 1e-16, and each rule
is held to 1e-14. A rule whose forward has no complex step is held to the differences only.

What makes such checks worth something:

- c is random, of order one and of both signs. With all c_i = 1 the gradient of a softmax is 0, and
  a rule that is doubled, or has the wrong sign, passes.
- An error is measured relative to the largest entry of that gradient, input by input. Only below
  atol, the rounding of the differences, can a wrong gradient hide.
- float64. eps is near the cube root of its precision, where the error of the formula, as eps^2,
  and the error of rounding, as 1 / eps, are both small: `error_by_step` shows both sides of that
  valley. It is a power of two, so x + eps is exact. Inputs should be of order one.
"""

import inspect
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from autograd import backend
from autograd.engine import OPS
from autograd.finite_differences import Function, GradcheckError, random_signed
from autograd.gradcheck_cases import CASES

EPS = 2.0**-17
RTOL = 1e-6
RTOL_OF_CASES = 1e-7  # of nearly linear functions: differences are right to about 1e-9
RTOL_OF_TRANSPOSE = 1e-14  # by a complex step; the worst of all ops and backends has 1e-15
ATOL = 1e-10  # a difference of numbers of order one is known to about 1e-16 / EPS
EVERY_ENTRY, SOME_ENTRIES, DIRECTIONS = 100, 32, 4


@dataclass(frozen=True)
class InputReport:
    """The gradient with respect to one input, and the entry in which it agrees worst.

    error     |analytic - numeric| there, relative to the largest entry of the gradient; for an
              entry found along a direction, the gap along it relative to the gradient's norm
    compared  the number of entries that were compared; `wrong` of them differ too much
    """

    name: str
    shape: tuple
    index: tuple
    analytic: float
    numeric: float
    error: float
    compared: int
    wrong: int

    def __str__(self):
        ratio = self.analytic / self.numeric if self.numeric else float("nan")
        return (
            f"{self.name}, shape {self.shape}: {self.wrong} of {self.compared} entries wrong; "
            f"worst at {list(self.index)}: analytic {self.analytic:.9g}, numeric "
            f"{self.numeric:.9g}, ratio {ratio:.6g}, relative error {self.error:.2g}"
        )


@dataclass(frozen=True)
class Report:
    """The results of checking the function `name`: an InputReport for each input.

    transpose    the relative gap between <u, J v> and <J^T u, v>; None if Jv has no complex step
    """

    name: str
    rtol: float
    inputs: tuple
    transpose: float | None = None

    @property
    def passed(self) -> bool:
        return not (self.not_transposed or any(x.wrong for x in self.inputs))

    @property
    def not_transposed(self) -> bool:
        """Return True if the transpose test was made and failed."""
        return self.transpose is not None and not self.transpose <= RTOL_OF_TRANSPOSE

    @property
    def worst(self) -> InputReport:
        """Return the InputReport with the largest error, a wrong one before one that passes."""
        return max(self.inputs, key=lambda x: (x.wrong > 0, x.error))

    def __str__(self):
        wrong = [x for x in self.inputs if x.wrong]
        head = (f"gradcheck of {self.name}: {len(wrong)} of {len(self.inputs)} gradients wrong "
                f"(relative error allowed: {self.rtol:g})")
        lines = [head, *map(str, wrong or self.inputs)]
        if self.not_transposed:
            lines.append(f"<u, J v> and <J^T u, v> are {self.transpose:.2g} apart, relatively "
                         f"(allowed: {RTOL_OF_TRANSPOSE:g})")
        return "\n  ".join(lines)


def gradcheck(
    f: Callable, inputs: Iterable | Mapping[str, Any], *, eps: float = EPS, rtol: float = RTOL,
    atol: float = ATOL, seed: int = 0,
) -> Report:
    """Compare backward through f with finite differences, and return a Report.

    f        a function of Tensors; returns a Tensor or a tuple of Tensors
    inputs   a list, for f(*inputs), or a dict, for f(**inputs). The report calls them as the
             parameters of f are called, or by the keys of the dict. Of Tensors, those that require
             a gradient are checked; of arrays, those of floats. They are as before afterwards. f
             need not take them as arguments: a model is checked by
             gradcheck(lambda **_: model(idx, targets)[1], model.parameters()).
    eps      the step
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


def examine(f, inputs, *, eps=EPS, rtol=RTOL, atol=ATOL, seed=0, name=None, transpose=False):
    """Return the Report of `gradcheck` also if a gradient is wrong; it calls f `name`.

    transpose   whether to make the transpose test, for an f whose rounding is that of one op
    """
    if not (eps > 0 and rtol > 0 and atol >= 0):
        raise ValueError(f"gradcheck: eps={eps}, rtol={rtol}, atol={atol}; use positive numbers")
    function = Function(f, inputs)
    rng = np.random.default_rng(seed)
    found = []
    with function.restored():
        cotangents = function.cotangents(rng)
        gradients = function.gradients(cotangents)
        for label, x in function.checked.items():
            derivative = partial(function.directional_derivative, x, cotangents, eps)
            found.append(_compare(label, gradients[label], derivative, rtol, atol, rng))
        gap = _transpose_gap(function, gradients, cotangents, eps, rng) if transpose else None
    return Report(name or getattr(f, "__name__", str(f)), rtol, tuple(found), gap)


@dataclass(frozen=True)
class OpReport:
    """The result of `check_op`.

    worst      the largest relative error of a gradient, over all cases
    where      the input, entry and case of `worst`
    transpose  the largest relative gap between <u, J v> and <J^T u, v>; None if a case has no J v
               by a complex step
    failure    the report on the first case that failed; None if none did
    """

    op: str
    cases: int
    worst: float
    transpose: float | None
    where: str
    seconds: float
    failure: str | None

    @property
    def passed(self) -> bool:
        return self.failure is None


def check_op(name, seed=0):
    """Gradcheck an op on its cases, with arrays drawn by `seed`, up to the first that fails.

    Returns an OpReport. ValueError for a name without cases.
    """
    start = time.perf_counter()
    cases = cases_of(name)
    worst, where, failure, gaps = -1.0, "", None, []
    for case in cases:
        title = f"{name}, {case.label}"
        settings = {"rtol": RTOL_OF_CASES, "seed": seed, "name": title, "transpose": True}
        try:
            report = examine(case.f, case.inputs(seed), **settings)
        except AssertionError as error:  # no gradient to compare: the engine refused it, say
            worst, where, failure = float("nan"), case.label, f"{title}: {error}"
            break
        gaps.append(report.transpose)
        if not report.worst.error <= worst:
            worst = report.worst.error
            where = f"{report.worst.name}{list(report.worst.index)} ({case.label})"
        if not report.passed:
            failure = str(report)
            break
    if failure:
        failure += "\n  the gradients are those of " + ", by ".join(_rule_and_arithmetic(name))
    gap = max(gaps) if gaps and None not in gaps else None
    return OpReport(name, len(cases), worst, gap, where, time.perf_counter() - start, failure)


def _rule_and_arithmetic(name):
    """Yield name, file and line of an op's rule, and of the backend's functions that it calls,
    itself or in a helper of its own file."""
    rule = OPS[name].vjp
    helpers = filter(inspect.isfunction, map(rule.__globals__.get, rule.__code__.co_names))
    own = [rule, *(helper for helper in helpers if helper.__module__ == rule.__module__)]
    called = (getattr(backend, name, None) for part in own for name in part.__code__.co_names)
    for function in map(inspect.unwrap, (rule, *filter(inspect.isfunction, called))):
        file = function.__module__.replace(".", "/") + ".py"
        line = function.__code__.co_firstlineno
        yield f"{function.__module__}.{function.__name__} ({file}, line {line})"


def cases_of(name):
    """Return the cases of an op; ValueError if there is no such op, or no case of it."""
    if name not in OPS:
        raise ValueError(f"no such op: {name!r}; use one of: {', '.join(sorted(OPS))}")
    if not CASES.get(name):
        raise ValueError(f"op {name!r} has no gradcheck cases; add {name!r} to CASES in "
                         "autograd/gradcheck_cases.py")
    return CASES[name]


def error_by_step(f, inputs, steps, dtype=np.float64, seed=0):
    """Return, for each step, the largest error of the quotient: of its formula, or of rounding.

    dtype   float32 or float64: of f, for central differences; complex128: for complex steps, which
            do not cancel. The gradient that backward computes in float64 counts as the truth.

    f, inputs and seed as for `gradcheck`. Returns an array as long as `steps`: the largest error,
    relative to the largest gradient.
    """
    function = Function(f, inputs)
    checked = function.checked
    rng = np.random.default_rng(seed)
    errors = np.zeros(len(steps))
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
            exact = gradients[label].flat[entries]
            for i, eps in enumerate(steps):
                derivative = partial(function.directional_derivative, x, cotangents, eps)
                gaps = np.abs(_numeric(derivative, entries, x.shape) - exact)
                errors[i] = max(errors[i], gaps.max() / scale)
    return errors


@np.errstate(invalid="ignore")  # inf - inf is NaN, which is wrong
def _compare(label, gradient, derivative, rtol, atol, rng):
    entries = _entries(gradient.size, rng)
    numeric = _numeric(derivative, entries, gradient.shape)
    sizes = np.abs(np.concatenate([gradient.ravel(), numeric, [atol / rtol]]))
    scale = sizes[np.isfinite(sizes)].max()
    errors = np.abs(gradient.flat[entries] - numeric) / scale
    if gradient.size > EVERY_ENTRY and (errors <= rtol).all():
        norm = max(scale, np.linalg.norm(gradient))
        everywhere = np.arange(gradient.size)
        for _ in range(DIRECTIONS):
            v = random_signed(rng, gradient.shape)
            error = _gap(gradient, derivative, v, everywhere) / norm
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


def _entries(size, rng):
    if size <= EVERY_ENTRY:
        return np.arange(size)
    return np.sort(rng.choice(size, SOME_ENTRIES, replace=False))


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
        gaps = [_gap(gradient, derivative, v, half) for half in halves]
        entries = halves[np.argmax(gaps)]
    return entries[0]
