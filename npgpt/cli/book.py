"""`npgpt book [MODEL]`: CONCEPTS.md as pages, with a trained GPT in them."""

import os
import sys
from pathlib import Path

from npgpt.book.pages import MARK, make_book, write_book
from npgpt.cli import model_or_default
from npgpt.files import quoted
from npgpt.folders import check_free
from npgpt.look.page import make_page, view_titles
from npgpt.look.subject import open_subject


def add_arguments(parser):
    add = parser.add_argument
    add("run", nargs="?", metavar="MODEL", help="the GPT in the pages, as for npgpt look")
    add("--out", metavar="FOLDER", default="book", help="default: book")


def run(args):
    folder = Path(args.out)
    check_target(folder)
    html, record = make_page(open_subject(model_or_default(args.run)), kind="int8")
    if record["kind"] is None:
        print("note    the model is too large for a page: its views show one text", file=sys.stderr)
    book = make_book(html, view_titles())
    size = write_book(folder, book)
    print(f"{folder}: {len(book)} files, {size / 1e6:.1f} MB; they need no network")
    print(f"  open {quoted(os.path.abspath(folder / 'index.html'))}")


def check_target(folder):
    """Raise ValueError unless `folder` is free or holds a book that was made here before."""
    index = folder / "index.html"
    if not (index.is_file() and MARK in index.read_text(encoding="utf-8", errors="ignore")[:300]):
        check_free(folder, " with --out")
