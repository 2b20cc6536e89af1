"""The table at the end of CONCEPTS.md: every claim of the concepts document, and what was found.

    python examples/claims.py             write the table from the numbers that are there
    python examples/claims.py --measure   run the examples 00 to 07 first, a few minutes

Numbers are kept in examples/claims.json; those of the studies, in the files of these.
"""

import argparse
import importlib
import json
import re
from pathlib import Path

import claim_facts
import numpy as np
from claim_rows import SECTIONS
from example import FIGURES

from npgpt.files import atomic_write

HERE = Path(__file__).parent
NUMBERS, FAMILIES = HERE / "claims.json", HERE / "10_families.json"
CONCEPTS, BEGINS = HERE.parent / "CONCEPTS.md", "<!-- examples/claims.py -->"
MARKS = re.compile(rf"({BEGINS}\n).*?(<!-- end -->)", re.S)
LONGEST = 20  # of a list, more of which only the ends are kept


def measure():
    """Run the examples of the sections, and keep what they return."""
    found = {"facts": claim_facts.facts()}
    for path in sorted(HERE.glob("0[0-7]_*.py")):
        found[path.stem[:2]] = importlib.import_module(path.stem).main()
    atomic_write(NUMBERS, (json.dumps(plain(found), indent=1) + "\n").encode())


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
    """Section -> its claims, from the numbers that are there."""
    try:
        numbers = json.loads(NUMBERS.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SystemExit(f"{NUMBERS} is missing; run: python examples/claims.py --measure") from None
    numbers["10"] = json.loads(FAMILIES.read_text(encoding="utf-8"))
    return {section: of(numbers) for section, of in SECTIONS.items()}


def table(by_section):
    """Markdown."""
    counts = [claim.verdict for found in by_section.values() for claim in found]
    counted = ", ".join(f"{counts.count(verdict)} {verdict}" for verdict in dict.fromkeys(counts))
    lines = [f"{len(counts)} claims: {counted}.", ""]
    for section, found in by_section.items():
        lines += [f"**{section}**", "", "| claim | measured by | result | verdict |"]
        lines += ["| --- | --- | --- | --- |"]
        lines += [
            f"| {claim.sentence} | {_link(claim.script)} | {claim.result} | {claim.verdict} |"
            for claim in found
        ]
        lines.append("")
    return "\n".join(lines)


def _link(script):
    picture = FIGURES / f"{script}.png"
    drawn = f", [figure](examples/figures/{script}.png)" if picture.exists() else ""
    return f"[`{script}`](examples/{script}.py){drawn}"


def write():
    """Put the table into CONCEPTS.md. Raises SystemExit if its marks are not there."""
    text, found = MARKS.subn(
        lambda marks: marks[1] + table(claims()) + marks[2], CONCEPTS.read_text(encoding="utf-8")
    )
    if found != 1:
        raise SystemExit(f"CONCEPTS.md has lost a mark: {BEGINS} or <!-- end -->; put it back")
    atomic_write(CONCEPTS, text.encode())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", action="store_true", help="run the examples first")
    if parser.parse_args().measure:
        measure()
    write()
