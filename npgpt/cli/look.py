"""`npgpt look MODEL`: one HTML file, in which a GPT runs, or the recorded numbers of a large one or
of a Llama."""

import os
from pathlib import Path

from npgpt.cli import model_path
from npgpt.look.packing import STORAGE_FORMATS
from npgpt.look.page import LIVE, check_target, make_page, open_subject
from npgpt.support.card import check_address
from npgpt.support.files import atomic_write, quoted


def add_arguments(parser):
    add = parser.add_argument
    add("model", nargs="?", metavar="MODEL",
        help="a run folder, such as runs/tales, or a folder or a model's name as npgpt generate "
        "takes it, with its default")
    add("--prompt", metavar="TEXT", help="the text that the page opens with; it can be changed")
    add("--out", metavar="FILE.html", help="default: NAME.html here, after the folder")
    add("--weights", choices=STORAGE_FORMATS, default="fp16",
        help="16 or 8 bits each; default fp16. int8 halves the file and rounds more")
    add("--address", metavar="URL",
        help="where the file will be published: Copy link then leads there")


def run(args):
    name = model_path(args.model, "look MODEL --prompt TEXT")
    path = Path(args.out or f"{Path(name).resolve().name}.html")
    check_target(path)
    check_address(args.address)
    subject = open_subject(name)
    html, record = make_page(subject, args.prompt, args.weights, args.address)
    check_target(path)  # it may have been taken since
    atomic_write(path, html)
    print(f"{path}: {len(html.encode()) / 1e6:.2f} MB, open it in a browser; it needs no network")
    count = f"{record['parameters']:,} parameters"
    if record["kind"]:
        print(f"  it holds the model itself, {count} as {record['kind']}, and runs it on any text")
    else:
        print(f"  it holds what the model, with {count}, computes for this prompt alone: a page "
              f"runs GPTs of up to {LIVE:,}")
    print(f"  open {quoted(os.path.abspath(path))}")
