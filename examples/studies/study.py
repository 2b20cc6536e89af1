"""Shared parts of the studies: flags, axes, tables between the marks of a document.

Those that the lessons share, too, are in `example.py`, a folder above.
"""

import re
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))
from example import expect, figures_of, parser_of, picture  # noqa: F401
from snippets import NOTEBOOK, as_notebook

from npgpt.files import atomic_write

FIGURES, LESSONS = Path(__file__).parent / "figures", Path(__file__).parents[1]
CONCEPTS = LESSONS.parent / "CONCEPTS.md"


def run_study(doc, main, write_report, quick, extra=""):
    """Run a study's `main`, or only its report, by the command line.

    quick   what --quick does
    extra   what --all adds; without it, `main` has no argument `extra`
    """
    parser = parser_of(doc, quick)
    parser.add_argument("--report", action="store_true", help="no training: tables and figures")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    parser.add_argument("--all", action="store_true", help=extra or "nothing more in this study")
    args = parser.parse_args()
    if args.report:
        return write_report()
    more = {"extra": args.all} if extra else {}
    return main(args.quick, figures_of(FIGURES, not args.quick), workers=args.workers, **more)


def plain_ticks(axis, ticks):
    """Set few ticks, written as numbers and not as powers of ten."""
    axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axis.set_ticks([], minor=True)


def log_axes(axes, title, xlabel, ylabel, xticks, yticks):
    """Set logarithmic axes with few ticks, their names and a title."""
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel)
    plain_ticks(axes.xaxis, xticks)
    plain_ticks(axes.yaxis, yticks)
    axes.set_title(title, fontsize=10)


def into_document(path, name, text):
    """Put a text between <!-- name --> and <!-- end --> of a document; the notebook follows
    CONCEPTS.md."""
    document = path.read_text(encoding="utf-8")
    marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.S)
    document, found = marks.subn(lambda between: between[1] + text + between[2], document)
    if found != 1:
        raise SystemExit(f"{path.name} has lost a mark: <!-- {name} --> or <!-- end -->; put it "
                         "back")
    atomic_write(path, document.encode())
    if path == CONCEPTS:
        atomic_write(NOTEBOOK, as_notebook(document))


def into_documents(report, tables):
    """Put each table of a study into its report, and its summary into CONCEPTS.md."""
    for name, table in tables.items():
        if name == "summary":
            into_document(CONCEPTS, f"examples/studies/{report.stem}.py", table)
        else:
            into_document(report, name, table)
