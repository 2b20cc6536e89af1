"""Verdicts on a reader's function: the wrong result, its entry, its factor, its line, its cause.

The reader's function and the solution get the same arguments. The first difference is reported, and
so is a known fault that explains all results.
"""

import ast
import copy
import inspect
import runpy
import textwrap
import traceback
import warnings
from operator import attrgetter

import numpy as np

from npgpt.exercises import function_of
from npgpt.exercises.sheet import edited

TOLERANCE = 1e-6  # relative to the largest entry
SHOWN = 8  # most entries of an array that is printed in full
FACTOR = 1e-3  # ratios of entries closer than this count as one factor


class WrongError(Exception):
    """A wrong answer; the message says why."""


def judge_file(exercise, path):
    """Raise WrongError unless the function in the file is right."""
    name = function_of(exercise).__name__
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # such as a SyntaxWarning
            found = runpy.run_path(str(path)).get(name)
    except SyntaxError as error:
        text = f":\n    {error.text.strip()}" if error.text else ""
        raise WrongError(f"line {error.lineno}: this is not Python ({error.msg}){text}") from error
    except BaseException as error:
        raise _in_their_words(error, path) from error
    if not callable(found):
        raise WrongError(f"there is no function {name} in it; write it, or begin again in a new "
                         "file (--out)")
    judge(exercise, found, path)


@np.errstate(all="ignore")
def judge(exercise, function, path=None):
    """Raise WrongError unless a function returns what the solution does, for all cases."""
    solution, names, calls, verdict = function_of(exercise), exercise.RETURNS, [], None
    for arguments in exercise.cases(np.random.default_rng(0)):
        found, expected = _call(function, arguments, path), _call(solution, arguments)
        calls.append((arguments, found))
        verdict = verdict or _compared(names, found, expected, arguments)
    if verdict is None:
        return
    name, what = verdict
    if path and name:
        what += _line(function, names.index(name))
    for cause, edits in exercise.FAULTS.items():
        if _explains(edited(exercise, edits), calls):
            raise WrongError(f"{what}\nThis is the result if {cause}.")
    raise WrongError(what)


def _compared(names, found, expected, arguments):
    """Return (name of a result, its difference), or None if all are right."""
    if found is None or found is ...:
        return "", "it returns nothing yet; is there a `return`?"
    found = _results(found)
    if len(found) != len(names):
        return "", f"it returns {len(found)} results, and should return {', '.join(names)}"
    for name, *pair in zip(names, found, _results(expected), strict=True):
        what = difference(name, *pair)
        if what:
            given = ", ".join(f"{name} {_described(value)}" for name, value in arguments.items())
            return name, f"{what}\nThe arguments were {given}."
    return None


def _explains(fault, calls):
    """Return whether a faulty function returns the reader's results.

    calls   pairs (arguments, the reader's results)
    """
    try:
        return all(_same(found, _call(fault, arguments)) for arguments, found in calls)
    except WrongError:
        return False


def _same(found, expected):
    found, expected = _results(found), _results(expected)
    pairs = zip(found, expected, strict=False)
    return len(found) == len(expected) and not any(difference("", *pair) for pair in pairs)


def _results(result):
    """Return the results of a function as a tuple; several may come as a list of arrays."""
    several = isinstance(result, list) and any(isinstance(item, np.ndarray) for item in result)
    return tuple(result) if isinstance(result, tuple) or several else (result,)


