"""Print the size of each folder beside its ceiling; fail above one.

Python, JavaScript and CSS are counted in tokens: names, operators, literals. Comments, docstrings,
blank lines and indentation do not count, so joining lines saves nothing. Words in string literals
and the bytes of all other files are counted, too. A ceiling is raised on purpose, in a commit that
says what it buys. `python .ci/size.py --write` sets all of them to what is there. Ceilings are of
Python 3.11: from 3.12 on an f-string is several tokens.
"""

import ast
import io
import json
import re
import subprocess
import sys
import tokenize
from collections import defaultdict
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]
CEILINGS = Path(__file__).with_name("size.json")  # folder -> [tokens, words, bytes of other files]
FOLDERS = ("autograd", "npgpt", "tests", "examples", "benchmarks")
COUNTED = {tokenize.NAME, tokenize.OP, tokenize.NUMBER, tokenize.STRING}
UNIT = ("tokens", "words in strings", "bytes of other files")


def python(text):
    """Return (tokens, words in string literals) of a Python file, without its docstrings."""
    docstrings = set()
    for node in ast.walk(ast.parse(text)):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
            docstrings.add((first.lineno, first.col_offset))
    found = [
        token for token in tokenize.generate_tokens(io.StringIO(text).readline)
        if token.type in COUNTED and token.start not in docstrings
    ]
    strings = (token.string for token in found if token.type == tokenize.STRING)
    return len(found), sum(len(re.findall(r"\w+", string)) for string in strings)


def script(text):
    """Return (tokens, 0) of a JavaScript or CSS file, without its comments."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/", "", text, flags=re.S)
    return len(re.findall(r"\w+|[^\w\s]", code)), 0


def measured():
    """Return {folder or folder/room: [tokens, words, bytes of others]} of the tracked files."""
    files = subprocess.run(["git", "ls-files", "-z", *FOLDERS], cwd=ROOT, check=True,
                           capture_output=True, text=True).stdout
    sizes = defaultdict(lambda: [0, 0, 0])
    for name in filter(None, files.split("\0")):
        path = PurePosixPath(name)
        if not (ROOT / path).is_file():
            continue
        room = "/".join(path.parts[:2]) if len(path.parts) > 2 else path.parts[0] + "/."
        count = {".py": python, ".js": script, ".css": script}.get(path.suffix)
        if count:
            tokens, words, others = *count((ROOT / path).read_text(encoding="utf-8")), 0
        else:
            tokens, words, others = 0, 0, (ROOT / path).stat().st_size
        for folder in (path.parts[0], room):
            for i, number in enumerate((tokens, words, others)):
                sizes[folder][i] += number
    return dict(sorted(sizes.items()))


def main():
    sizes = measured()
    if "--write" in sys.argv:
        lines = (f"{json.dumps(folder)}: {size}" for folder, size in sizes.items())
        CEILINGS.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    ceilings, above = json.loads(CEILINGS.read_text(encoding="utf-8")), []
    print(f"{'':24}" + "".join(f"{unit:>32}" for unit in UNIT))
    for folder, size in sizes.items():
        ceiling = ceilings.get(folder, [0, 0, 0])
        print(f"{folder:24}" + "".join(
            f"{f'{here:,} of {most:,}':>32}" for here, most in zip(size, ceiling, strict=True)))
        above += [f"{folder}: {here:,} {unit}, at most {most:,}" for here, most, unit
                  in zip(size, ceiling, UNIT, strict=True) if here > most]
    return "\n".join(above) or None  # sys.exit("") is a failure


if __name__ == "__main__":
    sys.exit(main())
