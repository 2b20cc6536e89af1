"""What the examples have in common: the --quick flag, saying what to expect, saving a picture.

Each example has `main(quick=False, figures=FIGURES)`, which returns the numbers it claims.
"""

import argparse
import inspect
import sys
import textwrap
from pathlib import Path

from npgpt import plots

FIGURES = Path(__file__).parent / "figures"


def run(main):
    """Call an example's main with what the command line says."""
    sys.stdout.reconfigure(encoding="utf-8", errors="replace")  # a Windows console may lack an ä
    parser = argparse.ArgumentParser(
        description=inspect.getmodule(main).__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--quick", action="store_true", help="a few seconds, and cruder results")
    main(quick=parser.parse_args().quick)


def expect(text):
    """Say what comes next and what it should show, before it does."""
    print("\n" + textwrap.fill(" ".join(text.split()), 96, subsequent_indent="    ") + "\n")


def picture(draw, path, *content, **options):
    """Draw with a function of `npgpt.plots`; say where the file is, or what is missing."""
    try:
        print(f"\npicture {draw(path, *content, **options)}")
    except plots.MatplotlibMissing as missing:
        print(f"\nno picture: {missing}")
