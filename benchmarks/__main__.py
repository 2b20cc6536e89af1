"""Measure, print each table when it is ready, and write RESULTS.md.

    python -m benchmarks [PART ...] [--short] [--threads N] [--json]
    python -m benchmarks real_model TEXT     on a text of yours: prints, and writes no file

Without a PART all run that train no model to its end. A peer that is not installed is named and
left out. What was measured replaces the same processor's column of a section in RESULTS.md, and
what the README.md files show of it. --short takes the smallest model, six rounds, and writes no
file: within ten minutes.
"""

import argparse
import importlib
import json
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks import PARTS, TRAINED, machine, report
from benchmarks.runners import DEFAULT_THREADS, NUMPY, ROOT, Runner, absent


def main(argv=None):
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may otherwise lack a character
            stream.reconfigure(encoding="utf-8", errors="replace")
    args = arguments(argv)
    modules = {part: importlib.import_module(f"benchmarks.{part}") for part in args.parts}
    peers = dict.fromkeys(name for module in modules.values() for name in module.PEERS)
    for line in absent(peers):
        say(args, line)
    found = []
    for part, module in modules.items():
        try:
            found.append(measured(part, module, args))
        except (FileNotFoundError, subprocess.CalledProcessError) as error:
            # the model, the text or the MPI that it needs
            say(args, f"not measured: {part}; {error}")
            continue
        if not (args.short or args.text):
            report.store(found[-1])
    if args.json:
        print(json.dumps(found, ensure_ascii=False))


def arguments(argv):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "parts", nargs="*", metavar="PART", help="; ".join(f"{k}: {v}" for k, v in PARTS.items())
    )
    parser.add_argument("--short", action="store_true", help="six rounds of the smallest model")
    parser.add_argument("--json", action="store_true", help="print one JSON list, no tables")
    parser.add_argument(
        "--threads", type=int, default=DEFAULT_THREADS, metavar="N",
        help="threads of every library; default %(default)s",
    )
    args = parser.parse_args(argv)
    args.text = None
    if args.parts[:1] == ["real_model"] and len(args.parts) == 2 and args.parts[1] not in PARTS:
        args.text = Path(args.parts.pop())
        if not args.text.is_file():
            parser.error(f"there is no file {args.text}, and no such part")
    if unknown := [part for part in args.parts if part not in PARTS]:
        parser.error(f"unknown: {', '.join(unknown)}; the parts are {', '.join(PARTS)}")
    if args.threads < 1:
        parser.error(f"--threads {args.threads}: give 1 or more")
    args.parts = args.parts or [part for part in PARTS if part not in TRAINED]
    return args


def measured(part, module, args):
    """Return the record of a part, `benchmarks.report`; print its tables as they come."""
    say(args, f"\n## {part}\n")
    more, tables = {"text": args.text} if args.text else {}, {}
    for title, rows in module.tables(args.threads, args.short, **more):
        tables[title] = rows
        say(args, report.table(title, {"": rows}) + "\n")
    with Runner(NUMPY, args.threads) as runner:
        where = runner.call("benchmarks.machine:described", threads=args.threads)
    git = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                         capture_output=True, check=False)
    return {
        "part": part, "processor": machine.processor(), "machine": where,
        "date": date.today().isoformat(), "commit": git.stdout.strip() or "unknown",
        "code": report.digest(module.CODE), "tables": tables,
    }


def say(args, text):
    print(text, file=sys.stderr if args.json else sys.stdout, flush=True)


if __name__ == "__main__":
    main()
