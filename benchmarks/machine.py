"""Where a number was measured: the processor, the threads, the versions, the BLAS in use."""

import importlib.util
import os
import platform
import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def processor():
    """Return a name of this processor that one of another generation does not have."""
    name = in_proc("cpuinfo", "model name") or platform.processor() or platform.machine()
    number = [in_proc("cpuinfo", key) for key in ("cpu family", "model")]
    amx = ", AMX" if "amx_tile" in in_proc("cpuinfo", "flags").split() else ""
    return name + (f", family {number[0]}, model {number[1]}" if all(number) else "") + amx


def described(threads):
    """Return a line on this machine, for the process that it is called in."""
    versions = [f"Python {platform.python_version()}"]
    for name in ("numpy", "numba", "torch", "jax"):
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    return (f"{os.cpu_count()} cores, {platform.system()}, {', '.join(versions)}; {threads} "
            f"threads; NumPy's BLAS: {blas()}")


def blas():
    """Return the BLAS that this process's NumPy calls, with its kernel for this processor."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "unknown (pip install threadpoolctl tells)"
    import numpy
    import threadpoolctl

    home = Path(numpy.__file__).parents[1]
    found = [
        f"{library['internal_api']} {library['version']}, kernel "
        f"{library.get('architecture', 'unknown')}"
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas" and home in Path(library["filepath"]).parents
        and "numpy" in library["filepath"]
    ]
    return "; ".join(found) or "not found by threadpoolctl"


def in_proc(file, key):
    """Return the value of the first line `key: value` of a file in /proc, or ""."""
    path = Path("/proc", file)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = re.search(rf"^{key}\s*:\s*(.*)", text, re.M)
    return found[1].strip() if found else ""
