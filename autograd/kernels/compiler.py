"""Compiling kernels, and storing the compiled code between runs.

Compiling all kernels takes tens of seconds, loading compiled ones some milliseconds,
so Numba stores machine code on disk. Numba's own rule for using stored code looks only at the
file of the kernel itself, not at the files of the functions it calls. The folder is therefore
named after a hash of all kernel sources: after any edit the code comes from an empty folder.
"""

import contextlib
import hashlib
import os
import uuid
import warnings
from pathlib import Path

import numba
import numpy as np
import platformdirs
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from autograd.kernels.tiles import TILE

# A sum may be reordered, so that it becomes a vector sum. NaN and infinity keep their meaning:
# Numba's fastmath=True would let the compiler assume that neither occurs, and a masked softmax or
# a diverged loss would then give any number at all.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}


def kernel(function):
    """Return a parallel function for Python, compiled for each dtype at the first call."""
    return _compiled(function, parallel=True, fastmath=FASTMATH)


def serial_kernel(function):
    """Return a function for one thread, which lets Python run other threads meanwhile."""
    return _compiled(function, nogil=True)


def lean_kernel(function):
    """Return a serial kernel that neither counts references to arrays nor makes any."""
    return _compiled(function, nogil=True, _nrt=False)


def _compiled(function, **options):
    if numba.config.DISABLE_JIT:
        raise ValueError(
            "NUMBA_DISABLE_JIT is set, and kernels that are not compiled are no use; unset it, or "
            "set AUTOGRAD_BACKEND=numpy to step through their reference implementations"
        )
    options |= {"error_model": "numpy", "no_cfunc_wrapper": True, "pipeline_class": _Compiler}
    compiled = numba.njit(**options)(function)
    compiled._cache = _Cache(function)  # instead of Numba's, which cache=True would make
    return compiled


class _Compiler(Compiler):
    """Numba's compiler with a `_Library`, and for a `kernel` with the promise that an array which
    it writes shares no memory with its other arrays.

    Without the promise a loop first compares the addresses of its arrays. If they are less than
    some vectors apart it adds up one number after another, which rounds differently: the last bits
    of a short row's sum would depend on the result's address. Serial kernels work on integers, and
    two of their arguments may be views of one array.
    """

    def define_pipelines(self):
        library = _Library(self.state.targetctx.codegen(), self.state.func_id.func_name)
        library.enable_object_caching()
        self.state["library"] = library
        self.state.flags.noalias = self.state.flags.auto_parallel.enabled
        return super().define_pipelines()

    def _compile_core(self):
        with _libraries_are(_Part, self.state.targetctx):
            return super()._compile_core()


@contextlib.contextmanager
def _libraries_are(kind, target_context):
    """While open, let Numba make libraries of this class."""
    codegen = target_context.codegen()
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
    there is none to point to.
    """

    codegen = property(lambda part: part)  # of which Numba only wants `set_env`

    def set_env(self, name, environment):
        pass

    def get_pointer_to_function(self, name):
        self._ensure_finalized()
        return 0

    def _optimize_functions(self, module):
        module.data_layout = self._codegen._data_layout

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


class _Locator(CompileResultCacheImpl._locator_classes[0]):
    """Numba's locator for CACHE_DIR, with all files in that folder itself."""

    def __init__(self, function, file):
        super().__init__(function, file)
        self._cache_path = numba.config.CACHE_DIR

    def ensure_cache_path(self):
        with contextlib.suppress(OSError):  # saving a file fails then, with a warning
            os.makedirs(self._cache_path, exist_ok=True)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(FunctionCache):
    """Numba's cache of a function on disk; a damaged file counts as missing, and a file that cannot
    be written is a warning.

    Every compilation writes a file with a unique name. Numba counts: the first is file 1, and an
    index says which dtypes it is for. Two processes that compile for different dtypes at once
    both find no index and both write file 1, so that the index of one may end up beside the code of
    the other, and stay there. With unique names the worst is an entry missing from the index, which
    is compiled once more.
    """

    _impl_class = _Implementation

    def __init__(self, function):
        super().__init__(function)
        name = function.__name__
        self._cache_file._data_name = lambda number: f"{name}-{uuid.uuid4().hex[:16]}.nbc"

    def load_overload(self, sig, target_context):
        try:
            with _libraries_are(JITCodeLibrary, target_context):
                return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle raises errors of any kind
            with contextlib.suppress(OSError):
                self.flush()  # the index, without which nothing could be saved
            return None

    def save_overload(self, sig, data):
        try:
            super().save_overload(sig, data)
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
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "error_model": "numpy"}
    compiled = numba.njit(fastmath=FASTMATH, **options)(function)
    if numba.config.DISABLE_JIT:  # which `_compiled` refuses
        return compiled
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


@contextlib.contextmanager
def compiled_code_cached(name="kernels", sources=None):
    """Store the machine code of kernels that are defined meanwhile in `cache_folder()`.

    name      the kernels' owner
    sources   the folder of their source files if not this one

    Numba reads its cache setting when a function is decorated. It is set for our kernels only and
    put back, so that another package's jitted functions stay where their author or user put them.
    """
    before = numba.config.CACHE_DIR
    numba.config.CACHE_DIR = str(cache_folder(name, sources))
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def cache_folder(name="kernels", sources=None):
    """Return the folder of compiled kernels: below NUMBA_CACHE_DIR if set, else below the user's
    cache folder, never beside the sources, which may be installed read-only."""
    parent = os.environ.get("NUMBA_CACHE_DIR") or platformdirs.user_cache_path("npgpt")
    return Path(parent).absolute() / f"{name}-{source_hash(sources)}"


def source_hash(sources=None):
    """Return 12 hex digits that change with any source file of kernels, the tile, or Numba."""
    compiled_by = numba.__version__ + TILE
    digest = hashlib.sha256(compiled_by.encode())
    for path in hashed_files(sources):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def hashed_files(sources=None):
    """Return the source files of the compiled code, which may import nothing else of ours.

    Numba compiles the value of a module's global into the code, wherever it was imported from.
    """
    here = Path(__file__)
    return sorted((sources or here.parent).rglob("*.py")) + ([here] if sources else [])
