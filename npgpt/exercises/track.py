"""The track: which answers are right, and the GPT that imports them."""

import re
from itertools import chain
from pathlib import Path

from npgpt.exercises import NAMES, SECTIONS
from npgpt.exercises.apart import verdicts
from npgpt.exercises.sheet import BLANK, file_of, import_line

MY_GPT = "my_gpt.py"
STATUSES = ("right", "wrong", "stopped", "unfinished", "missing")  # stopped: it never returned
TEMPLATE = Path(__file__).parent / MY_GPT


def parts():
    """Return the names of the exercises whose answers are functions of my_gpt.py."""
    text = TEMPLATE.read_text(encoding="utf-8")
    return re.findall(r"^from npgpt\.exercises\.(\w+) import", text, re.M)


def files(names=NAMES):
    """Return pairs (number of an exercise, path of its file in the working folder)."""
    return [(NAMES.index(name) + 1, Path(file_of(name))) for name in names]


def grades(files, loud=False):
    """Yield a grade for each file: first, in order, those that are judged.

    A grade has number, name, section, file, status (of STATUSES) and message.
    """
    begun = [pair for pair in files if pair[1].is_file()
             and BLANK.strip().encode() not in pair[1].read_bytes()]
    rest = [(*pair, "unfinished" if pair[1].is_file() else "missing", "")
            for pair in files if pair not in begun]
    for number, path, status, message in chain(verdicts(begun, loud), rest):
        name = NAMES[number - 1]
        section = next(section for section, names in SECTIONS.items() if name in names)
        yield {"number": number, "name": name, "section": section, "file": str(path),
               "status": status, "message": message}


def right(grades):
    """Return the names of the exercises whose grades are right."""
    return [grade["name"] for grade in grades if grade["status"] == "right"]


def update_my_gpt(right):
    """Write my_gpt.py or, if it is there, only its imports of answers."""
    path = Path(MY_GPT)
    before = (path if path.exists() else TEMPLATE).read_text(encoding="utf-8")
    text = before
    for name in NAMES:
        text = re.sub(rf"^from \S+ import {name}$", import_line(name, right), text, flags=re.M)
    if text != before:
        path.write_text(text, encoding="utf-8")
