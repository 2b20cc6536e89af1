"""Where a number was measured: the processor, the threads, the versions, the BLAS in use."""

import importlib.util
import os
import platform
import re
import sys
from contextlib import suppress
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def described(packages=("numpy", "numba")):
    """Return a line on this machine, for the head of a table."""
    versions = [f"Python {platform.python_version()}"]
    for name in packages:
        with suppress(PackageNotFoundError):
            versions.append(f"{name} {version(name)}")
    processor = in_proc("cpuinfo", "model name") or platform.processor() or platform.machine()
    return f"{processor}, {os.cpu_count()} cores, {platform.system()}, {', '.join(versions)}"


def measured_on():
    """Return the line above measured times, for the process that it is called in."""
    from benchmarks.runners import threads

    return (
        f"{described(('numpy', 'numba', 'torch', 'jax'))}; {threads()} threads; "
        f"NumPy's BLAS: {blas()}; {date.today().isoformat()}"
    )


def blas():
    """Return the BLAS that this process's NumPy calls, with its kernel for this processor."""
    if importlib.util.find_spec("threadpoolctl") is None:
        return "BLAS unknown (pip install threadpoolctl tells)"
    import numpy
    import threadpoolctl

    home = Path(numpy.__file__).parents[1]
    found = [
        f"{library['internal_api']} {library['version']}, kernel "
        f"{library.get('architecture', 'unknown')}, {library['num_threads']} threads"
        for library in threadpoolctl.threadpool_info()
        if library["user_api"] == "blas" and home in Path(library["filepath"]).parents
        and "numpy" in library["filepath"]
    ]
    return "; ".join(found) or "BLAS of NumPy not found by threadpoolctl"


def peak_memory():
    """Return the most bytes this process had resident; None where the system does not say.

    Linux: VmHWM, and not getrusage's maxrss, which also counts what the parent process had
    resident when it started this one.
    """
    if peak := in_proc("self/status", "VmHWM"):
        return int(peak.split()[0]) * 1024
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def in_proc(file, key):
    """Return the value of the first line `key: value` of a file in /proc, or ""."""
    path = Path("/proc", file)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    found = re.search(rf"^{key}\s*:\s*(.*)", text, re.M)
    return found[1].strip() if found else ""
