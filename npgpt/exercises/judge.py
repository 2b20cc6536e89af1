"""Verdicts on a reader's function: the wrong result, its entry, its factor, its line, its cause.

The reader's function and the solution get the same arguments. The first difference is reported,
a wrong shape before a wrong value, and so is a known fault that explains all results. A line is
named only if the fault cannot be in another.
"""

import ast
import builtins
import copy
import inspect
import runpy
import sys
import textwrap
import traceback
import warnings

import numpy as np

from npgpt.exercises import function_of
from npgpt.exercises.sheet import edited, function_in, solution

TOLERANCE = 1e-6  # relative to the largest entry
SHOWN = 8  # most entries of an array that is printed in full
FACTOR = 1e-3  # ratios of entries closer than this count as one factor
MENDABLE = (ast.Assign, ast.AugAssign, ast.Expr, ast.If, ast.Return)


class WrongError(Exception):
    """A wrong answer; the message says why."""


def judge_file(exercise, path):
    """Raise WrongError unless the function in the file is right."""
    name = function_of(exercise).__name__
    sys.path.insert(0, str(path.parent))  # it may import earlier answers
    try:
        with warnings.catch_warnings(action="ignore"):  # such as a SyntaxWarning
            found = runpy.run_path(str(path)).get(name)
        if callable(found):
            return judge(exercise, found, path)
    except WrongError:
        raise
    except SyntaxError as error:
        text = f":\n    {error.text.strip()}" if error.text else ""
        raise WrongError(f"line {error.lineno}: this is not Python ({error.msg}){text}") from error
    except BaseException as error:
        raise _in_their_words(error, path) from error
    finally:
        sys.path.remove(str(path.parent))
    raise WrongError(f"there is no function {name} in it; write it, or begin again in a new file "
                     "(--out)")


@np.errstate(all="ignore")
def judge(exercise, function, path=None):
    """Raise WrongError unless a function returns what the solution does, for all cases."""
    names, calls, right, verdict = exercise.RETURNS, [], [], None
    for arguments in exercise.cases(np.random.default_rng(0)):
        found = _call(function, arguments, path)
        expected = _call(function_of(exercise), arguments)
        calls.append((arguments, found))
        right.append((arguments, expected))
        verdict = verdict or _compared(names, found, expected, arguments)
    if verdict is None:
        return
    name, what = verdict
    if path and name:
        what += _line(exercise, function, names.index(name), right)
    for cause, edits in exercise.FAULTS.items():
        if _explains(edited(exercise, edits), calls):
            raise WrongError(f"{what}\nThis is the result if {cause}.")
    raise WrongError(what)


def _compared(names, found, expected, arguments):
    """Return (name of a result, its difference), or None if all are right."""
    if found is None or found is ...:
        return "", "it returns nothing yet; is there a `return`?"
    if isinstance(expected, list) and isinstance(found, tuple):
        return names[0], f"{names[0]} is a tuple, and should be a list"
    found = _results(found)
    if len(found) != len(names):
        return "", f"it returns {len(found)} results, and should return {', '.join(names)}"
    for differs in (_kind_differs, difference):  # of all results, before any value
        for name, *pair in zip(names, found, _results(expected), strict=True):
            what = differs(name, *pair)
            if what:
                given = ", ".join(f"{n} {_described(value)}" for n, value in arguments.items())
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


def _kind_differs(name, found, expected):
    """Return a description of a wrong shape or type; None if both are right."""
    lists = isinstance(found, list) and isinstance(expected, list)
    try:
        found, expected = np.asarray(found), np.asarray(expected)
    except (TypeError, ValueError):
        if not isinstance(found, (list, tuple)):
            raise
        return f"{name} is no array: its rows have different lengths"
    if found.shape != expected.shape:
        values = ""
        if max(found.size, expected.size) <= SHOWN:
            values = f": {_rounded(found)} for {_rounded(expected)}"
        if lists and found.ndim == 1:
            return f"{name} has {found.size} entries, and should have {expected.size}{values}"
        return f"{name} has the shape {found.shape}, and should have {expected.shape}{values}"
    if found.size and not np.issubdtype(found.dtype, np.number) and found.dtype != bool:
        return f"{name} has entries that are no numbers: {found.ravel()[0]!r}"
    if found.size and expected.dtype == bool != found.dtype:
        return f"{name} has numbers ({found.dtype}), and should have True and False"
    return None


@np.errstate(all="ignore")
def difference(name, found, expected):
    """Return a description of how a result differs from the expected one; None if it does not."""
    what = _kind_differs(name, found, expected)
    if what:
        return what
    found, expected = np.asarray(found), np.asarray(expected)
    a, b, exact = found.astype(float), expected.astype(float), expected.dtype.kind in "bi"
    equal = (a == b) | (np.isnan(a) & np.isnan(b))  # infinities and NaNs, too
    gap = np.array(np.where(equal, 0, np.abs(a - b)))
    most = 0 if exact else TOLERANCE * max(np.abs(b[np.isfinite(b)]).max(initial=0), 1e-9)
    wrong = ~(gap <= most)
    if not wrong.any():
        return None
    at = np.unravel_index(gap.argmax(), gap.shape)  # a NaN first
    digits = ",.12g" if exact else ".6g"
    text = f"is {a[at]:{digits}}, and should be {b[at]:{digits}}"
    if expected.dtype == bool:
        text = f"is {found[at]}, and should be {expected[at]}"
    if a.ndim:
        text = f"is wrong in {wrong.sum()} of {a.size} entries: {name}{list(map(int, at))} {text}"
    elif exact and expected.dtype != bool:
        text += f": {gap[at]:,.12g} too {'many' if a[at] > b[at] else 'few'}"
    if exact or not np.isfinite(a[at]) or b[at] == 0:
        return f"{name} {text}"
    ratios = a[wrong] / b[wrong]
    if np.isfinite(ratios).all() and np.ptp(ratios) <= FACTOR * np.abs(ratios).max():
        every = ", as in all that are wrong" if wrong.sum() > 1 else ""
        return f"{name} {text}: {_factor(ratios[0])}{every}"
    return f"{name} {text}"


