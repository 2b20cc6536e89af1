"""Compiling kernels, and storing the compiled code between runs.

Compiling all kernels takes tens of seconds, loading compiled ones some milliseconds, so machine
code is stored on disk. Numba's own cache looks only at the file of the kernel itself, not at the
files of the functions it calls. Here the folder is named after a hash of all kernel sources: after
any edit the code comes from an empty folder. Stored code is executed: whoever can write to the
folder can run programs as you, so let nobody else write to a NUMBA_CACHE_DIR that you share.
"""

import contextlib
import functools
import hashlib
import os
import stat
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace

import numba
import numpy as np
import platformdirs
from numba.core import serialize
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler, CompileResult

from autograd.compiling import notified
from autograd.kernels.tiles import TILE

HERE = Path(__file__).parent
# A sum may be reordered, so that it becomes a vector sum. NaN and infinity keep their meaning:
# Numba's fastmath=True would let the compiler assume that neither occurs, and a masked softmax or
# a diverged loss would then give any number at all.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}

# Of numba.config: what changes the code, besides the processor, which `_Cache._path` has.
SETTINGS = (
    "BOUNDSCHECK", "DEBUGINFO_DEFAULT", "DEBUG_NRT", "ENABLE_PROFILING",
    "EXTEND_VARIABLE_LIFETIMES", "LLVM_REFPRUNE_FLAGS", "LLVM_REFPRUNE_PASS", "LOOP_VECTORIZE",
    "OPT", "SLP_VECTORIZE", "USING_SVML",
)

def kernel(function):
    """Return a parallel function for Python, compiled for each dtype at the first call."""
    return _stored(function, parallel=True, fastmath=FASTMATH)


def serial_kernel(function):
    """Return a function for one thread, which lets Python run other threads meanwhile."""
    return _stored(function, nogil=True)


def _stored(function, **options):
    compiled = _compiled(function, pipeline_class=_Compiler, **options)
    compiled._cache = _Cache(function)  # instead of Numba's, which cache=True would make
    return compiled


def _compiled(function, **options):
    if numba.config.DISABLE_JIT:
        raise ValueError(
            "NUMBA_DISABLE_JIT is set, and kernels that are not compiled are no use; unset it, or "
            "set AUTOGRAD_BACKEND=numpy to step through their reference implementations"
        )
    return numba.njit(error_model="numpy", no_cfunc_wrapper=True, **options)(function)


class _Compiler(Compiler):
    """Numba's compiler with a `_Library`, and for a `kernel` with the promise that an array which
    it writes shares no memory with its other arrays.

    Without the promise a loop first compares the addresses of its arrays. If they are less than
    some vectors apart it adds up one number after another, which rounds differently: the last bits
    of a short row's sum would depend on the result's address. Serial kernels work on integers, and
    two of their arguments may be views of one array.
    """

    def define_pipelines(self):
        state = self.state
        state.library = _Library(state.targetctx.codegen(), state.func_id.func_name)
        state.library.enable_object_caching()
        state.flags.noalias = state.flags.auto_parallel.enabled  # callees have a copy from before
        return super().define_pipelines()

    def _compile_core(self):
        function = self.state.func_id
        with (
            notified(function.func_name, cache_folder()),
            _libraries_are(_Part, self.state.targetctx.codegen()),
        ):
            return super()._compile_core()


@contextlib.contextmanager
def _libraries_are(kind, codegen):
    """While open, let Numba make libraries of this class."""
    before, codegen._library_class = codegen._library_class, kind
    try:
        yield
    finally:
        codegen._library_class = before


class _Part(JITCodeLibrary):
    """Code that is only ever linked into a kernel: of a helper, a prange loop's body, a wrapper.

    Numba would optimise each of them, with all that it calls, and make machine code of it. Here
    that is done once, in the kernel. Only the body of a loop and a shared helper are optimised
    before, because the order of their sums is found then; they have no machine code either, so
    there is none to point to, and no variable in it to set.
    """

    codegen = SimpleNamespace(set_env=lambda name, environment: None)

    def get_pointer_to_function(self, name):
        return 0

    def _optimize_functions(self, module):
        pass

    def _optimize_final_module(self):
        if self.name.startswith("__numba_parfor_gufunc") or self.name in _SHARED:
            super()._optimize_final_module()

    def _finalize_final_module(self):
        self._finalized = True


