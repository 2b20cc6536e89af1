"""`npgpt exercise [N]`: list the exercises, write a file with a function to complete, or check it.

The reader's code runs in another process, which ends after a time: see `npgpt.exercises.apart`.
"""

import os
import textwrap
from pathlib import Path

from npgpt.cli import print_json
from npgpt.exercises import EASY, HARD, NAMES, SECTIONS, function_of, load, track
from npgpt.exercises.sheet import BLANK, file_of, sheet, solution
from npgpt.support.files import quoted, read_text


def add_arguments(parser):
    add = parser.add_argument
    add("number", nargs="?", type=number_or_name, metavar="N",
        help="its number, or its function's name; without it, all are listed")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--hint", nargs="?", type=int, const=1, metavar="K",
                      help="show one hint; --hint 2 and --hint 3 show more")
    what.add_argument("--solution", action="store_true", help="print the solution")
    what.add_argument("--json", action="store_true",
                      help="one JSON object: folder; right, of (numbers); exercises, a list of "
                           "number, name, section, file, status, message for all or for N; a "
                           f"status is {', '.join(track.STATUSES)}")
    add("--out", metavar="FILE.py", help="the file; default: exercise_N_NAME.py")


def number_or_name(word):
    return NAMES.index(word) + 1 if word in NAMES else int(word)


def run(args):
    if args.number is None:
        return print_grades(track.files()) if args.json else print_list()
    exercise = load(args.number)
    path = Path(args.out or file_of(function_of(exercise).__name__))
    if args.json:
        print_grades([(args.number, path)])
    elif args.solution:
        print(solution(exercise), end="")
    elif args.hint is not None:
        print_hints(exercise, args.hint, args.number)
    else:
        command = f"npgpt exercise {args.number}" + (f" --out {quoted(path)}" if args.out else "")
        if os.path.lexists(path):
            return check(args.number, path, command)
        begin(exercise, path, command)


def print_grades(files):
    grades = sorted(track.grades(files), key=lambda grade: grade["number"])
    print_json({"folder": str(Path.cwd()), "exercises": grades, "right": len(track.right(grades)),
                "of": len(grades)})


def print_list():
    grades = list(track.grades(track.files()))
    right = track.right(grades)
    for section, names in SECTIONS.items():
        print(section)
        for name in names:
            number, stars = NAMES.index(name) + 1, 1 + (name not in EASY) + (name in HARD)
            print(f"{'right' if name in right else '':<6}{number:>2}  {name:<18}{'*' * stars:<4}"
                  f"{load(number).__doc__.splitlines()[0]}")
    print("\nnpgpt exercise N writes a file to fill in; the same again checks it, --hint helps.\n"
          f"Right answers become parts of {track.MY_GPT}, a GPT that trains. *** are the hardest.")
    print_tally(grades)


def print_tally(grades):
    """Print how many answers are right."""
    right = track.right(grades)
    parts, left = track.parts(), [name for name in NAMES if name not in right]
    print(f"{sum(part in right for part in parts)} of {len(parts)} functions of {track.MY_GPT} are "
          f"yours. {len(right)} of {len(NAMES)} exercises are right; ", end="")
    if left:
        print(f"next: npgpt exercise {NAMES.index(left[0]) + 1}  ({left[0]})")
    else:
        print(f"now train what you wrote: python {track.MY_GPT}")


def print_hints(exercise, count, number):
    hints = exercise.HINTS.strip().splitlines()
    for i, hint in enumerate(hints[:count], 1):
        print(f"{i}  {hint}")
    more = "solution" if count >= len(hints) else f"hint {count + 1}"
    print(f"\nmore: npgpt exercise {number} --{more}")


def begin(exercise, path, command):
    helpers = [helper.__name__ for helper in getattr(exercise, "HELPERS", ())]
    right = track.right(track.grades(track.files(helpers))) if path.parent == Path() else ()
    text = sheet(exercise, command, right)
    with open(path, "x", encoding="utf-8") as file:  # x: overwrites nothing
        file.write(text)
    print(exercise.TASK.strip())
    print(f"\n{path} has the function to write. Check it with: {command}")


def check(number, path, command):
    """Print the verdict on a file, then the count of all; return the exit status."""
    if BLANK.strip() in read_text(path):
        print(f"{path} still has its blank. Write the function, then check it with: {command}")
        return 1
    others = [pair for pair in track.files() if pair[1] != path]
    grades = track.grades([(number, path), *others], loud=True)
    grade = next(grades)
    if grade["status"] != "right":
        cause, *rest = grade["message"].split("\n")
        message = "\n".join([textwrap.fill(cause, 80), *rest])
        print(f"{path} is not right yet.\n\n{message}\n\na hint: {command} --hint", flush=True)
        if os.path.exists(track.MY_GPT):
            track.update_my_gpt(track.right(grades))
        return 1
    print(f"{path} is right. The same in this program: {load(number).WHERE}", flush=True)
    if (number, path) in track.files():
        grades = [grade, *grades]
        track.update_my_gpt(track.right(grades))
    print_tally(list(grades))
