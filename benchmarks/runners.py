"""The processes that are timed in turn: one for each library, with threads of its own.

    python -m benchmarks.runners MODULE     reads requests and writes answers, a line of JSON each

Why not all in one process: libraries share what they find there. Once a kernel of Numba has run in
parallel, PyTorch in the same process takes 7 to 50 times as long for a training step, since their
two runtimes of OpenMP get in each other's way. So each library has a process, and these take turns:
while one computes, the others wait for a line to read, and use no processor.

Libraries read their settings when they are loaded, so these are in the environment of the process.
OPENBLAS_CORETYPE and OPENBLAS_L2_SIZE are taken out: some environments force a slower kernel on
NumPy's OpenBLAS with them, and a baseline is measured at its best or not at all. PyTorch and JAX
are measured as they are installed and, in a row or column of their own, tuned: `benchmarks.tuning`
says how. Threads are limited by each
library's variable, and on Linux also by binding the process to as many processors, which is the one
limit that XLA (JAX) respects; elsewhere JAX takes all of them.
"""

import gc
import importlib
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import tuning

ROOT = Path(__file__).parents[1]
DEFAULT_THREADS = min(2, os.cpu_count())
OURS, NUMPY = "npgpt", "NumPy"
TORCH, COMPILED, BF16, JAX = "PyTorch", "torch.compile", "PyTorch, bf16 autocast", "JAX jit"
TORCH_TUNED, BF16_TUNED, JAX_TUNED = (f"{name}, tuned" for name in (TORCH, BF16, JAX))
OURS_BF16, OURS_INT8, READING = f"{OURS}, bf16", f"{OURS}, int8", "reading memory"
TRANSFORMERS, TRANSFORMERS_BF16 = "transformers", "transformers, bf16"
OURS_BF16_PRODUCTS, OURS_Q8 = f"{OURS}, bf16 products", f"{OURS}, q8"
BF16_OPERANDS = "PyTorch, operands bf16 already"
CT2, CT2_INT8 = "CTranslate2", "CTranslate2, int8"
LLAMACPP, LLAMACPP_BF16, LLAMACPP_Q8 = "llama.cpp", "llama.cpp, BF16", "llama.cpp, Q8_0"
THE_FILE = "llama.cpp, the file"
REAL_F32, REAL_BF16, REAL_Q8 = (f"{THE_FILE} as {kind}" for kind in ("F32", "BF16", "Q8_0"))
COMPILING = (OURS, OURS_BF16, OURS_INT8, OURS_Q8, OURS_BF16_PRODUCTS, READING)
TUNED = (TORCH_TUNED, BF16_TUNED, BF16_OPERANDS, JAX_TUNED)
# name: (package, module that has its tasks, settings that it adds to a task)
RUNNERS = {
    OURS: ("numba", "runner_npgpt", {}),
    OURS_BF16: ("numba", "runner_npgpt", {"weights": "bf16"}),
    OURS_INT8: ("numba", "runner_npgpt", {"weights": "int8"}),
    OURS_Q8: ("numba", "runner_npgpt", {"weights": "q8"}),
    OURS_BF16_PRODUCTS: ("numba", "runner_npgpt", {"bf16": True}),
    READING: ("numba", "runner_npgpt", {"reading": True}),
    TRANSFORMERS: ("transformers", "runner_transformers", {}),
    TRANSFORMERS_BF16: ("transformers", "runner_transformers", {"dtype": "bfloat16"}),
    CT2: ("ctranslate2", "runner_ctranslate2", {}),
    CT2_INT8: ("ctranslate2", "runner_ctranslate2", {"dtype": "int8"}),
    LLAMACPP: ("llama_cpp", "runner_llamacpp", {}),
    LLAMACPP_BF16: ("llama_cpp", "runner_llamacpp", {"dtype": "BF16"}),
    LLAMACPP_Q8: ("llama_cpp", "runner_llamacpp", {"dtype": "Q8_0"}),
    THE_FILE: ("xllamacpp", "runner_xllamacpp", {}),
    REAL_F32: ("xllamacpp", "runner_xllamacpp", {"kind": "F32"}),
    REAL_BF16: ("xllamacpp", "runner_xllamacpp", {"kind": "BF16"}),
    REAL_Q8: ("xllamacpp", "runner_xllamacpp", {"kind": "Q8_0"}),
    NUMPY: ("numpy", "runner_numpy", {}),
    TORCH: ("torch", "runner_torch", {}),
    COMPILED: ("torch", "runner_torch", {"compiled": True}),
    BF16: ("torch", "runner_torch", {"bf16": True}),
    JAX: ("jax", "runner_jax", {}),
    TORCH_TUNED: ("torch", "runner_torch", {}),
    BF16_TUNED: ("torch", "runner_torch", {"bf16": True}),
    BF16_OPERANDS: ("torch", "runner_torch", {"bf16": True, "cast": False}),
    JAX_TUNED: ("jax", "runner_jax", {}),
}
COMPILERS = ("g++", "clang++", "cl")
HINDRANCES = ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "NUMBA_DISABLE_JIT", "AUTOGRAD_BACKEND")
THREADS = "NPGPT_BENCHMARK_THREADS"
LIMITS = (
    "NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", THREADS,
)


