"""Verdicts on a reader's function: the wrong result, its entry, its factor, its line, its cause.

The reader's function and the solution get the same arguments. The first difference is reported; if
a known fault explains all results, so is the fault.
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


def judge(exercise, function, path=None):
    """Raise WrongError unless a function returns what the solution does, for all cases."""
    solution, wrong, results = function_of(exercise), None, []
    for arguments in exercise.cases(np.random.default_rng(0)):
        results.append((arguments, _call(function, arguments, path)))
        expected = _call(solution, arguments)
        wrong = wrong or _compared(exercise, results[-1][1], expected, arguments)
    if wrong is None:
        return
    result, what = wrong
    reason = next((words for words, fault in exercise.FAULTS.items() if _is(fault, results)), None)
    parts = [what, _line(function, exercise.RETURNS.index(result)) if path and result else None,
             reason and f"This is the result if {reason}."]
    raise WrongError("\n".join(filter(None, parts)))


def _is(fault, results):
    """Return whether a faulty function returns the reader's results."""
    try:
        return all(same(found, _call(fault, arguments)) for arguments, found in results)
    except WrongError:
        return False


def same(found, expected):
    """Return whether two results are equal up to rounding."""
    return _count(found) == _count(expected) and all(
        difference("", *pair) is None for pair in _pairs(found, expected)
    )


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
    with np.errstate(all="ignore"):
        equal = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities and NaNs, too
        gap = np.array(np.where(equal, 0, np.abs(a - b)))  # argmax finds a NaN first
    allowed = TOLERANCE * max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-9)
    wrong = ~(gap <= allowed)
    return _in_numbers(name, a, b, wrong, gap) if wrong.any() else None


def _in_numbers(name, a, b, wrong, gap):
    at = np.unravel_index(gap.argmax(), gap.shape)
    where = f"{name}{list(map(int, at))}" if a.ndim else name
    text = f"{where} is {a[at]:.6g}, and should be {b[at]:.6g}"
    if a.ndim:
        text = f"{name} is wrong in {wrong.sum()} of {a.size} entries: {text}"
    with np.errstate(all="ignore"):
        ratios = a[wrong] / b[wrong]
    if not np.isfinite(a[at]) or b[at] == 0:
        return text
    if np.isfinite(ratios).all() and np.ptp(ratios) <= FACTOR * np.abs(ratios).max():
        every = ", as in all that are wrong" if wrong.sum() > 1 else ""
        return f"{text}: {_factor(ratios[0])}{every}"
    return f"{text}: {_factor(a[at] / b[at])} there, different elsewhere"


def _factor(ratio):
    if abs(ratio + 1) < FACTOR:
        return "its sign is flipped"
    return f"a factor of {ratio:.4g}" if abs(ratio - 1) > FACTOR else f"{ratio - 1:+.1e} of it"


def _compared(exercise, found, expected, arguments):
    """Return (name of a result, its fault), or None if all are right."""
    given = ", ".join(f"{name} {_described(value)}" for name, value in arguments.items())
    names = exercise.RETURNS
    if found is None or found is ...:
        return "", "it returns nothing yet; is there a `return`?"
    if _count(found) != _count(expected):
        return "", f"it returns {_count(found)} results, and should return {', '.join(names)}"
    for name, (one, other) in zip(names, _pairs(found, expected), strict=True):
        what = difference(name, one, other)
        if what:
            return name, f"{what}\nThe arguments were {given}."
    return None


def _call(function, arguments, path=None):
    """Return a function's result. Raises WrongError for an error, or a changed argument."""
    theirs = copy.deepcopy(arguments)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = function(**theirs)
    except BaseException as error:
        raise _in_their_words(error, path, arguments) from error
    for name, value in arguments.items():
        if isinstance(value, (np.ndarray, list)) and not same(theirs[name], value):
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
    """Return the line that made a result: the last one that set its name, or its return."""
    try:
        lines, first = inspect.getsourcelines(function)
        body = ast.parse(textwrap.dedent("".join(lines)))
    except (OSError, SyntaxError, TypeError):
        return None
    returns = [node for node in ast.walk(body) if isinstance(node, ast.Return) and node.value]
    if not returns:
        return None
    node = max(returns, key=attrgetter("lineno")).value
    if isinstance(node, ast.Tuple) and result < len(node.elts):
        node = node.elts[result]
    what = "is made"
    if isinstance(node, ast.Name):
        what = "was last changed"
        found = [n for n in ast.walk(body) if _sets(n, node.id)]
        node = max(found, key=attrgetter("lineno"), default=node)
    return f"It {what} in line {first + node.lineno - 1}:\n    {lines[node.lineno - 1].strip()}"


def _sets(node, name):
    """Return whether a node is `name = ...`, `name[...] = ...` or `name.append(...)`."""
    sets = isinstance(getattr(node, "ctx", None), ast.Store)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        node, sets = node.func, node.func.attr in ("append", "extend", "insert")
    if isinstance(node, ast.Subscript | ast.Attribute):
        node = node.value
    return sets and isinstance(node, ast.Name) and node.id == name


def _pairs(found, expected):
    return zip(found, expected, strict=True) if isinstance(expected, tuple) else [(found, expected)]


def _count(result):
    """Return the number of results; a tuple, or a list of arrays, holds several."""
    several = isinstance(result, list) and any(isinstance(item, np.ndarray) for item in result)
    return len(result) if isinstance(result, tuple) or several else 1


def _described(value):
    if isinstance(value, np.ndarray):
        return f"{value.round(3).tolist()}" if value.size <= SHOWN else f"{value.shape}"
    return getattr(value, "__name__", None) or repr(value)
