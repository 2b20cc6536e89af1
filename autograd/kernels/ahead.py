"""Compiling ahead: the kernels that a function needs, found before it needs them.

Numba compiles a kernel at its first call and stores the machine code on disk for later processes.
A program can have that done while it says so, by naming a function that uses kernels as the program
will, such as a training step of a tiny model. Nobody lists the kernels: the function runs on the
reference implementations, their calls are recorded, and the kernels of the same names are called
with the same arguments.
"""

import sys
from functools import partial

from numba.core import event

from autograd import kernels

REFERENCE = "autograd.reference"


class NotCompiledError(Exception):
    """A kernel would have to be compiled first."""

    def __init__(self, kernel, types):
        super().__init__(kernel.__name__)
        self.needed = kernel, types


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
    return event.install_listener("numba:compile", _Listener(begin))


def missing_kernel(function):
    """Return (kernel, types) that function() would have to compile first; None if there is none."""

    def refuse(kernel, types):
        raise NotCompiledError(kernel, types)

    try:
        with listening(refuse):
            function()
    except NotCompiledError as error:
        return error.needed
    return None


def kernel_calls(function):
    """Run a function on the reference implementations; return the matching calls of kernels, as
    functions without arguments."""
    calls = []

    def watch(frame, what, _):
        code = frame.f_code
        if what == "call" and frame.f_globals.get("__name__") == REFERENCE:
            kernel = getattr(kernels, code.co_name, None)
            if kernel:
                arguments = [frame.f_locals[name] for name in code.co_varnames[: code.co_argcount]]
                calls.append(partial(kernel, *arguments))

    before = sys.getprofile()
    sys.setprofile(watch)
    try:
        function()
    finally:
        sys.setprofile(before)
    return calls
