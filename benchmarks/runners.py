"""The processes that are timed in turn: one for each library, with threads of its own.

Why not all in one process: libraries share what they find there. Once a kernel of Numba has run in
parallel, PyTorch in the same process takes 7 to 50 times as long for a training step, since their
two runtimes of OpenMP get in each other's way. So each library has a process, and these take turns:
while one computes, the others wait for a line to read, and use no processor.

Libraries read their settings when they are loaded, so these are in the environment of the process.
OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out: some environments force a slower kernel on
NumPy's OpenBLAS with them, and a baseline is measured at its best or not at all. PyTorch and JAX
are tuned: `benchmarks.tuning` says how. Threads are limited by each library's variable, and on
Linux also by binding the process to as many processors, which is the one limit that XLA (JAX)
respects; elsewhere JAX takes all of them.
"""

import gc
import importlib
import json
import os
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

from benchmarks import tuning

ROOT = Path(__file__).parents[1]
DEFAULT_THREADS = min(2, os.cpu_count())
OURS, NUMPY, JAX = "npgpt", "NumPy", "JAX, tuned"
TORCH, TORCH_BF16 = "PyTorch, tuned", "PyTorch, tuned, bfloat16"
PRODUCTS, OURS_BF16, OURS_INT8, OURS_Q8 = (
    f"{OURS}, {kind}" for kind in ("bfloat16 products", "bf16", "int8", "q8")
)
TRANSFORMERS, THE_FILE = "transformers", "llama.cpp, the file"
LLAMACPP, LLAMACPP_BF16, LLAMACPP_Q8 = (f"llama.cpp, {kind}" for kind in ("F32", "BF16", "Q8_0"))
# name: (module that has its tasks, packages that it needs, settings that it adds to a task)
RUNNERS = {
    OURS: ("runner_npgpt", (), {}),
    PRODUCTS: ("runner_npgpt", (), {"bf16": True}),
    OURS_BF16: ("runner_npgpt", (), {"weights": "bf16"}),
    OURS_INT8: ("runner_npgpt", (), {"weights": "int8"}),
    OURS_Q8: ("runner_npgpt", (), {"weights": "q8"}),
    NUMPY: ("runner_numpy", (), {}),
    TORCH: ("runner_torch", ("torch",), {}),
    TORCH_BF16: ("runner_torch", ("torch",), {"bf16": True}),
    JAX: ("runner_jax", ("jax",), {}),
    TRANSFORMERS: ("runner_transformers", ("torch", "transformers"), {}),
    LLAMACPP: ("runner_llamacpp", ("xllamacpp", "gguf"), {"kind": "F32"}),
    LLAMACPP_BF16: ("runner_llamacpp", ("xllamacpp", "gguf"), {"kind": "BF16"}),
    LLAMACPP_Q8: ("runner_llamacpp", ("xllamacpp", "gguf"), {"kind": "Q8_0"}),
    THE_FILE: ("runner_llamacpp", ("xllamacpp", "gguf"), {"kind": None}),
}
HINDRANCES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NUMBA_DISABLE_JIT", "AUTOGRAD_BACKEND")
THREADS = "NPGPT_BENCHMARK_THREADS"
LIMITS = (
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", THREADS,
)
# `benchmarks` is of this checkout, also where the code that it measures is of another one.
START = """import sys
sys.path.insert(0, sys.argv[1])
from benchmarks.runners import main
sys.path.insert(0, sys.argv[2])
main(sys.argv[3])"""


def missing(name):
    """Return why a library cannot be measured and what to do about it; "" if it can."""
    packages = RUNNERS[name][1]
    if absent := [package for package in packages if find_spec(package) is None]:
        return f"pip install {' '.join(absent)} (or '.[peers]')"
    return tuning.missing() if "torch" in packages else ""


def absent(names):
    """Return a line for each library of these names that cannot be measured."""
    return [f"not measured: {name}; {note}" for name in names if (note := missing(name))]


class Runner:
    """The process of one library. It ends with the context, `with Runner(...) as runner:`.

    checkout   the folder that has autograd and npgpt
    """

    def __init__(self, name, threads, checkout=ROOT):
        self.name, (module, packages, self.extra) = name, RUNNERS[name]
        env = {key: value for key, value in os.environ.items() if key not in HINDRANCES}
        env |= dict.fromkeys(LIMITS, str(threads)) | {"JAX_PLATFORMS": "cpu"}
        if packages:
            env |= tuning.environment()
        env["AUTOGRAD_BACKEND"] = "numba" if module == "runner_npgpt" else "numpy"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-c", START, ROOT, checkout, f"benchmarks.{module}"], env=env,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def prepare(self, task, settings):
        """Make the function that `timed` will time; return the seconds of its second call."""
        return self._ask(task=task, settings=settings | self.extra)[0]

    def timed(self, count, wake=0.0):
        """Return (seconds, CPU seconds of all threads) a call, of `count` calls.

        wake   seconds of calls before, which are not timed
        """
        return self._ask(count=count, wake=wake)

    def call(self, name, **arguments):
        """Return the result of `module:function` in that process."""
        return self._ask(call=name, arguments=arguments)

    def _ask(self, **request):
        try:
            print(json.dumps(request), file=self.process.stdin, flush=True)
            answer = self.process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            status = self.process.wait()
            raise RuntimeError(f"the process of {self.name} ended with status {status}; its "
                               "message, if it had one, stands above")
        return json.loads(answer)


def main(name):
    """Read requests and write answers, a line of JSON each; `name`: the module of the tasks."""
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not get between
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: threads()])
    module, function = importlib.import_module(name), None
    for line in sys.stdin:
        request = json.loads(line)
        if "task" in request:
            function = None  # the memory of the one before is free for this one
            gc.collect()
            function = getattr(module, request["task"])(**request["settings"])
            function()
            answer = _time(function, 1)
        elif "call" in request:
            path, called = request["call"].split(":")
            answer = getattr(importlib.import_module(path), called)(**request["arguments"])
        else:
            answer = _time(function, request["count"], request["wake"])
        print(json.dumps(answer), file=out, flush=True)


def threads():
    """Return how many threads this process was started to use."""
    return int(os.environ.get(THREADS, DEFAULT_THREADS))


def _time(function, count, wake=0.0):
    """Return (seconds, CPU seconds) a call. Python's garbage collector is off meanwhile."""
    gc.collect()
    gc.disable()
    end = time.perf_counter() + wake
    while time.perf_counter() < end:
        function()
    start = time.perf_counter(), time.process_time()
    for _ in range(count):
        function()
    end = time.perf_counter(), time.process_time()
    gc.enable()
    return [(b - a) / count for a, b in zip(start, end, strict=True)]
