"""`npgpt book [MODEL]`: CONCEPTS.md as pages, with a trained GPT in them."""

import os
import sys
from pathlib import Path

from npgpt.book.pages import CARD, MARK, MODEL, OUT, Book, write_book
from npgpt.book.real import ANIMAL, FRAME, NAME, chapter
from npgpt.card import check_address
from npgpt.cli import model_path
from npgpt.files import quoted
from npgpt.folders import check_free
from npgpt.loading import template_of
from npgpt.loading.transformers_folder import local_folder
from npgpt.look.page import make_page, open_subject, view_titles


def add_arguments(parser):
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="the GPT in the pages, as for npgpt look")
    add("--out", metavar="FOLDER", default="book", help="default: book")
    add("--address", metavar="URL", help="where the folder will be published: for links and cards")


def run(args):
    folder = Path(args.out)
    check_free(folder, OUT, MARK.encode())
    check_address(args.address)
    address = args.address and args.address.rstrip("/") + "/"
    # First, as it needs a clone and the extra.
    book = Book(view_titles(), address=address, real=lambda: _real(address)).files
    html, record = make_page(open_subject(model_path(args.model, "book MODEL")), kind="int8",
                             address=address and address + MODEL, picture=CARD)
    if record["kind"] is None:
        print("note    the model does not run in a page: its views show one text", file=sys.stderr)
    size = write_book(folder, book | {MODEL: html})
    print(f"{folder}: {len(book) + 1} files, {size / 1e6:.1f} MB; they need no network")
    print(f"  open {quoted(os.path.abspath(folder / 'index.html'))}")


def _real(address):
    """Return (Markdown, state of its views, HTML of their page); None without the package."""
    try:
        template = template_of(local_folder(NAME))
    except FileNotFoundError:
        return None
    subject = open_subject(NAME)
    html, _ = make_page(subject, ANIMAL, address=address and address + FRAME, picture=CARD)
    return *chapter(subject.model, subject.tokenizer, template), html
