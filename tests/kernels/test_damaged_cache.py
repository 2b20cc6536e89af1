"""Kept code that is damaged, or cannot be kept, is compiled again, and ends no run."""

import os
import subprocess
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autograd.kernels import compiler

pytestmark = pytest.mark.slow

CHILD = """
from pathlib import Path
from autograd.kernels import compiler
def double(x):
    return 2 * x
with compiler.compiled_code_cached("test", Path(__file__).parent):
    kernel = compiler.serial_kernel(double)
print(kernel(21), *kernel.stats.cache_hits.values())
"""


def double(x):
    return 2 * x


def triple(x):
    return 3 * x


def fresh(function=double):
    """The kernel as a new process has it."""
    with compiler.compiled_code_cached("test", Path(__file__).parent):
        return compiler.serial_kernel(function)


def loaded(kernel):
    """Whether its code came from disk, when it is called."""
    assert kernel(21) == 42
    return bool(kernel.stats.cache_hits)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """{path: content} of an index, .nbi, and of the code that it names, .nbc.

    The folder is the same for all tests of this file, so that few have to compile anything.
    """
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("NUMBA_CACHE_DIR", str(folder))
        assert not loaded(fresh())
        yield {path: path.read_bytes() for path in folder.rglob("*.nb[ic]")}


def whole(files, suffix):
    """The file of this kind, after all are put back as they were."""
    folder = next(iter(files)).parent
    for path in set(folder.iterdir()) - set(files):
        path.unlink()
    for path, content in files.items():
        path.write_bytes(content)
    (found,) = (path for path in files if path.suffix == suffix)
    return found


# ---- damaged


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@settings(max_examples=30)
@given(data=st.data())
def test_a_file_cut_short_is_replaced(files, suffix, data):
    path = whole(files, suffix)
    path.write_bytes(files[path][: data.draw(st.integers(0, len(files[path]) - 1))])
    assert not loaded(fresh())
    assert loaded(fresh())


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
@settings(max_examples=30)
@given(data=st.data())
def test_a_file_with_a_hole_is_never_run(files, suffix, data):
    """The right length, and zeros where the system had not written when the power went."""
    path = whole(files, suffix)
    start = data.draw(st.integers(0, len(files[path]) - 1))
    hole = files[path][start : start + data.draw(st.integers(1, len(files[path])))]
    path.write_bytes(files[path].replace(hole, bytes(len(hole)), 1))
    loaded(fresh())
    assert loaded(fresh())


def test_two_processes_that_find_a_damaged_index_at_once(tmp_path):
    code = tmp_path / "code" / "child.py"
    code.parent.mkdir()
    code.write_text(CHILD, encoding="utf-8")

    variables = {
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
        "PYTHONPATH": os.pathsep.join(sys.path),
    }

    def outputs(processes):
        children = [
            subprocess.Popen(
                [sys.executable, code], env=os.environ | variables,
                stdout=subprocess.PIPE, encoding="utf-8",
            )
            for _ in range(processes)
        ]  # fmt: skip
        return [child.communicate()[0].strip() for child in children]

    assert outputs(1) == ["42"]
    (index,) = (tmp_path / "cache").rglob("*.nbi")
    index.write_bytes(b"")
    for output in outputs(2):
        assert output in ("42", "42 1")  # one may find what the other has saved
    assert outputs(1) == ["42 1"]


# ---- of another kernel


def swap(one, other):
    one.rename(one.with_suffix(".tmp"))
    other.rename(one)
    one.with_suffix(".tmp").rename(other)


@pytest.mark.parametrize("suffix", [".nbi", ".nbc"])
def test_swapped_files_are_noticed_and_compiled_again(tmp_path, monkeypatch, suffix):
    """The two functions have the same byte code, so that Numba finds nothing wrong."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    functions = {double: 42, triple: 63}
    assert [fresh(function)(21) for function in functions] == [42, 63]
    swap(*tmp_path.rglob(f"*{suffix}"))
    for hits in (0, 1):
        for function, result in functions.items():
            kernel = fresh(function)
            assert kernel(21) == result and len(kernel.stats.cache_hits) == hits


def test_code_for_another_type_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    fresh()(21)
    (of_integers,) = tmp_path.rglob("*.nbc")
    assert fresh()(1.5) == 3.0
    (of_floats,) = set(tmp_path.rglob("*.nbc")) - {of_integers}
    swap(of_integers, of_floats)
    assert fresh()(1.5) == 3.0 and fresh()(21) == 42


def test_code_of_other_sources_is_noticed(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    other = compiler.cache_folder("test", tmp_path)
    fresh()(21)
    (folder,) = set(tmp_path.iterdir()) - {other}
    other.rmdir()
    folder.rename(other)
    with compiler.compiled_code_cached("test", tmp_path):
        kernel = compiler.serial_kernel(double)
    assert not loaded(kernel)


# ---- not to be kept


@contextmanager
def unable_to_write(*folders):
    """Inside, nothing can be written to the folders; root, who could, is nobody meanwhile."""
    for folder in folders:
        folder.chmod(0o555)
    root = os.geteuid() == 0
    if root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if root:
            os.seteuid(0)
        for folder in folders:
            folder.chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such modes")
def test_a_folder_that_cannot_be_written_to_is_loaded_from(monkeypatch):
    """As one that comes with a system: what it has is loaded, what it lacks is compiled."""
    with tempfile.TemporaryDirectory() as cache:
        monkeypatch.setenv("NUMBA_CACHE_DIR", cache)
        assert fresh()(21) == 42 and fresh(triple)(2.0) == 6
        (folder,) = Path(cache).iterdir()
        files = sorted(folder.iterdir())
        with unable_to_write(folder, folder.parent):
            with warnings.catch_warnings(action="error"):
                assert loaded(fresh())
            kernel = fresh(triple)
            with warned_once(monkeypatch):
                assert kernel(21) == 63 and fresh()(2.0) == 4
            assert kernel(2.0) == 6 and len(kernel.stats.cache_hits) == 1  # of the same function
            assert loaded(fresh())
        assert sorted(folder.iterdir()) == files


@contextmanager
def warned_once(monkeypatch):
    monkeypatch.setattr(compiler._Cache, "warned", False)
    with pytest.warns(RuntimeWarning, match="every run will compile.*Set NUMBA_CACHE_DIR") as told:
        yield
    assert len(told) == 1


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize("room", [0, 1000])  # for nothing, and for the index alone
@pytest.mark.parametrize("damaged", [False, True])
def test_a_full_disk_is_a_warning(files, monkeypatch, room, damaged):
    import resource

    index = whole(files, ".nbi")
    index.unlink()
    if damaged:
        index.touch()
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with warned_once(monkeypatch):
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, before[1]))
        try:
            for kernel in (fresh(), fresh()):
                assert not loaded(kernel)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not loaded(fresh())
    assert loaded(fresh())


@pytest.mark.skipif(os.name == "nt", reason="Windows reports it as a file in use, which passes")
def test_a_damaged_index_that_can_not_be_replaced_is_a_warning(files, monkeypatch):
    """A folder in its place, since some users may write to any file."""
    index = whole(files, ".nbi")
    index.unlink()
    index.mkdir()
    with warned_once(monkeypatch):
        for kernel in (fresh(), fresh()):
            assert not loaded(kernel)
    index.rmdir()