@np.errstate(all="ignore")
def difference(name, found, expected):
    """Return a description of how a result differs from the expected one; None if it does not."""
    try:
        found, expected = np.asarray(found), np.asarray(expected)
    except (TypeError, ValueError):
        return f"{name} is no array: its rows have different lengths"
    if found.shape != expected.shape:
        values = ""
        if max(found.size, expected.size) <= SHOWN:
            values = f": {found.tolist()} for {expected.tolist()}"
        return f"{name} has the shape {found.shape}, and should have {expected.shape}{values}"
    if found.size and not np.issubdtype(found.dtype, np.number) and found.dtype != bool:
        return f"{name} has entries that are no numbers: {found.ravel()[0]!r}"
    a, b = found.astype(float), expected.astype(float)
    equal = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities and NaNs, too
    gap = np.array(np.where(equal, 0, np.abs(a - b)))
    wrong = ~(gap <= TOLERANCE * max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-9))
    if not wrong.any():
        return None
    at = np.unravel_index(gap.argmax(), gap.shape)  # a NaN first
    text = f"is {a[at]:.6g}, and should be {b[at]:.6g}"
    if a.ndim:
        text = f"is wrong in {wrong.sum()} of {a.size} entries: {name}{list(map(int, at))} {text}"
    if not np.isfinite(a[at]) or b[at] == 0:
        return f"{name} {text}"
    ratios = a[wrong] / b[wrong]
    if np.isfinite(ratios).all() and np.ptp(ratios) <= FACTOR * np.abs(ratios).max():
        every = ", as in all that are wrong" if wrong.sum() > 1 else ""
        return f"{name} {text}: {_factor(ratios[0])}{every}"
    return f"{name} {text}: {_factor(a[at] / b[at])} there, different elsewhere"


def _factor(ratio):
    if abs(ratio + 1) < FACTOR:
        return "its sign is flipped"
    return f"a factor of {ratio:.4g}" if abs(ratio - 1) > FACTOR else f"{ratio - 1:+.1e} of it"


def _call(function, arguments, path=None):
    """Return a function's result. Raises WrongError for an error, or a changed argument."""
    theirs = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(**theirs)
    except BaseException as error:
        raise _in_their_words(error, path, arguments) from error
    for name, value in arguments.items():
        if isinstance(value, (np.ndarray, list)) and not _same(theirs[name], value):
            raise WrongError(
                f"it changes its argument {name}, which the caller still needs; make a copy first"
            )
    return result


def _in_their_words(error, path, arguments=None):
    """Return an error in the reader's code as a WrongError with its line; Ctrl-C unchanged."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, KeyboardInterrupt):
        print(f"stopped in {where.rstrip(': ') or 'no line of yours'}")
        return error
    text = f"\n    {frames[-1].line}" if frames else ""
    given = "".join(f"\n    {n} was {_described(v)}" for n, v in (arguments or {}).items())
    return WrongError(f"{where}{type(error).__name__}: {error}{text}{given}")


def _line(function, result):
    """Return a sentence on the line that made a result: the last that set its name, or a return."""
    try:
        lines, first = inspect.getsourcelines(function)
        body = ast.walk(ast.parse(textwrap.dedent("".join(lines))))
    except (OSError, SyntaxError, TypeError):
        return ""
    statements = sorted((n for n in body if isinstance(n, ast.stmt)), key=attrgetter("lineno"))
    returned = [n.value for n in statements if isinstance(n, ast.Return) and n.value]
    if not returned:
        return ""
    node, what = returned[-1], "is made"
    if isinstance(node, ast.Tuple) and result < len(node.elts):
        node = node.elts[result]
    if isinstance(node, ast.Name):
        what, name = "was last changed", node.id
        node = next((n for n in reversed(statements) if name in _changed(n)), node)
    return f"\nIt {what} in line {first + node.lineno - 1}:\n    {lines[node.lineno - 1].strip()}"


def _changed(statement):
    """Return the names in x of the statements x = ..., x[...] = ... and x.append(...)."""
    left = getattr(statement, "targets", [getattr(statement, "target", None)])
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        left = [statement.value.func]
    return {n.id for x in left if x for n in ast.walk(x) if isinstance(n, ast.Name)}


def _described(value):
    if isinstance(value, np.ndarray):
        return f"{value.round(3).tolist()}" if value.size <= SHOWN else f"{value.shape}"
    return getattr(value, "__name__", None) or repr(value)
