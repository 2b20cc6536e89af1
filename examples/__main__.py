"""The studies behind the claims of CONCEPTS.md, one after another.

    python -m examples            the core: runs the trainings whose numbers are missing
    python -m examples --all      also more seeds, larger models and other texts
    python -m examples --report   no training: tables, figures and text from the numbers
    python -m examples --quick    tiny models: checks that all of it runs

Each study trains what its file of numbers lacks, so that one that was stopped goes on, and writes
its tables, its figures and its part of CONCEPTS.md. The studies are scripts, and run as such. The
core of 08 and 09 takes an hour to an hour and a half on two cores, from nothing.
"""

import argparse
import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDIES = (
    "08_ablations", "09_scaling_laws", "10_families", "11_reward", "12_rows", "13_skills",
    "14_training",
)
ALL_AT_ONCE = "08_ablations", "09_scaling_laws", "10_families"  # these have no --all


def commands(flags):
    """Yield the command of each study."""
    for name in STUDIES:
        own = [flag for flag in flags if flag != "--all" or name not in ALL_AT_ONCE]
        yield [sys.executable, str(HERE / f"{name}.py"), *own]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m examples", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    which = parser.add_mutually_exclusive_group()
    for flag, help in (("--quick", "tiny models"), ("--report", "no training"),
                       ("--all", "more seeds, other texts")):
        which.add_argument(flag, action="append_const", const=flag, dest="flags", help=help)
    flags = parser.parse_args().flags or []
    if not all(map(importlib.util.find_spec, ("scipy", "pandas"))):
        raise SystemExit("the studies need scipy and pandas: pip install -e '.[studies]'")
    for command in commands(flags):
        print("\n$", *command[1:], flush=True)
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
