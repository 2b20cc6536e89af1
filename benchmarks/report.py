"""What was measured, and the documents that show it.

    python -m benchmarks.report     writes them again: RESULTS.md, README.md here, and a sentence
                                    of the README.md above

A line of results.jsonl is what a part of `benchmarks` measured on one processor: its machine, date,
commit, a digest of the code that was timed, and tables {title: {row: cell}}. A cell is text, or
[median, low, high] of a ratio. `since` is what is known of later code.
"""

import ast
import hashlib
import importlib
import json
import re
import textwrap
from pathlib import Path

from benchmarks import PARTS
from benchmarks.measure import shown
from benchmarks.runners import ROOT, TORCH, TORCH_BF16
from benchmarks.train_step import FLOAT32

HERE = Path(__file__).parent
STORED, RESULTS = HERE / "results.jsonl", HERE / "RESULTS.md"
HEAD = """# Results

Written by `python -m benchmarks`; `python -m benchmarks PART` measures one section again.
`benchmarks/measure.py` says how times are compared. Beside a ratio stands the 95 % interval of its
median; in rows of 2026-11, some by older code, the smallest and the largest of 5 to 15 rounds.
Below 1 the other is ahead. On a shared machine another day's ratios may differ by more.
"""
MARKED = re.compile(r"(<!-- benchmarks (\w+) -->\n).*?(<!-- end -->)", re.S)
SENTENCE = re.compile(r"- \*\*Speed\.\*\*.*?(?=\n\n|\n- )", re.S)


def results():
    return [json.loads(line) for line in STORED.read_text(encoding="utf-8").splitlines()]


def store(found):
    """Put a record in the place of the one of its part and processor; write the documents."""
    kept = [old for old in results()
            if (old["part"], old["processor"]) != (found["part"], found["processor"])]
    lines = [json.dumps(record, ensure_ascii=False) + "\n" for record in (*kept, found)]
    STORED.write_text("".join(lines), encoding="utf-8")
    write_documents()


def write_documents():
    for path, text in documents(results()).items():
        path.write_text(text, encoding="utf-8")


def documents(found):
    """Return {path: text} of the documents, with what they show of the records."""
    sections = {part: section(part, [r for r in found if r["part"] == part])
                for part in PARTS if any(r["part"] == part for r in found)}
    here, above = HERE / "README.md", ROOT / "README.md"
    return {
        RESULTS: "\n".join([HEAD, *(f"## {part}\n\n{text}" for part, text in sections.items())]),
        here: MARKED.sub(lambda m: m[1] + sections[m[2]] + m[3], here.read_text(encoding="utf-8")),
        above: SENTENCE.sub(lambda _: sentence(found), above.read_text(encoding="utf-8")),
    }


def section(part, records):
    """Return the Markdown of a part: what it is, where it was measured, a column a processor."""
    module = importlib.import_module(f"benchmarks.{part}")
    lines = [module.__doc__.split("\n\n")[0].strip(), ""]
    for r in records:
        older = "" if r["code"] == digest(module.CODE) else ", older than this code"
        lines.append(f"- {r['processor']}: {r['machine']}; {r['date']}, commit {r['commit']}, code "
                     f"{r['code']}{older}{r.get('since', '')}")
    for title in dict.fromkeys(title for r in records for title in r["tables"]):
        columns = {r["processor"]: r["tables"][title] for r in records if title in r["tables"]}
        lines += ["", table(title, columns)]
    return "\n".join(lines) + "\n"


def table(title, columns):
    """Return a Markdown table; columns: {name: {row: cell}}."""
    names = dict.fromkeys(name for rows in columns.values() for name in rows)
    rows = [[name, *(shown(rows.get(name, "")) for rows in columns.values())] for name in names]
    lines = [["", *columns], ["---"] * (1 + len(columns)), *rows]
    return f"### {title}\n\n" + "\n".join("| " + " | ".join(line) + " |" for line in lines)


def sentence(found):
    """Return what README.md says of speed."""
    steps = [r for r in found if r["part"] == "train_step"]
    beside = {r["processor"]: _range([r], TORCH) for r in steps}
    told = " and ".join(f"{least:.2f} to {most:.2f} times as long as npgpt on an {where}"
                        f"{' (about as fast)' if least <= 1 <= most else ''}"
                        for where, (least, most, *_) in beside.items())
    least, most, *_ = _range(steps, TORCH_BF16)
    code = digest(importlib.import_module("benchmarks.train_step").CODE)
    older = any(r["code"] != code for r in steps)
    text = (f"- **Speed.** For a training step in float32, tuned PyTorch takes {told}. With "
            f"bfloat16, PyTorch takes {least:.2f} to {most:.2f} times as long as npgpt does with "
            "float32. [Benchmarks](benchmarks/README.md) has the spread of each number"
            f"{'; all were measured with earlier kernels of npgpt' if older else ''}.")
    return textwrap.fill(text, 100, subsequent_indent="  ", break_on_hyphens=False)


def _range(records, peer):
    """Return the least and the largest ratio to a peer, and the ends of all intervals."""
    cells = [cell for r in records for row, cell in r["tables"][FLOAT32].items()
             if row.endswith(f": {peer}")]
    middle, low, high = zip(*cells, strict=True)
    return min(middle), max(middle), min(low), max(high)


def digest(paths):
    """Return six hexadecimal digits of the code in files and folders.

    Docstrings, comments, imports, names of files and the order of their statements do not count:
    code that only moves is the code that was measured.
    """
    files = [file for path in paths for file in sorted((ROOT / path).rglob("*.py"))
             or [ROOT / path]]
    found = [statement for file in files
             for statement in statements(file.read_text(encoding="utf-8"))]
    return hashlib.sha256("\0".join(sorted(found)).encode()).hexdigest()[:6]


def statements(source):
    """Return the statements of a module as text, without imports, docstrings and comments."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [one for one in body if not isinstance(one, (ast.Import, ast.ImportFrom))
                         and not (isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant))
                         ] or [ast.Pass()]
    return [ast.unparse(one) for one in tree.body]


if __name__ == "__main__":
    write_documents()
