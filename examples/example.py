"""Shared parts of the examples: the --quick flag, announcements, pictures.

Each example has `main(quick=False, figures=FIGURES)`, which returns the numbers it claims.
"""

import argparse
import inspect
import re
import sys
import textwrap
from pathlib import Path

from snippets import NOTEBOOK, as_notebook

from npgpt import plots
from npgpt.files import atomic_write
from npgpt.run.compiling import announced
from npgpt.text import visible

FIGURES = Path(__file__).parent / "figures"
CONCEPTS = Path(__file__).parents[1] / "CONCEPTS.md"


def run(main):
    """Call an example's main with what the command line says."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # a Windows console may lack an ä
    parser = _parser(inspect.getmodule(main).__doc__, "a few seconds, and cruder results")
    parser.add_argument("--write", action="store_true", help="draw the figure that CONCEPTS.md has")
    args = parser.parse_args()
    with announced(sys.stdout):
        main(quick=args.quick, figures=figures_of(args.write))


def _parser(doc, quick):
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def run_study(doc, main, write_report, quick, extra=""):
    """Run a study's `main`, or only its report, by the command line.

    quick   what --quick does
    extra   what --all adds; without it, `main` has no argument `extra`
    """
    parser = _parser(doc, quick)
    parser.add_argument("--report", action="store_true", help="no training: tables and figures")
    parser.add_argument("--workers", type=int, help="trainings at a time; else one for each core")
    parser.add_argument("--all", action="store_true", help=extra or "nothing more in this study")
    args = parser.parse_args()
    if args.report:
        return write_report()
    more = {"extra": args.all} if extra else {}
    return main(args.quick, figures_of(not args.quick), workers=args.workers, **more)


def figures_of(kept):
    """Return where to draw: beside the figures of CONCEPTS.md, or where git ignores it."""
    return FIGURES if kept else FIGURES / "new"


def expect(text):
    """Say what comes next and what it should show, before it does."""
    print("\n" + textwrap.fill(" ".join(text.split()), 96, subsequent_indent="    ") + "\n")


def picture(draw, path, *content, **options):
    """Call a function that draws; say where the picture is, or what is missing."""
    try:
        print(f"\npicture {draw(path, *content, **options)}")
    except plots.MatplotlibMissing as missing:
        print(f"\nno picture: {missing}")


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
            into_document(CONCEPTS, f"examples/{report.stem}.py", table)
        else:
            into_document(report, name, table)


def draw_bars(path, panels, title):
    """Draw probabilities of tokens as bars, one panel each.    panels: name -> (labels, values)"""
    longest = max(len(labels) for labels, _ in panels.values())
    rows = -(-len(panels) // 4)
    columns = -(-len(panels) // rows)
    drawing, axes = plots.figure(
        2.4 * columns + 0.6, (0.22 * longest + 0.9) * rows + 0.3, rows, columns, squeeze=False,
        sharex=True,
    )
    for panel in axes.flat[len(panels) :]:
        panel.axis("off")
    for i, (name, (labels, values)) in enumerate(panels.items()):
        panel = axes.flat[i]
        panel.barh([visible(label) for label in labels], values, color=plots.COLOURS[0])
        panel.invert_yaxis()
        panel.set_title(name, fontsize=9)
        lowest = i + columns >= len(panels)  # of its column: numbers and their name stand there
        panel.tick_params(labelsize=8, labelbottom=lowest)
        panel.set_xlabel("probability" * lowest, fontsize=8)
    drawing.suptitle(title)
    return plots.save(drawing, path)
