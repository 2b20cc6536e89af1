"""Compiling ahead: the kernels that a function needs, compiled by other processes before it runs.

Numba compiles a kernel at its first call, on one core, and stores the machine code on disk for
later processes. So a program can have its kernels compiled on all cores before it needs them, by
naming a function that uses kernels as the program will, such as a training step of a tiny model.

Nobody lists the kernels: each worker process runs the function on the reference implementations,
records their calls, and calls the kernels of the same names with the same arguments. It compiles
a kernel that no other worker has begun, so that the workers share out the kernels. A function that
calls kernels without a reference implementation, such as a tokenizer's, is run by a single worker.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import zlib
from functools import partial
from pathlib import Path

from numba import get_num_threads
from numba.core import event

COMPILING = "numba:compile"  # Numba's name of the event
REFERENCE = "autograd.reference"


class NotCompiledError(Exception):
    """A kernel would have to be compiled first."""

    def __init__(self, kernel):
        super().__init__(kernel.__name__)
        self.kernel = kernel


class _Listener(event.Listener):
    """A call of `begin` for each kernel that Numba compiles here, not for its helpers."""

    def __init__(self, begin):
        self.begin, self.depth = begin, 0

    def on_start(self, event):
        if self.depth == 0:
            self.begin(event.data["dispatcher"], event.data["args"])
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1


def listening(begin):
    """While open, call begin(kernel, types) for each kernel about to be compiled here.

    If begin raises, the kernel is not compiled, and its caller gets the error.
    """
    return event.install_listener(COMPILING, _Listener(begin))


def missing_kernel(function):
    """Return the first kernel that function() would have to compile; None if all are compiled."""

    def refuse(kernel, types):
        raise NotCompiledError(kernel)

    try:
        with listening(refuse):
            function()
    except NotCompiledError as error:
        return error.kernel
    return None


class CompileAhead:
    """Compile what function(*arguments) needs in other processes, while this one goes on.

    function    of a module, found by its name; it may be called several times
    arguments   that JSON can hold
    report      called by `finish` with ("needs" or "begin", name of a kernel)
    shared      whether it calls kernels through `autograd.backend` only: then several processes
                share them

    Nothing is started if all is on disk, or if nothing can be stored there. A process that fails
    leaves the rest to `finish`. Close it, finished or not.
    """

    def __init__(self, function, *arguments, report, shared=True):
        self.call, self.report = partial(function, *arguments), report
        self.processes, self.lines, self.claims = [], None, None
        missing = missing_kernel(self.call)
        self.finished = missing is None
        if missing is not None and os.access(missing.stats.cache_path, os.W_OK):
            self.claims = tempfile.TemporaryDirectory()
            target = f"{function.__module__}:{function.__name__}"
            self._start([self.claims.name, target, json.dumps(arguments)], shared)

    def _start(self, arguments, shared):
        ours, theirs = os.pipe()
        self.lines = os.fdopen(ours, encoding="utf-8")
        environment = os.environ | {
            "AUTOGRAD_BACKEND": "numpy" if shared else "numba",
            "PYTHONPATH": os.pathsep.join(sys.path),
            "PYTHONSAFEPATH": "1",  # the current folder is in it if it is in sys.path here
        }
        command = [sys.executable, "-m", __name__, *arguments]
        with os.fdopen(theirs, "w", encoding="utf-8") as out, contextlib.suppress(OSError):
            for _ in range(get_num_threads() if shared else 1):
                process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=out,
                    stderr=subprocess.DEVNULL,
                )
                self.processes.append(process)

    def finish(self):
        """Wait for the other processes; load what they compiled, and compile what is missing."""
        if self.finished:
            return
        for line in self.lines or ():  # until the last process ends
            what, _, name = line.strip().partition(" ")
            if what in ("needs", "begin"):  # Numba may print other lines
                self.report(what, name)
        with listening(lambda kernel, types: self.report("begin", kernel.__name__)):
            self.call()
        self.finished = True

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()
        if self.claims:
            self.lines.close()
            self.claims.cleanup()


# ---- in a worker


def work(claims, target, arguments):
    """Compile what target(*arguments) needs and no other worker has claimed.

    claims   a folder with an empty file for each kernel that a worker has begun
    """
    module, _, name = target.partition(":")
    function = getattr(importlib.import_module(module), name)

    def claim(kernel, types):
        name = f"{kernel.__name__}-{zlib.crc32(repr(types).encode())}"
        try:
            Path(claims, name).touch(exist_ok=False)
        except FileExistsError:
            raise NotCompiledError(kernel) from None
        print("begin", kernel.__name__, flush=True)

    with listening(claim):
        calls = _kernel_calls(partial(function, *arguments))
    needed = {call: missing_kernel(call) for call in calls}
    for kernel in dict.fromkeys(filter(None, needed.values())):
        print("needs", kernel.__name__, flush=True)
    for call, kernel in needed.items():
        if kernel is not None:
            with contextlib.suppress(NotCompiledError), listening(claim):
                call()


def _kernel_calls(function):
    """Run a function on the reference implementations; return the matching calls of kernels, as
    functions without arguments."""
    kernels, calls = importlib.import_module("autograd.kernels"), []

    def watch(frame, what, _):
        code = frame.f_code
        if what == "call" and frame.f_globals.get("__name__") == REFERENCE:
            kernel = getattr(kernels, code.co_name, None)
            if kernel:
                arguments = [frame.f_locals[name] for name in code.co_varnames[: code.co_argcount]]
                calls.append(partial(kernel, *arguments))

    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(None)
    return calls


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], json.loads(sys.argv[3]))
