"""Folders that appear complete, and the lock of a folder: `npgpt.support.folders`."""

import errno
import os
import subprocess
import sys
from contextlib import contextmanager, suppress

import pytest
from tiny_run import ROOT, environment, files

from npgpt.support import folders
from npgpt.support.folders import check_free, new_folder, working_in

WORK = """
import sys, time
from pathlib import Path
from npgpt.support.folders import working_in
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


@pytest.mark.parametrize("kill", range(4))
def test_what_the_same_command_made_is_kept_whenever_the_making_ends(tmp_path, monkeypatch, kill):
    """With what was added to it, and it replaces what was kept before."""
    def make(text):
        with new_folder(tmp_path / "b", "", b"mark") as building:
            (building / "index.html").write_text(f"mark {text}")

    for text in ("oldest", "old"):
        make(text)
    (tmp_path / "b" / "mine").touch()
    left, real = iter(range(kill)), os.replace

    def replace(*paths):
        if next(left, None) is None:
            raise KeyboardInterrupt
        real(*paths)

    monkeypatch.setattr(os, "replace", replace)
    with suppress(KeyboardInterrupt):
        make("new")
    found = {path.relative_to(tmp_path).as_posix(): path.read_text()
             for path in tmp_path.rglob("*") if path.is_file()}
    assert {"b/mine", "b.before/mine"} & {*found}
    assert found.get("b/index.html", found.get("b.before/index.html")) == (
        "mark new" if kill == 3 else "mark old")


@pytest.mark.skipif(os.name == "nt", reason="links need rights there")
@pytest.mark.parametrize("what", ["a page", "a link", "a folder before", "a link before"])
def test_nothing_of_another_kind_is_replaced(tmp_path, what):
    for name in ("b", "far"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "index.html").write_text("mark")
    page, before = tmp_path / "b" / "index.html", tmp_path / "b.before"
    if what == "a page":
        page.write_text("mine")
    elif what == "a link":
        page.unlink()
        page.symlink_to("../far/index.html")
    elif what == "a folder before":
        before.mkdir()
    else:
        before.symlink_to("far")
    there = files(tmp_path)
    with (pytest.raises((OSError, ValueError), match="--out"),
          new_folder(tmp_path / "b", " with --out", b"mark")):
        pass
    assert files(tmp_path) == there