def _factor(ratio):
    if abs(ratio + 1) < FACTOR:
        return "its sign is flipped"
    return f"a factor of {ratio:.4g}" if abs(ratio - 1) > FACTOR else f"{ratio - 1:+.1e} of it"


def _call(function, arguments, path=None):
    """Return a function's result. Raises WrongError for an error, or a changed argument."""
    theirs = copy.deepcopy(arguments)
    try:
        with warnings.catch_warnings(action="ignore"):
            result = function(**theirs)
    except BaseException as error:
        raise _in_their_words(error, path, arguments) from error
    for name, value in arguments.items():
        same = _same if isinstance(value, np.ndarray) else list.__eq__
        if isinstance(value, (np.ndarray, list)) and not same(theirs[name], value):
            raise WrongError(
                f"it changes its argument {name}, which the caller still needs; make a copy first"
            )
    return result


def _in_their_words(error, path, arguments=None):
    """Return an error in the reader's code as a WrongError with its line."""
    frames = [f for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    where = f"line {frames[-1].lineno}: " if frames else ""
    if isinstance(error, KeyboardInterrupt):
        return WrongError(f"stopped in {where.rstrip(': ') or 'no line of yours'}")
    traceback.clear_frames(error.__traceback__)  # they may hold all memory
    text = f"\n    {frames[-1].line}" if frames else ""
    given = "".join(f"\n    {n} was {_described(v)}" for n, v in (arguments or {}).items())
    return WrongError(f"{where}{type(error).__name__}: {error}{text}{given}")


def _line(exercise, function, result, calls):
    """Return a sentence on the faulty line, or nothing if several may be faulty.

    A line is faulty if it makes the result from nothing but arguments, or if it is the only one
    that mends the function by itself when it is written as in the solution.
    calls   pairs (arguments, right results)
    """
    try:
        lines, first = inspect.getsourcelines(function)
        tree = ast.parse(textwrap.dedent("".join(lines)))
        if not isinstance(tree.body[0], ast.FunctionDef):
            return ""
        faulty = _made_of_arguments(tree.body[0], result)
        faulty = [faulty] if faulty else _mended(exercise, tree, function, calls)
    except (OSError, SyntaxError, TypeError):
        return ""
    if len(faulty) != 1:
        return ""
    line = faulty[0].lineno
    return f"\nThe fault is in line {first + line - 1}:\n    {lines[line - 1].strip()}"


def _made_of_arguments(body, result):
    """Return the expression of a result in the only return, if it reads only arguments."""
    returned = [n for n in ast.walk(body) if isinstance(n, ast.Return)]
    if len(returned) != 1:
        return None
    node = returned[0].value
    if isinstance(node, ast.Tuple) and result < len(node.elts):
        node = node.elts[result]
    if isinstance(node, ast.Name):  # an argument as it came: a line is missing
        return None
    known = {"np", "math", *dir(builtins), *(a.arg for a in body.args.args)}
    known |= _names(node, ast.Store)  # in comprehensions
    elsewhere = _names(body, ast.Store) - _names(node, ast.Store)
    return node if _names(node, ast.Load) <= known - elsewhere else None


def _mended(exercise, tree, function, calls):
    """Return the statements of a function that mend it when replaced by one of the solution's.

    The replacement sets and reads the same variables. In a `while` loop it might never end.
    """
    if any(isinstance(n, ast.While) for n in ast.walk(tree)):
        return []
    local, mended = _names(tree, ast.Store), []

    def role(node):
        return type(node), *(_names(node, kind) & local for kind in (ast.Load, ast.Store))

    theirs = [n for n in ast.walk(ast.parse(solution(exercise))) if isinstance(n, MENDABLE)]
    for block in [n.body for n in ast.walk(tree) if isinstance(getattr(n, "body", None), list)]:
        for i, old in enumerate(block):
            for new in [n for n in theirs if role(n) == role(old)]:
                if isinstance(new, ast.If):
                    new = ast.If(new.test, old.body, old.orelse)
                block[i] = ast.copy_location(new, old)
                module = compile(ast.fix_missing_locations(tree), "<mended>", "exec")
                block[i] = old
                if _explains(function_in(module, function.__globals__), calls):
                    mended.append(old)
                    break
    return mended


def _names(node, context):
    """Return the names that are read (ast.Load) or set (ast.Store) in a node."""
    names = [n for n in ast.walk(node) if isinstance(n, ast.Name)]
    return {n.id for n in names if isinstance(n.ctx, context)}


def _described(value):
    if isinstance(value, list):
        return f"[{', '.join(map(_described, value))}]"
    if isinstance(value, np.ndarray):
        return f"{_rounded(value)}" if value.size <= SHOWN else f"{value.shape}"
    return getattr(value, "__name__", None) or repr(value)


def _rounded(value):
    return value.round(3).tolist() if value.dtype.kind in "fiu" else value.tolist()
