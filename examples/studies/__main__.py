"""The studies behind the claims of CONCEPTS.md, one after another.

    python -m examples.studies            the trainings whose numbers are missing, with few seeds
    python -m examples.studies --all      with all seeds
    python -m examples.studies --report   no training: tables, figures and text from the numbers
    python -m examples.studies --quick    tiny models: checks that all of it runs

Each study trains what its file of numbers lacks, so that one that was stopped goes on, and writes
its tables, its figures and its part of CONCEPTS.md. The studies are scripts, and run as such.
`again.py` trains once more what CONCEPTS.md quotes.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

STUDIES = sorted(path for path in Path(__file__).parent.glob("[01]?_*.py") if path.stem >= "08")


def commands(flags):
    """Return the command of each study."""
    return [[sys.executable, str(path), *flags] for path in STUDIES]


def main(flags):
    if {"-h", "--help"} & {*flags}:
        print(__doc__)
        return
    if not all(map(importlib.util.find_spec, ("scipy", "pandas"))):
        raise SystemExit("the studies need scipy and pandas: pip install -e '.[studies]'")
    for command in commands(flags):
        print("\n$", *command[1:], flush=True)
        if code := subprocess.call(command):  # the study has said why
            raise SystemExit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
