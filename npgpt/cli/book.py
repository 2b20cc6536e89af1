"""`npgpt book [MODEL]`: CONCEPTS.md as pages, with a trained GPT in them."""

import os
import sys
from contextlib import suppress
from pathlib import Path

from npgpt.book.pages import CARD, MARK, MODEL, OUT, ROOT, check_clone, write_book
from npgpt.book.real import ANIMAL, FRAME, NAME, chapter
from npgpt.loading import template_of
from npgpt.loading.transformers_folder import local_folder
from npgpt.look.page import make_page, open_subject, view_titles
from npgpt.support.card import check_address
from npgpt.support.files import quoted
from npgpt.support.folders import check_free


def add_arguments(parser):
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL", help="the GPT in the pages; default: examples/stories")
    add("--out", metavar="FOLDER", default="book", help="default: book")
    add("--address", metavar="URL", help="where the folder will be published: for links and cards")


def run(args):
    folder = Path(args.out)
    check_free(folder, OUT, MARK.encode())
    check_address(args.address)
    address = args.address and args.address.rstrip("/") + "/"
    check_clone()
    model = args.model or str(ROOT / "examples" / "stories")
    html, record = make_page(open_subject(model), kind="int8",
                             address=address and address + MODEL, picture=CARD)
    if record["kind"] is None:
        print("note    the model does not run in a page: its views show one text", file=sys.stderr)
    pages, real, template = {MODEL: html}, None, None
    with suppress(FileNotFoundError):  # without its package the book has no chapter on it
        template = template_of(local_folder(NAME))
    if template:
        subject = open_subject(NAME)
        pages[FRAME], _ = make_page(subject, ANIMAL, address=address and address + FRAME,
                                    picture=CARD)
        text, state = chapter(subject.model, subject.tokenizer, template)
        real = text, FRAME, state
    count, size = write_book(folder, view_titles(), pages, address, real, warning=sys.stderr)
    print(f"{folder}: {count} files, {size / 1e6:.1f} MB; they need no network")
    print(f"  open {quoted(os.path.abspath(folder / 'index.html'))}")
