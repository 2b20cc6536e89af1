"""The studies behind "Why These Choices?" and "Scaling Laws", one after another.

    python -m examples            the core: what is not among the numbers that are kept is run
    python -m examples --all      more seeds, larger trainings
    python -m examples --report   no training: tables, figures and text from the numbers
    python -m examples --quick    tiny models: does it all run?

Each trains what its file of numbers lacks, so that a study that was stopped goes on, and writes its
tables, its figures and its part of CONCEPTS.md. The studies are scripts, and run as such.
"""

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDIES = ("08_ablations", "09_scaling_laws", "10_families")


def commands(flags):
    """The command of each study that is there."""
    for name in STUDIES:
        script = HERE / f"{name}.py"
        if name == "10_families" and "--quick" not in flags:
            # it keeps its parts in runs/, not beside the example, and has nothing but its core
            flags = ["--report"] if (HERE / "10_families.json").exists() else []
        if script.exists():
            yield [sys.executable, str(script), *flags]


def main():
    parser = argparse.ArgumentParser(
        prog="python -m examples", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    which = parser.add_mutually_exclusive_group()
    for flag, help in (("--quick", "tiny models"), ("--report", "no training"),
                       ("--all", "more seeds, larger trainings")):  # fmt: skip
        which.add_argument(flag, action="append_const", const=flag, dest="flags", help=help)
    for command in commands(parser.parse_args().flags or []):
        print("\n$", *command[1:], flush=True)
        subprocess.run(command, check=True)


if __name__ == "__main__":
    main()