class _Library(JITCodeLibrary):
    """The code of a kernel, bound to its own copies of its callees.

    Numba compiles the body of a prange loop, and every helper, on its own, links it into the
    kernel, and optimises it there again, which may reorder sums. By name, calls would find the
    first copy in the process that compiles, and the kernel's copy in one that loads the kernel from
    disk: the last bits would differ. Calls of an internal function find the copy beside them.
    """

    def _optimize_final_module(self):
        for function in self._final_module.functions:
            if function.linkage.name in ("linkonce_odr", "weak_odr"):  # it was linked into this
                function.linkage = "internal"
        super()._optimize_final_module()


class _Cache:
    """The code of a kernel on disk, in place of Numba's cache: a file for each combination of types
    and processor.

    The file begins with the SHA-256 of the rest. A damaged one counts as missing, as does a link or
    a pipe in its place; a file that cannot be written is a warning. Numba has an index that says
    which file is for which types. Of two processes that compile for different types at once, one
    could leave its index beside the code of the other.
    """

    def __init__(self, function):
        self.cache_path = cache_folder()
        self.name, self._module = function.__name__, function.__module__

    def _path(self, types, codegen):
        key = repr((self._module, types, codegen.magic_tuple()))
        return self.cache_path / f"{self.name}-{hashlib.sha256(key.encode()).hexdigest()[:16]}.nbc"

    def load_overload(self, types, target_context):
        target_context.refresh()
        codegen = target_context.codegen()
        path = self._path(types, codegen)
        with contextlib.suppress(Exception):  # there is none, or it cannot be used
            content = path.read_bytes() if stat.S_ISREG(path.lstat().st_mode) else b""
            if hashlib.sha256(content[32:]).digest() == content[:32]:
                with _libraries_are(JITCodeLibrary, codegen):
                    stored = serialize.loads(content[32:])
                    return CompileResult._rebuild(target_context, *stored)
        return None

    def save_overload(self, types, result):
        path = self._path(types, result.codegen)
        assert not result.library.has_dynamic_globals  # they are addresses in this process
        try:
            self.cache_path.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=self.cache_path) as folder:  # no reader sees half
                content = serialize.dumps(result._reduce())
                Path(folder, path.name).write_bytes(hashlib.sha256(content).digest() + content)
                Path(folder, path.name).replace(path)
        except OSError as error:
            warnings.warn(
                f"compiled kernels cannot be stored in {self.cache_path} ({error}); every run will "
                "compile them again. Set NUMBA_CACHE_DIR to a folder with room that you can write "
                "to.",
                RuntimeWarning,
                stacklevel=1,
            )


def helper(function):
    """Return a serial function for kernels, compiled into each of them; Python cannot call it."""
    compiled = _compiled(function, fastmath=FASTMATH, no_cpython_wrapper=True)
    fold = compiled._compiler.fold_argument_types

    def without_literals(args, kwargs):
        """Take a constant as any number: Numba would compile the function for each constant."""
        signature, args = fold(args, kwargs)
        return signature, tuple(map(numba.types.unliteral, args))

    compiled._compiler.fold_argument_types = without_literals
    return compiled


_SHARED = set()  # names of shared helpers, as Numba names their libraries


def shared_helper(function):
    """Return a helper that adds in the same order in a loop of threads and without one."""
    _SHARED.add(function.__qualname__)
    return helper(function)


def filled(kernel, x, *arguments):
    """Return a new array like x that kernel(x, *arguments, array) has filled."""
    y = np.empty_like(x)
    kernel(x, *arguments, y)
    return y


def cache_folder():
    """Return the folder of compiled code: below NUMBA_CACHE_DIR if set, else below the user's cache
    folder, never beside the sources, which may be installed read-only."""
    parent = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("npgpt")
    return Path(parent).absolute() / f"kernels-{source_hash(HERE)}"


@functools.cache
def source_hash(sources):
    """Return 12 hex digits that change with any source file, the tile, Numba's settings, Python.

    Kernels may import nothing else of ours: Numba compiles the value of a module's global into the
    code, wherever it was imported from.
    """
    settings = [getattr(numba.config, name, None) for name in SETTINGS]
    compiled_by = f"{numba.__version__} {sys.implementation.cache_tag} {TILE} {settings}"
    digest = hashlib.sha256(compiled_by.encode())
    for path in sorted(sources.rglob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
