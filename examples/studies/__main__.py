"""The studies behind CONCEPTS.md, one after another.

    python -m examples.studies            trains what their rows lack, writes reports and figures
    python -m examples.studies --report   trains nothing
    python -m examples.studies --check    makes each report and table again, and compares
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
STUDIES = [*sorted(HERE.glob("[01]?_*.py")), *(HERE / f"{name}.py" for name in (
    "again", "claims"))]


def main(flags):
    if {"-h", "--help"} & {*flags}:
        return print(__doc__)
    if not all(map(importlib.util.find_spec, ("scipy", "pandas"))):
        raise SystemExit("the studies need scipy and pandas: pip install -e '.[studies]'")
    for path in STUDIES:
        print("\n$", path.name, *flags, flush=True)
        if code := subprocess.call([sys.executable, str(path), *flags]):  # the study has said why
            raise SystemExit(code)


if __name__ == "__main__":
    main(sys.argv[1:])
