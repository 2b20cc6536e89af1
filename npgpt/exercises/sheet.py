"""The file that a reader gets: the task, and a function with a blank or with faults in it."""

import inspect
import textwrap
from types import CodeType, FunctionType

from npgpt.exercises import NAMES, function_of

BLANK = "    ...  # write this\n"


def sheet(exercise, command, right=()):
    """Return the text of the file.    command: the one that checks it; right: names of answers"""
    task = textwrap.dedent(exercise.TASK).strip()
    head = f'"""{task}\n\nCheck it: {command}\n"""\n\nimport math\n\nimport numpy as np\n'
    helpers = getattr(exercise, "HELPERS", ())
    imports = "".join(f"{import_line(helper.__name__, right)}\n" for helper in helpers)
    head += f"\n{imports}" if imports else ""
    return f"{head}\n\n{_to_complete(exercise)}"


def file_of(name):
    """Return the name of a reader's file."""
    return f"exercise_{NAMES.index(name) + 1:02}_{name}.py"


def import_line(name, right):
    """Return the line that imports an answer: the reader's if it is right, else the solution."""
    module = file_of(name).removesuffix(".py") if name in right else f"npgpt.exercises.{name}"
    return f"from {module} import {name}"


def solution(exercise, edits=()):
    """Return the source of the solution, with `edits` applied, {text: new text}."""
    source = inspect.getsource(function_of(exercise))
    for text, new in dict(edits).items():
        if text not in source:
            raise ValueError(f"{exercise.__name__}: {text!r} is not in the solution; mend the edit")
        source = source.replace(text, new)
    return source


def edited(exercise, edits):
    """Return the solution with `edits` applied, as a function."""
    module = compile(solution(exercise, edits), exercise.__file__, "exec")
    return function_in(module, vars(exercise))


def function_in(module, variables):
    """Return the function that a compiled module defines.    variables: global ones"""
    code = next(part for part in module.co_consts if isinstance(part, CodeType))
    return FunctionType(code, variables)


def _to_complete(exercise):
    """Return the source of the reader's function: with a blank or, in a hunt, with faults."""
    if hasattr(exercise, "PLANTED"):
        return solution(exercise, exercise.PLANTED)
    source = solution(exercise)
    head, docstring, _ = source.split('"""', 2)
    return f'{head}"""{docstring}"""\n{BLANK}'
