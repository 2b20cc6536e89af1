"""Folders that appear complete, and the lock of a folder: `npgpt.folders`."""

import errno
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest
from tiny_run import ROOT, environment

from npgpt import folders
from npgpt.folders import check_free, new_folder, working_in

WORK = """
import sys, time
from pathlib import Path
from npgpt.folders import working_in
with working_in(Path(sys.argv[1])):
    print(flush=True)
    time.sleep(60)
"""


@contextmanager
def at_work(folder):
    """Yield a process in `working_in`, and kill it at the end."""
    command = [sys.executable, "-c", WORK, str(folder)]
    with subprocess.Popen(command, cwd=ROOT, env=environment(), stdout=subprocess.PIPE,
                          encoding="utf-8") as process:
        process.stdout.readline()
        yield process
        process.kill()


def test_a_second_process_is_refused_until_the_first_is_killed(tmp_path):
    with at_work(tmp_path) as process, pytest.raises(
        ValueError, match=f"process {process.pid} on "
    ):
        working_in(tmp_path).__enter__()
    assert (tmp_path / ".lock").exists()
    with working_in(tmp_path), pytest.raises(ValueError, match=f"process {os.getpid()} on "):
        working_in(tmp_path).__enter__()
    assert (tmp_path / ".lock").read_bytes() == b""


def test_where_nothing_can_be_locked_work_goes_on(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with working_in(tmp_path) as locked:
        assert not locked
    monkeypatch.setattr(folders, "fcntl", None)  # as on Windows
    with working_in(tmp_path) as locked:
        assert not locked


def test_a_block_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(ZeroDivisionError), new_folder(tmp_path / "a" / "new") as building:
        (building / "file").touch()
        raise ZeroDivisionError
    assert list((tmp_path / "a").iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
def test_what_is_free(tmp_path, monkeypatch):
    """A missing folder, an empty one, and a link to either."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    for target in ("empty", "far/new"):
        link = tmp_path / f"to-{target[:3]}"
        link.symlink_to(target)
        check_free(link)
        with new_folder(link) as building:
            (building / "file").touch()
        assert link.is_symlink() and (tmp_path / target / "file").exists()
    for name in ("empty", "to-emp", "file", "file/new"):
        with pytest.raises(ValueError, match=f"{name} .* --out$"):
            check_free(tmp_path / name, " with --out")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as root everything can be
    with pytest.raises(ValueError, match="new .*written"):
        check_free(tmp_path / "new")


def test_of_two_that_make_one_folder_the_second_is_told_to_take_another(tmp_path):
    def make_twice():
        with new_folder(tmp_path / "new", " with --out") as later:
            with new_folder(tmp_path / "new") as building:
                (building / "first").touch()
            (later / "second").touch()

    with pytest.raises(OSError, match="new .* --out"):
        make_twice()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "first"]
