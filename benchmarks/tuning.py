"""Settings that make PyTorch and JAX as fast as they can be here.

Two things hold them back that are not their own:

- PyTorch's products are MKL's, which asks at the start whether the processor is Intel's, and takes
  a path of half the speed if not, even where the processor has all that the faster one needs. A
  library with its answer that is loaded before it, by LD_PRELOAD, is asked instead.
- glibc gives large freed arrays back to the system, which clears every page before it is used
  again. We keep them (`autograd.kernels.process`); its MALLOC_ variables do the same for others.

Both are settings of a process, made in its environment before it starts.
"""

import platform
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.machine import in_proc

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_MAX_": "0"}
ANSWER = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


def environment():
    """Return the environment variables of a tuned process: none where there is nothing to tune.

    Raises CalledProcessError if the C compiler does not build the library.
    """
    if platform.libc_ver()[0] != "glibc":
        return {}
    return MALLOC | ({"LD_PRELOAD": str(_answer()[1])} if _asks() and _compiler() else {})


def missing():
    """Return what PyTorch needs to be tuned; "" if it can be."""
    return "a C compiler (cc) on the PATH" if _asks() and not _compiler() else ""


def _asks():
    """Return whether PyTorch's products go through MKL on a processor that is not Intel's."""
    known = platform.libc_ver()[0] == "glibc" and platform.machine() == "x86_64"
    return known and in_proc("cpuinfo", "vendor_id") != "GenuineIntel"


def _compiler():
    return shutil.which("cc")


@cache
def _answer():
    """Return (folder that is deleted when this process ends, library in it with the answer)"""
    folder = tempfile.TemporaryDirectory(prefix="npgpt-benchmarks-")
    source, library = Path(folder.name, "answer.c"), Path(folder.name, "answer.so")
    source.write_text(ANSWER, encoding="ascii")
    subprocess.run([_compiler(), "-shared", "-fPIC", "-o", library, source], check=True)
    return folder, library
