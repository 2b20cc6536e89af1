"""How kernels are compiled, and where the compiled code is kept between runs.

Compiling all kernels takes tens of seconds, loading compiled ones some milliseconds,
so Numba stores machine code on disk. Numba's own rule for using stored code looks only at the
file of the kernel itself, not at the files of the functions it calls. The folder is therefore
named after a hash of all kernel sources: after any edit the code comes from an empty folder, and
the one before is removed when it has not been used for a month.

Loaded code is run, so a folder that another user could have put code into is passed over. A
read-only folder is used: every run compiles what is missing there.
"""

import contextlib
import functools
import hashlib
import os
import shutil
import stat
import tempfile
import time
import uuid
import warnings
from pathlib import Path

import numba
import numpy as np
import platformdirs
from numba.core import serialize
from numba.core.caching import CompileResultCacheImpl, FunctionCache
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler

from autograd.kernels.tiles import TILE

# A sum may be reordered, so that it becomes a vector sum. NaN and infinity keep their meaning:
# Numba's fastmath=True would let the compiler assume that neither occurs, and a masked softmax or
# a diverged loss would then give any number at all.
FASTMATH = {"reassoc", "contract", "arcp", "nsz", "afn"}
KEPT_UNUSED = 30 * 24 * 60 * 60  # seconds


def kernel(function):
    """Make a parallel function for Python, compiled for each dtype at the first call."""
    _start_threads()
    return _compiled(function, parallel=True, fastmath=FASTMATH)


def serial_kernel(function):
    """Make a function for one thread, which lets Python run other threads meanwhile."""
    return _compiled(function, nogil=True)


def lean_kernel(function):
    """Make a serial kernel that does not count references to arrays, and cannot make any."""
    return _compiled(function, nogil=True, _nrt=False)


@functools.cache
def _start_threads():
    """Raise ValueError here: loading a kernel would take the error for damaged code."""
    try:
        numba.get_num_threads()
    except ValueError as error:
        raise ValueError(
            f"{' '.join(str(error).split())} (NUMBA_THREADING_LAYER is "
            f"{numba.config.THREADING_LAYER!r}: unset it, or set it to omp, tbb or workqueue, "
            "whichever is installed)"
        ) from error


def _compiled(function, **options):
    if numba.config.DISABLE_JIT:
        raise ValueError(
            "NUMBA_DISABLE_JIT is set, and kernels that are not compiled are no use; unset it, or "
            "set AUTOGRAD_BACKEND=numpy to step through their reference implementations"
        )
    options |= {"error_model": "numpy", "pipeline_class": _Compiler}
    compiled = numba.njit(**options)(function)
    if numba.config.CACHE_DIR != "":
        compiled._cache = _Cache(function)  # in the place of Numba's, which cache=True would make
    return compiled


class _Compiler(Compiler):
    """Numba's compiler with a `_Library`, and for a `kernel` with the promise that an array which
    it writes shares no memory with its other arrays.

    Without the promise a loop first compares the addresses of its arrays. If they are less than
    some vectors apart it adds up one number after another, which rounds differently: the last bits
    of a short row's sum would depend on the result's address. Serial kernels work on integers, and
    may be given two views of one array.
    """

    def define_pipelines(self):
        library = _Library(self.state.targetctx.codegen(), self.state.func_id.func_name)
        library.enable_object_caching()
        self.state["library"] = library
        self.state.flags.noalias = self.state.flags.auto_parallel.enabled
        return super().define_pipelines()


class _Library(JITCodeLibrary):
    """The code of a kernel and of its callees, bound to its own copies of them.

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
    """Numba's locator for CACHE_DIR, which has all files here, and may be read-only."""

    def __init__(self, function, file):
        super().__init__(function, file)
        self._cache_path = numba.config.CACHE_DIR

    def ensure_cache_path(self):
        os.makedirs(self._cache_path, mode=0o700, exist_ok=True)


class _Implementation(CompileResultCacheImpl):
    _locator_classes = (_Locator,)


class _Cache(FunctionCache):
    """Numba's cache of a function on disk, for which a damaged file is a missing one, and a file
    that cannot be written is a warning.

    Every compilation has a file name that no other one has. Numba counts: the first is file 1, and
    an index says which dtypes it is for. Two processes that compile for different dtypes at once
    both find no index and both write file 1, so that the index of one may end up beside the code of
    the other, and stay there. With names of their own the worst is that an entry is missing from
    the index, and is compiled once more.
    """

    _impl_class = _Implementation
    warned = False

    def __init__(self, function):
        super().__init__(function)
        name = function.__name__
        self._cache_file._data_name = lambda number: f"{name}-{uuid.uuid4().hex[:16]}.nbc"

    def load_overload(self, sig, target_context):
        try:
            return super().load_overload(sig, target_context)
        except Exception:  # a damaged pickle raises errors of any kind
            with _writing(self.cache_path):
                self.flush()  # the index, without which nothing could be saved
                return None
            self.disable()

    def save_overload(self, sig, data):
        with _writing(self.cache_path):
            super().save_overload(sig, data)

    def _load_overload(self, sig, target_context):
        if self._enabled:
            key = self._index_key(sig, target_context.codegen())
            digest, code = self._cache_file.load(key) or (None, b"")
            if digest == self._digest(key, code):
                return self._impl.rebuild(target_context, serialize.loads(code))
            if digest:
                raise ValueError("the file of compiled code is damaged, or is that of another")
        return None

    def _save_overload(self, sig, compiled):
        if self._enabled and self._impl.check_cachable(compiled):
            self._impl.locator.ensure_cache_path()
            key = self._index_key(sig, compiled.codegen)
            code = serialize.dumps(self._impl.reduce(compiled))
            self._cache_file.save(key, (self._digest(key, code), code))

    def _digest(self, key, code):
        """Return a digest of the code, its sources (in the folder's name) and function, and of the
        types and processor that it is for (in the key)."""
        what = Path(self.cache_path).name, self._impl.filename_base, key
        return hashlib.sha256(repr(what).encode() + code).digest()


