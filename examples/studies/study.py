"""What the studies share: the command line, reports that are filled from rows, tables.

A study is a module that has

    trials(results)     the settings of its trainings, as far as the results so far tell them
    measure(settings)   -> result
    numbers(results)    name -> what its report quotes: a number, a table, or a dict of these
    draw(path, results) draws its figure, figures/NAME.png; some have none
    TINY                settings that make a training tiny, for --quick

`templates/NAME.md` is its report with {name} where a number stands, as `str.format` has it.
"""

import importlib
import re
import tempfile
import textwrap
from difflib import unified_diff
from pathlib import Path

from example import parser_of, picture
from laboratory import key, results_of, run
from snippets import DOCUMENT, NOTEBOOK, as_notebook

HERE = Path(__file__).parent
NAMES = (*sorted(path.stem for path in HERE.glob("[01]?_*.py")), "again", "teach", "claims")


def main(doc):
    parser = parser_of(doc, "tiny models, a minute")
    parser.add_argument("names", nargs="*", help="of studies")
    parser.add_argument("--report", action="store_true", help="train nothing")
    parser.add_argument("--check", action="store_true", help="compare reports and rows")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    args = parser.parse_args()
    for name in args.names or NAMES:
        print(name, flush=True)
        study = importlib.import_module(name)
        if args.quick:
            print(quick(study))
        elif args.check:
            check(study)
        else:
            if not args.report:
                train(study, args.workers)
            write(outputs(study))
            if hasattr(study, "draw"):
                picture(study.draw, HERE / "figures" / f"{name}.png", results(study))


def results(study):
    return results_of(rows_of(study))


def rows_of(study):
    return HERE / f"{study.__name__}.jsonl"


def missing(study):
    """Return the trials that have no row, as far as the results so far tell them."""
    found = results(study)
    return [trial for trial in study.trials(found) if key(trial) not in found]


def train(study, workers=None):
    while waiting := missing(study):
        run(waiting, study.measure, rows_of(study), workers)


def quick(study):
    """Return the result of the first trial, made tiny."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "quick.jsonl"
        run([study.trials({})[0] | study.TINY], study.measure, path, workers=0)
        return results_of(path)


def check(study):
    """Raise SystemExit if a trial has no row, or a document is not what the rows make it."""
    if waiting := missing(study):
        raise SystemExit(f"{len(waiting)} trainings have no row, such as {waiting[0]}")
    for path, text in outputs(study).items():
        there = path.read_text(encoding="utf-8").splitlines()
        if changes := [*unified_diff(there, text.splitlines(), path.name, "by the rows", n=0)]:
            raise SystemExit("\n".join(changes) + "\nrun python -m examples.studies "
                             f"{study.__name__} --report")


# ---- documents


def outputs(study):
    """Return path -> text of the documents that a study writes, as they should be."""
    found = study.numbers(results(study))
    template = (HERE / "templates" / f"{study.__name__}.md").read_text(encoding="utf-8")
    name = getattr(study, "REPORT", f"{study.__name__}.md")
    texts = {HERE / name: wrapped(template.format_map(found))}
    if "summary" in found:
        path = getattr(study, "SUMMARY", DOCUMENT)
        there = path.read_text(encoding="utf-8")
        texts[path] = between_marks(there, study.__name__, found["summary"])
    return texts


def wrapped(text):
    """Return a document whose paragraphs and items of lists are filled anew."""
    blocks = re.split(r"\n(?=\n|- )", text)
    return "\n".join(
        block if re.match(r"\n?([|#!<]|    |$)", block) else block[: block[:1] == "\n"]
        + textwrap.fill(" ".join(block.split()), 100, break_on_hyphens=False,
                        break_long_words=False, subsequent_indent="  " * (block[:1] == "-"))
        for block in blocks).rstrip() + "\n"


def between_marks(document, name, text):
    """Return a document with a text between <!-- examples/studies/NAME.py --> and <!-- end -->."""
    marks = re.compile(rf"(<!-- examples/studies/{name}.py -->\n).*?(<!-- end -->)", re.S)
    document, found = marks.subn(lambda match: match[1] + text + match[2], document)
    if found != 1:
        raise SystemExit(f"a document has lost the mark of {name}.py, or its end: put it back")
    return document


def write(texts):
    """Write documents; the notebook follows CONCEPTS.md."""
    if DOCUMENT in texts:
        texts = texts | {NOTEBOOK: as_notebook(texts[DOCUMENT])}
    for path, text in texts.items():
        path.write_text(text, encoding="utf-8", newline="\n")


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(format, line))} |" for line in lines) + "\n"


def flops_text(C):
    """Return FLOPs as text.

    >>> flops_text(1.6e12)
    '1.6e12'
    """
    return f"{C:.2g}".replace("e+", "e")


def plain_ticks(axis, ticks):
    """Set few ticks, written as numbers and not as powers of ten."""
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)
