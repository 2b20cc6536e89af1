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
import sys
import tempfile
from functools import cache
from pathlib import Path

from benchmarks.machine import in_proc

MALLOC = {"MALLOC_TRIM_THRESHOLD_": str(1 << 30), "MALLOC_MMAP_MAX_": "0"}
ANSWER = "int mkl_serv_intel_cpu_true(void) { return 1; }\n"


def environment(package):
    """Return the environment variables that tune a process of this package, or {}.

    Raises CalledProcessError if a library has to be built for it and the C compiler does not.
    """
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return {}
    return MALLOC | ({"LD_PRELOAD": str(_answer()[1])} if _asks(package) else {})


def missing(package):
    """Return why the package cannot be tuned and what to do about it; "" if it can."""
    if not sys.platform.startswith("linux") or platform.libc_ver()[0] != "glibc":
        return "as installed: there is nothing to tune but glibc's malloc and MKL on Linux"
    if _asks(package) and not shutil.which("cc"):
        return "not measured: needs a C compiler (cc) on the PATH"
    return ""


def _asks(package):
    """Return whether PyTorch's products go through MKL on a processor that is not Intel's."""
    if package != "torch" or platform.machine() not in ("x86_64", "AMD64"):
        return False
    return in_proc("cpuinfo", "vendor_id") != "GenuineIntel"


@cache
def _answer():
    """Return (folder that is deleted when this process ends, library in it with the answer)"""
    folder = tempfile.TemporaryDirectory(prefix="npgpt-benchmarks-")
    source, library = Path(folder.name, "answer.c"), Path(folder.name, "answer.so")
    source.write_text(ANSWER, encoding="ascii")
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return folder, library