@contextlib.contextmanager
def _writing(folder):
    """Warn if nothing can be written to a folder."""
    try:
        yield
    except OSError as error:
        _warn(folder, error, "every run will compile again what is not there", stacklevel=6)


def _warn(folder, error, consequence, stacklevel):
    """Warn once in a process, naming the line that is so many calls away."""
    if not _Cache.warned:
        _Cache.warned = True
        warnings.warn(
            f"compiled kernels cannot be kept in {folder} ({error}); {consequence}. Set "
            "NUMBA_CACHE_DIR to a folder that only you can write to, on a disk with room.",
            RuntimeWarning,
            stacklevel,
        )


def helper(function):
    """Make a serial function for kernels, compiled into each of them."""
    return numba.njit(fastmath=FASTMATH, error_model="numpy")(function)


def filled(kernel, x, *arguments):
    """Return a new array like x, the last argument of a kernel of x and others, which fills it."""
    y = np.empty_like(x)
    kernel(x, *arguments, y)
    return y


@contextlib.contextmanager
def compiled_code_cached(name="kernels", sources=None):
    """Keep the machine code of kernels that are defined meanwhile in `cache_folder()`.

    `sources` is the folder of their source files if not this one, `name` the kernels' owner.

    Numba reads its cache setting when a function is decorated. It is set for our kernels only and
    put back, so that another package's jitted functions stay where their author or user put them.
    """
    before = numba.config.CACHE_DIR
    folder = cache_folder(name, sources)
    numba.config.CACHE_DIR = str(folder) if folder else ""
    try:
        yield
    finally:
        numba.config.CACHE_DIR = before


def cache_folder(name="kernels", sources=None):
    """Return the folder of compiled kernels; None, with a warning, if none can be trusted.

    It is below NUMBA_CACHE_DIR if set, else below the user's cache folder: never beside the
    sources, which may be installed read-only. It may be read-only itself. Where it cannot be made
    or trusted, the user's cache folder and then the folder of temporary files take its place.
    """
    refused = []
    for parent in _parents():
        folder = Path(os.path.realpath(parent)) / f"{name}-{source_hash(sources)}"
        try:
            for path in (folder.parent, folder):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            _check_trusted(folder)
        except OSError as error:
            refused.append((folder, error))
            continue
        if refused:
            _warn(*refused[0], f"they are kept in {folder}", stacklevel=5)
        with contextlib.suppress(OSError):  # it is read-only
            os.utime(folder)
        _remove_unused(folder.parent, name)
        return folder
    _warn(*refused[0], "every run will compile them again", stacklevel=5)
    return None


def _parents():
    if os.environ.get("NUMBA_CACHE_DIR"):
        yield os.environ["NUMBA_CACHE_DIR"]
    yield platformdirs.user_cache_path("npgpt")
    user = f"-{os.geteuid()}" if hasattr(os, "geteuid") else ""  # Windows has one for each user
    yield Path(tempfile.gettempdir(), f"npgpt{user}")


def _check_trusted(folder):
    """Raise PermissionError if another user could put code into a folder, or exchange it.

    As ssh asks of the files that it trusts: the folder and the one it is in belong to this user or
    to root, who can do anything anyway (so a system may come with compiled kernels), and neither
    their group nor others may write there; nor may others in any that these are in. One such as
    /tmp, which is sticky, may be written to: nobody can exchange the folders of others there.
    Windows gives each user a folder of their own, and has no such modes.
    """
    if os.name == "nt":
        return
    for path in (folder, *folder.parents):
        status, near = os.lstat(path), path in (folder, folder.parent)
        if near and status.st_uid not in (0, os.geteuid()):
            raise PermissionError(f"{path} belongs to another user")
        sticky = path != folder and status.st_mode & stat.S_ISVTX
        if status.st_mode & (stat.S_IWOTH | near * stat.S_IWGRP) and not sticky:
            raise PermissionError(
                f"other users may write to {path}; chmod go-w it if you know that none has"
            )


def _remove_unused(parent, name):
    """Remove folders of compiled kernels that no process has started with for KEPT_UNUSED.

    Nothing fails if other processes remove the same ones, or use one after all: Numba takes code
    that is gone for code that was never there, and makes a missing folder again.
    """
    with contextlib.suppress(OSError):
        for folder in parent.glob(f"{name}-" + "[0-9a-f]" * 12):
            if folder.stat().st_mtime < time.time() - KEPT_UNUSED:
                shutil.rmtree(folder, ignore_errors=True)


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
