"""The studies behind "Why These Choices?" and "Scaling Laws", one after another.

    python -m examples            the core: runs the trainings whose numbers are missing
    python -m examples --all      of the scaling laws also more seeds and another text
    python -m examples --report   no training: tables, figures and text from the numbers
    python -m examples --quick    tiny models: checks that all of it runs

The core is all of 08 and, of 09, the almanac's four budgets with the first seed, the runs that are
predicted, and little text: from nothing, an hour to an hour and a half on two cores. Each study
trains what its file of numbers lacks, so that one that was stopped goes on, and writes its tables,
its figures and its part of CONCEPTS.md. The studies are scripts, and run as such.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDIES = "08_ablations", "09_scaling_laws", "10_families", "12_rows", "13_skills"


def commands(flags):
    """Yield the command of each study; --all is for the scaling laws only."""
    for name in STUDIES:
        own = [flag for flag in flags if flag != "--all" or name == "09_scaling_laws"]
        yield [sys.executable, str(HERE / f"{name}.py"), *own]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m examples", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    for flag, help in (("--quick", "tiny models"), ("--report", "no training"),
                       ("--all", "more seeds, another text")):
        which.add_argument(flag, action="append_const", const=flag, dest="flags", help=help)
    flags = parser.parse_args().flags or []
    if not all(map(importlib.util.find_spec, ("scipy", "pandas"))):
        raise SystemExit("the studies need scipy and pandas: pip install -e '.[studies]'")
    for command in commands(flags):
        print("\n$", *command[1:], flush=True)
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
