"""Verdicts on a reader's function: the cause, its line, the wrong result, its entry, its factor.

The reader's function and the solution get the same arguments. If a known fault gives the same
results, or the same error, it is the cause, and the message begins with it. Then comes the first
difference, a wrong shape before a wrong value. A line is named if it alone mends the function when
it is written as in the solution.
"""

import ast
import copy
import inspect
import runpy
import textwrap
import traceback
import warnings

import numpy as np

from npgpt.exercises import function_of
from npgpt.exercises.sheet import edited, function_in, solution

TOLERANCE = 1e-6  # relative to the largest entry
SHOWN = 8  # most entries of an array that is printed in full
FACTOR = 1e-3  # ratios of entries closer than this count as one factor


class WrongError(Exception):
    """A wrong answer; the message says why."""


def judge_file(exercise, path):
    """Raise WrongError unless the function in the file is right."""
    name = function_of(exercise).__name__
    try:
        with warnings.catch_warnings(action="ignore"):  # such as a SyntaxWarning
            found = runpy.run_path(str(path)).get(name)
            if not callable(found):
                raise WrongError(f"there is no function {name} in it; write it, or begin again in "
                                 "a new file (--out)")
            if inspect.iscoroutinefunction(found):
                raise WrongError(f"{name} is an async def, which returns no number; write def")
            judge(exercise, found, path)
    except WrongError:
        raise
    except SyntaxError as error:
        text = f":\n    {error.text.strip()}" if error.text else ""
        raise WrongError(f"line {error.lineno}: this is not Python ({error.msg}){text}") from error
    except BaseException as error:
        raise _in_their_words(error, path) from error


@np.errstate(all="ignore")
def judge(exercise, function, path=None):
    """Raise WrongError unless a function returns what the solution does, for all cases."""
    calls, right, what = [], [], None
    for arguments in exercise.cases(np.random.default_rng(0)):
        found = _outcome(function, arguments, path)
        calls.append((arguments, found))
        if isinstance(found, WrongError):
            what = what or str(found)
            break
        right.append((arguments, _call(function_of(exercise), arguments)))
        what = what or _compared(exercise.RETURNS.split(), found, right[-1][1], arguments)
    if what is None:
        return
    line = _line(exercise, function, right) if path and len(right) == len(calls) else ""
    causes = (f"The cause: {cause}.\n" for cause, edits in exercise.FAULTS.items()
              if _explains(edited(exercise, edits), calls))
    raise WrongError(next(causes, "") + line + what)


def _compared(names, found, expected, arguments):
    """Return the first difference of the results, or None if all are right."""
    if found is None or found is ...:
        return "it returns nothing yet; is there a `return`?"
    pairs = _paired(found, expected)
    if not pairs:
        count = len(found) if isinstance(found, (tuple, list)) else 1
        return f"it returns {count} results, and should return {', '.join(names)}"
    for differs in (_kind_differs, difference):  # of all results, before any value
        for name, pair in zip(names, pairs, strict=True):
            what = differs(name, *pair)
            if what:
                given = ", ".join(f"{n} {_described(value)}" for n, value in arguments.items())
                return f"{what}\nThe arguments were {given}."
    return None


def _explains(fault, calls):
    """Return whether a faulty function returns the reader's results.

    calls   pairs (arguments, the reader's results, or the error)
    """
    return all(_same(found, _outcome(fault, arguments)) for arguments, found in calls)


def _same(found, expected):
    if isinstance(found, WrongError) or isinstance(expected, WrongError):
        causes = [getattr(outcome, "__cause__", None) for outcome in (found, expected)]
        return causes[0] is not None and repr(causes[0]) == repr(causes[1])
    pairs = _paired(found, expected)
    return bool(pairs) and not any(difference("", *pair) for pair in pairs)


def _paired(found, expected):
    """Return pairs of a result and the expected one; none if their number differs."""
    if not isinstance(expected, tuple):
        return [] if isinstance(found, tuple) else [(found, expected)]
    several = isinstance(found, (tuple, list)) and len(found) == len(expected)
    return list(zip(found, expected, strict=True)) if several else []


def _kind_differs(name, found, expected):
    """Return a description of a wrong shape or type; None if both are right."""
    found, expected = np.asarray(found), np.asarray(expected)
    if found.size and found.dtype.kind not in "biuf":
        return f"{name} has entries that are no numbers: {found.ravel()[0]!r}"
    if found.shape != expected.shape:
        text = f"has the shape {found.shape}, and should have {expected.shape}"
        if found.ndim == expected.ndim == 1:
            text = f"has {found.size} entries, and should have {expected.size}"
        if max(found.size, expected.size) <= SHOWN:
            text += f": {_rounded(found)} for {_rounded(expected)}"
        return f"{name} {text}"
    if found.size and expected.dtype == bool != found.dtype:
        return f"{name} has numbers ({found.dtype}), and should have True and False"
    return None


