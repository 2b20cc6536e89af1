"""The file that a reader gets: the task, and a function with a blank for its body."""

import ast
import inspect
import textwrap

from npgpt.exercises import function_of

BLANK = "    ...  # write this\n"


def sheet(exercise, command):
    """Return the text of the file.    command: the one that checks it"""
    task = textwrap.dedent(exercise.TASK).strip()
    helpers = [inspect.getsource(helper) for helper in getattr(exercise, "HELPERS", ())]
    parts = [f'"""{task}\n\nCheck it: {command}\n"""\n\nimport math\n\nimport numpy as np\n']
    return "\n\n".join([*parts, *helpers, _given(exercise)])


def solution(exercise):
    return inspect.getsource(function_of(exercise))


def _given(exercise):
    """Return the function with a blank or, in a hunt, with faults."""
    source, name = solution(exercise), function_of(exercise).__name__
    if hasattr(exercise, "planted"):
        return inspect.getsource(exercise.planted).replace("def planted(", f"def {name}(", 1)
    docstring = ast.parse(source).body[0].body[0]
    return "".join(source.splitlines(keepends=True)[: docstring.end_lineno]) + BLANK
