"""Shared parts of the examples: the --quick flag, announcements, pictures.

Each example has `main(quick=False, figures=FIGURES)`, which returns the numbers it claims.
"""

import argparse
import inspect
import sys
import textwrap
from pathlib import Path

from npgpt.support import plots
from npgpt.support.progress import announced
from npgpt.support.text import visible

FIGURES = Path(__file__).parent / "figures"


def run(main):
    """Call an example's main with what the command line says."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # a Windows console may lack an ä
    parser = parser_of(inspect.getmodule(main).__doc__, "a few seconds, and cruder results")
    parser.add_argument("--write", action="store_true", help="draw the figure that CONCEPTS.md has")
    args = parser.parse_args()
    with announced(sys.stdout):
        main(quick=args.quick, figures=figures_of(FIGURES, args.write))


def parser_of(doc, quick):
    parser = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help=quick)
    return parser


def figures_of(folder, kept):
    """Return where to draw: beside the figures of CONCEPTS.md, or where git ignores it."""
    return folder if kept else folder / "new"


def expect(text):
    """Say what comes next and what it should show, before it does."""
    print("\n" + textwrap.fill(" ".join(text.split()), 96, subsequent_indent="    ") + "\n")


def picture(draw, path, *content, **options):
    """Call a function that draws; say where the picture is, or what is missing."""
    try:
        print(f"\npicture {draw(path, *content, **options)}")
    except plots.MatplotlibMissing as missing:
        print(f"\nno picture: {missing}")


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
        panel.set_xlabel("probability" if lowest else "", fontsize=8)
    drawing.suptitle(title)
    return plots.save(drawing, path)
