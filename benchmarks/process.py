"""A process to measure in: with the threads that were asked for, and its libraries unhindered.

    python -m benchmarks.process PART [--quick]     one part; a line of JSON for each table

Libraries read their settings when they are loaded, so these have to be in the environment of a new
process. OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out: some environments force a slower
kernel on NumPy's OpenBLAS with them, and a peer is measured at its best or not at all. Threads are
limited by each library's variable, and on Linux also by binding the process to as many processors,
which is the one limit that XLA (JAX) respects; elsewhere JAX takes all of them.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
HINDRANCES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NUMBA_DISABLE_JIT", "AUTOGRAD_BACKEND")
THREADS = "NPGPT_BENCHMARK_THREADS"
LIMITS = (
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", THREADS,
)  # fmt: skip
VERSIONS = ("numpy", "numba", "torch", "jax")


def default_threads():
    return min(2, os.cpu_count())


def environment(threads, **more):
    """The environment variables of a measuring process."""
    kept = {key: value for key, value in os.environ.items() if key not in HINDRANCES}
    return kept | dict.fromkeys(LIMITS, str(threads)) | more


def threads():
    """How many threads this process was started to use."""
    return int(os.environ.get(THREADS, default_threads()))


def run(module, *arguments, env):
    """The standard output of `python -m module arguments`; RuntimeError with its errors if any."""
    done = subprocess.run(
        [sys.executable, "-m", module, *map(str, arguments)], cwd=ROOT, env=env, check=False,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8",
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"python -m {module} {' '.join(map(str, arguments))}:\n{done.stderr}")
    return done.stdout


def measured(part, quick, env):
    """What a part yields in a process of its own: dicts, as they come.

    The first has the key "machine": where it was measured, as text. The others are tables.
    """
    command = [sys.executable, "-m", "benchmarks.process", part, *(["--quick"] if quick else [])]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdout=subprocess.PIPE, encoding="utf-8"
    ) as child:
        for line in child.stdout:
            yield json.loads(line)
    if child.returncode:
        raise SystemExit(f"{' '.join(command[1:])} failed with status {child.returncode}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("part")
    parser.add_argument("--quick", action="store_true")
    args = parser.parse_args()
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not get between
    _bind(threads())
    print(json.dumps({"machine": _described()}), file=out, flush=True)
    for table in importlib.import_module(f"benchmarks.{args.part}").tables(args.quick):
        print(json.dumps(table.as_json()), file=out, flush=True)


def _bind(count):
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])


def _described():
    from datetime import date

    from benchmarks.machine import blas, described

    return (
        f"{described(VERSIONS)}; {threads()} threads; NumPy's BLAS: {blas()}; "
        f"{date.today().isoformat()}"
    )


if __name__ == "__main__":
    main()