def missing(name):
    """Return why a library cannot be measured and what to do about it; "" if it can."""
    package = RUNNERS[name][0]
    if package == "llama_cpp" and not all(map(importlib.util.find_spec, (package, "gguf"))):
        return "not measured: pip install llama-cpp-python gguf (builds it: needs gcc and cmake)"
    needed = (package, "gguf") if "kind" in RUNNERS[name][2] else (package,)
    if absent := [one for one in needed if importlib.util.find_spec(one) is None]:
        return f"not measured: pip install {' '.join(absent)} (or '.[peers]')"
    if name == COMPILED and not any(map(shutil.which, COMPILERS)):
        return f"not measured: needs a C++ compiler ({' or '.join(COMPILERS)}) on the PATH"
    return tuning.missing(package) if name in TUNED else ""


def environment(threads, **more):
    """Return the environment variables of a measuring process."""
    kept = {key: value for key, value in os.environ.items() if key not in HINDRANCES}
    return kept | dict.fromkeys(LIMITS, str(threads)) | {"JAX_PLATFORMS": "cpu"} | more


class Runner:
    """The process of one library. It ends with the context, `with Runner(...) as runner:`."""

    def __init__(self, name, threads):
        self.name, (package, module, self.extra) = name, RUNNERS[name]
        more = tuning.environment(package) if name in TUNED else {}
        more["AUTOGRAD_BACKEND"] = "numba" if name in COMPILING else "numpy"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.runners", f"benchmarks.{module}"], cwd=ROOT,
            env=environment(threads, **more),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8",
        )

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def prepare(self, task, settings):
        """Make the function that `time` will time; return the seconds of its second call."""
        return self._ask(task=task, settings=settings | self.extra)[0]

    def time(self, count, wake=0.0):
        """Return seconds a call, of `count` calls, after `wake` seconds of untimed calls."""
        return self.timed(count, wake)[0]

    def timed(self, count, wake=0.0):
        """Return (seconds, CPU seconds of all threads) a call, as `time` does."""
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
            raise RuntimeError(f"the process of {self.name} ended; its message stands above")
        return json.loads(answer)


def main():
    out, sys.stdout = sys.stdout, sys.stderr  # what libraries print must not get between
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: threads()])
    module, function = importlib.import_module(sys.argv[1]), None
    for line in sys.stdin:
        request = json.loads(line)
        if "task" in request:
            function = None  # the memory of the one before is free for this one
            gc.collect()
            function = getattr(module, request["task"])(**request["settings"])
            function()
            answer = _time(function, 1)
        elif "call" in request:
            path, name = request["call"].split(":")
            answer = getattr(importlib.import_module(path), name)(**request["arguments"])
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


if __name__ == "__main__":
    main()
