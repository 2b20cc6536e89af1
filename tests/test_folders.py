"""Folders that appear complete, and the lock of a folder: `npgpt.folders`."""

import errno
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from tiny_run import environment

from npgpt import folders
from npgpt.folders import check_free, new_folder, working_in

ROOT = Path(__file__).parents[1]
WORK = """
import sys, time
from pathlib import Path
from npgpt.folders import new_folder, working_in
with getattr(sys.modules["npgpt.folders"], sys.argv[1])(Path(sys.argv[2])) as building:
    print(building, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def at_work(tmp_path):
    """Start a process in `new_folder` or `working_in`; return it and its first line."""
    started = []

    def start(what, folder):
        process = subprocess.Popen(
            [sys.executable, "-c", WORK, what, str(folder)], cwd=ROOT, env=environment(),
            stdout=subprocess.PIPE, encoding="utf-8",
        )
        started.append(process)
        return process, process.stdout.readline().strip()

    yield start
    for process in started:
        kill(process)
        process.stdout.close()


def kill(process):
    process.kill()
    process.wait()


def test_a_second_process_is_refused_until_the_first_ends_or_is_killed(tmp_path, at_work):
    process, _ = at_work("working_in", tmp_path)
    with pytest.raises(ValueError, match=f"worked in by 'process {process.pid} on "):
        working_in(tmp_path).__enter__()
    kill(process)
    assert (tmp_path / ".lock").exists()
    with working_in(tmp_path), pytest.raises(ValueError, match=f"process {os.getpid()} on "):
        working_in(tmp_path).__enter__()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_of_many_at_once_one_is_inside(tmp_path):
    inside, most, times = [], [], []
    end = time.monotonic() + 2

    def work():
        while time.monotonic() < end:
            try:
                with working_in(tmp_path):
                    inside.append(1)
                    most.append(len(inside))
                    time.sleep(0.0005)
                    inside.pop()
                    times.append(1)
            except ValueError:
                pass

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(most) == 1 and len(times) > 20


def test_where_nothing_can_be_locked_work_goes_on(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", flock)
    with working_in(tmp_path) as locked:
        assert not locked
    monkeypatch.setattr(folders, "fcntl", None)  # as on Windows
    with working_in(tmp_path) as locked:
        assert not locked
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_killed_process_is_named_and_not_deleted(tmp_path, at_work, capsys):
    """It may be at work still."""
    process, left = at_work("new_folder", tmp_path / "new[1]")
    kill(process)
    with new_folder(tmp_path / "new[1]") as building:
        (building / "a").touch()
    said = f"note    {left} is of a process that is at work or was killed; if killed, delete it"
    assert capsys.readouterr().out == f"{said}\n"
    assert sorted(tmp_path.glob("*")) == [Path(left), tmp_path / "new[1]"]


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
    for name, why in (
        ("empty", "is not empty"), ("to-emp", "is not empty"), ("file", "is a file"),
        ("file/new", "file is a file"),
    ):
        with pytest.raises(ValueError, match=f"{name} .*{why}.*: name another with --out"):
            check_free(tmp_path / name, " with --out")
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as root everything can be
    with pytest.raises(ValueError, match="new cannot be made, as .* cannot be written to: name"):
        check_free(tmp_path / "new")


def test_of_two_that_make_one_folder_the_second_is_told_to_take_another(tmp_path):
    def make_twice():
        with new_folder(tmp_path / "new", " with --out") as later:
            with new_folder(tmp_path / "new") as building:
                (building / "first").touch()
            (later / "second").touch()

    with pytest.raises(OSError, match="new cannot be made .*: name another with --out"):
        make_twice()
    assert [path.name for path in tmp_path.rglob("*")] == ["new", "first"]
