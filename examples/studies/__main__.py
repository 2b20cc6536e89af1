"""The studies behind CONCEPTS.md, one after another, or those that are named.

    python -m examples.studies                    train what their rows lack, write the reports
    python -m examples.studies 12_rows --report   train nothing
    python -m examples.studies --check            make each report again, and compare
    python -m examples.studies 10_families --quick    tiny models, a minute
"""

import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = map(str, (HERE, HERE.parent))

if __name__ == "__main__":
    if not (find_spec("scipy") and find_spec("pandas")):
        raise SystemExit("the studies need scipy and pandas: pip install -e '.[studies]'")
    import study

    study.main(__doc__)
