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
STUDIES = {  # with the flags that each has
    "08_ablations": ("--quick", "--report"),
    "09_scaling_laws": ("--quick", "--report", "--all"),
    "10_families": ("--quick",),
    "11_reward": ("--quick", "--report"),
}


def commands(flags):
    """Yield the command of each study that is there."""
    for name, known in STUDIES.items():
        script, own = HERE / f"{name}.py", [flag for flag in flags if flag in known]
        if name == "10_families" and not own and script.with_suffix(".json").exists():
            own = ["--report"]  # it keeps its parts in runs/, not beside the example
        if script.exists():
            yield [sys.executable, str(script), *own]


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
