"""Measure, print each table when it is ready, and write RESULTS.md.

    python -m benchmarks [PART ...] [--quick] [--threads N] [--json] [--out FILE]
    python -m benchmarks real_model TEXT     on a text of yours: prints, and writes no file

Without a PART all of them run, for some 30 minutes. Every library has a process of its
own (`benchmarks.runners`). Only the measured sections are replaced, and the summary of a training
step in README.md here. --quick checks that everything runs: its numbers mean little, and it writes
no file unless --out names one.
"""

import argparse
import importlib
import json
import sys
from dataclasses import asdict
from pathlib import Path

from benchmarks.code import measured_of
from benchmarks.report import HEADLINE, section, with_headline, with_section
from benchmarks.runners import DEFAULT_THREADS, NUMPY, Runner

PARTS = {
    "kernels": "products, attention, norms, activations, loss, optimizer",
    "train_step": "whole training steps, and the share of the processor's peak",
    "bfloat16": "products of operands rounded to bfloat16, and training steps with them",
    "generation": "tokens a second, beside the limit of memory and other libraries",
    "real_model": "a published model, beside PyTorch's numbers and llama.cpp's speed",
}
RESULTS = Path(__file__).parent / "RESULTS.md"
README = Path(__file__).with_name("README.md")


def main(argv=None):
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may otherwise lack a character
            stream.reconfigure(encoding="utf-8", errors="replace")
    args = _arguments(argv)
    out = args.out or (None if args.quick or args.text else RESULTS)
    found = {}
    for part in args.parts or PARTS:
        found[part] = _run(part, args)
        if out:
            before = out.read_text(encoding="utf-8") if out.exists() else ""
            document = with_section(before, part, section(part, *found[part]), PARTS)
            out.write_text(document, encoding="utf-8")
        if out == RESULTS and part == HEADLINE:
            readme = with_headline(README.read_text(encoding="utf-8"), *found[part])
            README.write_text(readme, encoding="utf-8")
    if args.json:
        print(json.dumps({
            part: {"machine": machine, "tables": [asdict(table) for table in tables]}
            for part, (machine, tables) in found.items()
        }))
    elif out:
        print(f"written to {out}")


def _arguments(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="; ".join(f"{k}: {v}" for k, v in PARTS.items())
    )
    parser.add_argument("--quick", action="store_true", help="a short run, to see that it works")
    parser.add_argument("--json", action="store_true", help="print one JSON object, no tables")
    parser.add_argument(
        "--threads", type=int, default=DEFAULT_THREADS, metavar="N",
        help="threads of every library; default %(default)s",
    )
    parser.add_argument("--out", type=Path, metavar="FILE", help="default benchmarks/RESULTS.md")
    args = parser.parse_args(argv)
    args.text = _text(args.parts)
    if args.text and not args.text.is_file():
        parser.error(f"{args.text} is no part and no file; the parts are {', '.join(PARTS)}")
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    if args.threads < 1:
        parser.error(f"--threads {args.threads}: give 1 or more")
    return args


def _text(parts):
    """Take the word after real_model out of the list, if it is no part; return its path."""
    after = parts.index("real_model") + 1 if "real_model" in parts else len(parts)
    return Path(parts.pop(after)) if parts[after:] and parts[after] not in PARTS else None


def _run(part, args):
    """Print a part's tables as its module yields them; return (machine, tables)."""
    with Runner(NUMPY, args.threads) as runner:
        machine = f"{runner.call('benchmarks.machine:measured_on')}; {measured_of(part)}"
    _say(args, f"## {part}\n\n{machine}\n")
    tables = []
    more = {"text": args.text} if part == "real_model" and args.text else {}
    module = importlib.import_module(f"benchmarks.{part}")
    for table in module.tables(args.threads, args.quick, **more):
        tables.append(table)
        _say(args, table.markdown())
    return machine, tables


def _say(args, text):
    print(text, file=sys.stderr if args.json else sys.stdout, flush=True)


if __name__ == "__main__":
    main()