def difference(name, found, expected):
    """Return a description of how a result differs from the expected one; None if it does not."""
    what = _kind_differs(name, found, expected)
    if what:
        return what
    found, expected = np.asarray(found), np.asarray(expected)
    a, b, exact = found.astype(float), expected.astype(float), expected.dtype.kind in "bi"
    most = 0 if exact else TOLERANCE * max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-9)
    wrong = ~np.isclose(a, b, rtol=0, atol=most, equal_nan=True)
    if not wrong.any():
        return None
    at = np.unravel_index(np.abs(a - b).argmax(), a.shape)  # a NaN first
    text = f"is {a[at]:.6g}, and should be {b[at]:.6g}"
    if exact:
        text = f"is {found[at]}, and should be {expected[at]}"
    if a.ndim:
        text = f"is wrong in {wrong.sum()} of {a.size} entries: {name}{list(map(int, at))} {text}"
    elif exact:
        text += f": {abs(a - b):,.12g} too {'many' if a > b else 'few'}"
    if exact or not np.isfinite(a[at]) or b[at] == 0:
        return f"{name} {text}"
    ratios = a[wrong] / b[wrong]
    if np.isfinite(ratios).all() and np.ptp(ratios) <= FACTOR * np.abs(ratios).max():
        flipped = abs(ratios[0] + 1) < FACTOR
        text += ": its sign is flipped" if flipped else f": a factor of {ratios[0]:.7g}"
        text += ", as in all that are wrong" if wrong.sum() > 1 else ""
    return f"{name} {text}"


def _outcome(function, arguments, path=None):
    """Return a function's result, or the WrongError that it ends in."""
    try:
        return _call(function, arguments, path)
    except WrongError as error:
        return error


def _call(function, arguments, path=None):
    """Return a function's result. Raises WrongError for an error, or a changed argument."""
    theirs = copy.deepcopy(arguments)
    try:
        result = function(**theirs)
    except BaseException as error:
        raise _in_their_words(error, path, arguments) from error
    for name, value in arguments.items():
        if repr(theirs[name]) != repr(value):
            raise WrongError(
                f"it changes its argument {name}, which the caller still needs; make a copy first"
            )
    return result


def _in_their_words(error, path, arguments=None):
    """Return an error in the reader's code as a WrongError with its line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"line {frames[-1].lineno}: " if frames else ""
    traceback.clear_frames(error.__traceback__)  # they may hold all memory
    text = f"\n    {frames[-1].line}" if frames else ""
    given = "".join(f"\n    {n} was {_described(v)}" for n, v in (arguments or {}).items())
    return WrongError(f"{where}{type(error).__name__}: {error}{text}{given}")


def _line(exercise, function, calls):
    """Return a sentence on the faulty line, or nothing if none is known.

    calls   pairs (arguments, right results)
    """
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        line = _mended(exercise, tree, function, calls)
    except (AttributeError, OSError, SyntaxError, TypeError):  # it is no plain function
        return ""
    text = f"The fault is in line {first + line - 1}:\n    {lines[line - 1].strip()}\n"
    return text if line else ""


def _mended(exercise, tree, function, calls):
    """Return the line of a statement that mends a function as one of the solution's; 0 if none.

    That sets and reads the same variables. In a `while` loop it might never end.
    """
    if any(isinstance(n, ast.While) for n in ast.walk(tree)):
        return 0
    local = _names(tree, ast.Store)
    ours, theirs = ([n for n in ast.walk(part) if isinstance(n, (ast.Assign, ast.Return))]
                    for part in (tree, ast.parse(solution(exercise))))

    def role(node):
        return type(node), *(_names(node, kind) & local for kind in (ast.Load, ast.Store))

    for node in ours:
        before = dict(vars(node))
        for new in [n for n in theirs if role(n) == role(node)]:
            vars(node).update(vars(new))
            module = compile(tree, "<mended>", "exec")
            vars(node).update(before)
            if _explains(function_in(module, function.__globals__), calls):
                return node.lineno
    return 0


def _names(node, context):
    """Return the names that are read (ast.Load) or set (ast.Store) in a node."""
    return {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, context)}


def _described(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, np.ndarray):
        return f"{_rounded(value)}" if value.size <= SHOWN else f"{value.shape}"
    return getattr(value, "__name__", None) or repr(value)


def _rounded(value):
    return value.round(3).tolist() if value.dtype.kind in "fiu" else value.tolist()
