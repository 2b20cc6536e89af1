"""The table of CLAIMS.md: every claim of an introduction to GPTs, and its measurement.

    python examples/claims.py             write the table from the stored numbers
    python examples/claims.py --measure   run the examples 00 to 07 first, a few minutes;
                                          or only the named ones, as 03 04

Numbers are in examples/claims.json; the studies have files of their own.
"""

import argparse
import importlib
import json
from pathlib import Path

import claim_facts
import numpy as np
from claim_rows import DEFINITION, sections
from example import FIGURES, into_document

from npgpt.files import atomic_write

HERE = Path(__file__).parent
NUMBERS = HERE / "claims.json"
LONGEST = 20  # of a list, more of which only the ends are kept


def measure(names=()):
    """Run the examples of the sections, or those named ("03"), and keep what they return."""
    found = json.loads(NUMBERS.read_text(encoding="utf-8")) if names else {}
    found["facts"] = plain(claim_facts.facts())
    for path in sorted(HERE.glob("0[0-7]_*.py")):
        if not names or path.stem[:2] in names:
            found[path.stem[:2]] = plain(importlib.import_module(path.stem).main())
    atomic_write(NUMBERS, (json.dumps(found, indent=1) + "\n").encode())


def plain(value):
    """JSON of numbers, to six digits. Of a long list the first and the last; no large arrays."""
    if isinstance(value, dict):
        return {_key(key): plain(of) for key, of in value.items() if not _large(of)}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        ends = value if len(value) <= LONGEST else (value[0], value[-1])
        return [plain(of) for of in ends]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _key(key):
    return ", ".join(key) if isinstance(key, tuple) else str(key)


def _large(value):
    return isinstance(value, np.ndarray) and value.size > 100 and value.ndim > 1


def claims():
    """Return section -> its claims, from the numbers that are there."""
    try:
        numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(
            f"{NUMBERS} is missing; run: python examples/claims.py --measure"
        ) from None
    return sections(numbers)


def table(by_section):
    """Return the table in Markdown."""
    defined = [c.verdict == DEFINITION for found in by_section.values() for c in found]
    lines = [f"{defined.count(False)} claims; {sum(defined)} definitions, which could not fail.",
             ""]
    for section, found in by_section.items():
        lines += [f"## {section}", "", "| claim | measured by | result | verdict |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [
            f"| {claim.sentence} | {_link(claim.script)} | {claim.result} | {claim.verdict} |"
            for claim in found
        ]
        lines.append("")
    return "\n".join(lines)


def _link(script):
    picture = FIGURES / f"{script}.png"
    drawn = f", [figure](figures/{script}.png)" if picture.exists() else ""
    return f"[`{script}`]({script}.py){drawn}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", nargs="*", metavar="EXAMPLE", help="run examples first")
    names = parser.parse_args().measure
    if names is not None:
        measure(names)
    into_document(HERE / "CLAIMS.md", "claims", table(claims()))
