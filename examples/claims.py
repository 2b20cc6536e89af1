"""Measure the numbers that CLAIMS.md quotes of the examples 00 to 07, into claims.json.

    python examples/claims.py         all of them, a few minutes
    python examples/claims.py 03 04   only the named ones

CLAIMS.md is written by hand; a test looks up its numbers here, and those of the studies in theirs.
"""

import importlib
import json
import sys
from pathlib import Path

import claim_facts
import numpy as np

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


if __name__ == "__main__":
    measure(sys.argv[1:])
