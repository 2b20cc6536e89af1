"""Start-up: the wait before anything is trained. Each time is of a new process.

    import        `import npgpt`, inside the process
    warm start    from starting `npgpt train` to the end of the first training step
    cold start    the same with an empty folder of compiled kernels: all that training needs is
                  compiled, once for all runs
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
import timeit

from benchmarks.report import Table, seconds
from benchmarks.runners import ROOT, environment

IMPORT = """
import time
start = time.perf_counter()
import npgpt
print(time.perf_counter() - start)
"""
FIRST_STEP = """
import sys, time
import npgpt.cli
from npgpt import AdamW
step = AdamW.step
def timed(self, *arguments):
    step(self, *arguments)
    print("first step:", time.time())
    sys.exit()
AdamW.step = timed
npgpt.cli.main(["train", "--out", sys.argv[1]])
"""


def tables(threads, quick=False):
    repeats = 1 if quick else 7
    bare = timeit.repeat(lambda: _output("pass", environment(threads)), number=1, repeat=repeats)
    imports = [float(_output(IMPORT, environment(threads))) for _ in range(repeats)]
    first_step(threads)  # fills the folder of compiled kernels
    warm = [first_step(threads) for _ in range(repeats)]
    rows = [
        _row("a bare Python", bare),
        _row("`import npgpt`", imports, 0.5),
        _row("warm start of `npgpt train` to the end of its first step", warm, 1.5),
    ]
    if not quick:
        cold = []
        for _ in range(2):
            with tempfile.TemporaryDirectory() as cache:
                cold.append(first_step(threads, NUMBA_CACHE_DIR=cache))
        rows += [
            _row("cold start, all kernels compiled", cold),
            _row("the compiler's part of it", [c - statistics.median(warm) for c in cold], 20),
        ]
    yield Table(
        "Start-up", ["", "median", "min – max", "processes", "goal", ""], rows,
        "The run is the default one, `npgpt train`, on `tales`.",
    )


def first_step(threads, **variables):
    """Return seconds from starting `npgpt train` in a new process to the end of its first step."""
    with tempfile.TemporaryDirectory() as folder:
        out = os.path.join(folder, "run")
        start = time.time()
        said = _output(FIRST_STEP, environment(threads, **variables), out)
    return float(said.rsplit("first step:", 1)[1].split()[0]) - start


def _output(code, env, *arguments):
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=ROOT, env=env, check=False,
        capture_output=True, encoding="utf-8",
    )
    if done.returncode:
        raise RuntimeError(f"a process to be timed failed:\n{done.stderr}")
    return done.stdout


def _row(what, times, goal=None):
    median = statistics.median(times)
    kept = "" if goal is None else "kept" if median <= goal else "**missed**"
    return [
        what, seconds(median), f"{seconds(min(times))} – {seconds(max(times))}", str(len(times)),
        f"{goal:g} s" if goal else "", kept,
    ]
