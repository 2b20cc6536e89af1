"""Compiling ahead: the kernels that a function needs, compiled by other processes before it runs.

Numba compiles a kernel at its first call, on one core, and keeps the machine code on disk for later
processes. So a program can have its kernels compiled on all cores before it needs them. It names a
function that uses kernels as the program will, such as a training step of a tiny model.

Nobody lists the kernels: each worker process runs the function on the reference implementations,
watches which of these are called and with what, and calls the kernels of the same names with the
same arguments. It compiles a kernel that no other worker has begun, so that the workers share out
the kernels. A function that calls kernels without a reference implementation, such as a
tokenizer's, is run as it is, by a single worker.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import tempfile
import threading
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
    """Call `begin` and `end` for each kernel that Numba compiles here, not for its helpers."""

    def __init__(self, begin, end):
        self.begin, self.end, self.depth = begin, end, 0

    def on_start(self, event):
        if self.depth == 0:
            self.begin(event.data["dispatcher"], event.data["args"])
        self.depth += 1

    def on_end(self, event):
        self.depth -= 1
        if self.depth == 0:
            self.end(event.data["dispatcher"])


def listening(begin, end=lambda kernel: None):
    """While open, call begin(kernel, types), then end(kernel) for each kernel compiled here.

    If begin raises, the kernel is not compiled, and its caller gets the error.
    """
    return event.install_listener(COMPILING, _Listener(begin, end))


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
    """Have other processes compile what function(*arguments) needs, until `finish`.

    function    of a module, found by its name; it may be called several times
    arguments   that JSON can hold
    report      called with ("needs" or "begin" or "end", name of a kernel), from any thread
    shared      whether it calls kernels through `autograd.backend` only: then several processes
                share them

    Nothing is started if all is on disk, or if no compiled code is kept there. A process that fails
    leaves the rest to `finish`. Close it, finished or not.
    """

    def __init__(self, function, *arguments, report, shared=True):
        self.call, self.report = partial(function, *arguments), report
        self.processes, self.readers, self.claims = [], [], None
        missing = missing_kernel(self.call)
        self.finished = missing is None
        if missing is not None and missing.stats.cache_path:
            self.claims = tempfile.TemporaryDirectory()
            target = f"{function.__module__}:{function.__name__}"
            with contextlib.suppress(OSError):
                for _ in range(get_num_threads() if shared else 1):
                    self._start(
                        [self.claims.name, target, json.dumps(arguments)],
                        {"AUTOGRAD_BACKEND": "numpy" if shared else "numba"},
                    )

    def finish(self):
        """Wait for the other processes; load what they compiled, and compile what is missing."""
        if not self.finished:
            self._wait()
            with listening(
                lambda kernel, types: self.report("begin", kernel.__name__),
                lambda kernel: self.report("end", kernel.__name__),
            ):
                self.call()
            self.finished = True

    def close(self):
        for process in self.processes:
            process.kill()
        self._wait()
        if self.claims:
            self.claims.cleanup()

    def _start(self, arguments, settings):
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, *arguments],
            env=os.environ | settings | {
                "PYTHONPATH": os.pathsep.join(sys.path),
                "PYTHONSAFEPATH": "1",  # the current folder is in it if it is in sys.path here
            },
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )  # fmt: skip
        reader = threading.Thread(target=self._read, args=[process])
        reader.start()
        self.processes.append(process)
        self.readers.append(reader)

    def _read(self, process):
        with process.stdout as lines:
            for line in lines:
                what, _, name = line.strip().partition(" ")
                if what in ("needs", "begin", "end"):  # Numba may print other lines
                    self.report(what, name)

    def _wait(self):
        for reader, process in zip(self.readers, self.processes, strict=True):
            reader.join()
            process.wait()


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
        tell("begin", kernel)

    def compile_unclaimed(call):
        with contextlib.suppress(NotCompiledError), listening(claim, partial(tell, "end")):
            return call()
        return None

    calls = compile_unclaimed(lambda: _kernel_calls(lambda: function(*arguments))) or []
    needed = {call: missing_kernel(call) for call in calls}
    for kernel in dict.fromkeys(filter(None, needed.values())):
        tell("needs", kernel)
    for call, kernel in needed.items():
        if kernel is not None:
            compile_unclaimed(call)


def tell(what, kernel):
    print(what, kernel.__name__, flush=True)


def _kernel_calls(function):
    """Run a function on the reference implementations; return the calls of kernels that stand for
    those that it makes, as functions without arguments."""
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
