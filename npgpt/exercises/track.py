"""The track: which answers are right, and the GPT that imports them."""

import contextlib
import io
import re
from pathlib import Path

from npgpt.exercises import NAMES, load
from npgpt.exercises.judge import WrongError, judge_file
from npgpt.exercises.sheet import file_of, import_line

MY_GPT = "my_gpt.py"
TEMPLATE = Path(__file__).parent / MY_GPT


def parts():
    """Return the names of the exercises whose answers are functions of my_gpt.py."""
    text = TEMPLATE.read_text(encoding="utf-8")
    return re.findall(r"^from npgpt\.exercises\.(\w+) import", text, re.M)


def right_answers():
    """Return the names of the exercises whose files are in the working folder and right."""
    right = []
    for number, name in enumerate(NAMES, 1):
        path = Path(file_of(name))
        with contextlib.suppress(WrongError), contextlib.redirect_stdout(io.StringIO()):
            if path.is_file():
                judge_file(load(number), path)
                right.append(name)
    return right


def update_my_gpt(right):
    """Write my_gpt.py or, if it is there, only its imports of answers."""
    path = Path(MY_GPT)
    before = (path if path.exists() else TEMPLATE).read_text(encoding="utf-8")
    text = before
    for name in NAMES:
        text = re.sub(rf"^from \S+ import {name}$", import_line(name, right), text, flags=re.M)
    if text != before:
        path.write_text(text, encoding="utf-8")
