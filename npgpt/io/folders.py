"""Folders that appear whole, and in which one process works at a time.

A lock belongs to its process: the system releases it when the process ends, after `kill -9` too.
"""

import errno
import os
import re
import shutil
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

from npgpt.files import move, open_file, temporary_name

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BEYOND = 1 << 30  # the byte that is locked on Windows, where nobody can read a locked one


def check_free(folder, how="", own=b""):
    """Raise ValueError unless `new_folder` can make `folder`; `how` to name another is added.

    It can where nothing is, or an empty folder, or a link to either. A file, but no link to one,
    with the bytes `own` near its beginning is free too: the command that asks made it.
    """
    if own and Path(folder).is_file() and not Path(folder).is_symlink():
        with open_file(folder, "rb") as file:
            if own in file.read(200):
                return
    real = Path(os.path.realpath(folder))
    what = None
    if os.path.lexists(real) and not real.is_dir():
        what = "is a link that leads nowhere" if real.is_symlink() else "is a file"
    elif real.is_dir() and any(real.iterdir()):
        what = "is not empty"
    elif real.is_dir() and (real == Path.cwd().resolve() or real.is_mount()):
        what = "cannot be replaced by a new folder"
    if what:
        raise ValueError(f"{folder} {what}, and nothing in it is overwritten: name another{how}")
    above = next((parent for parent in real.parents if parent.exists()), None)
    if above and not (above.is_dir() and os.access(above, os.W_OK)):
        what = "cannot be written to" if above.is_dir() else "is a file"
        raise ValueError(f"{folder} cannot be made, as {above} {what}: name another{how}")


@contextmanager
def new_folder(folder, how=""):
    """A folder to fill; it is at `folder` once the block ends without an exception, else nowhere.

    What a killed process left of it is deleted, if a lock shows that nobody is at work there.
    Raises OSError, with `how` to name another, if it cannot be made.
    """
    real = Path(os.path.realpath(folder))
    _remove_leftovers(real)
    building = temporary_name(real)
    with _naming_another(folder, how):
        building.mkdir(parents=True)
    try:
        with working_in(building):
            yield building
        with _naming_another(folder, how):
            if real.exists():
                real.rmdir()  # it is empty; Windows renames only to a path that is free
            move(building, real)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = str(folder)
        raise
    finally:
        shutil.rmtree(building, ignore_errors=True)


@contextmanager
def _naming_another(folder, how):
    try:
        yield
    except OSError as error:
        raise OSError(f"{folder} cannot be made ({error}): name another{how}") from error


def _remove_leftovers(real):
    leftover = re.compile(rf"\.{re.escape(real.name)}\.[0-9a-f]+\.tmp")
    for path in list(real.parent.glob(".*.tmp")):
        if leftover.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
            try:
                with working_in(path) as unused:
                    pass
            except (OSError, ValueError):
                continue
            if unused:
                shutil.rmtree(path, ignore_errors=True)


@contextmanager
def working_in(folder):
    """Inside, no other process that asks works in `folder`; the value is whether that is certain.

    It is not where files cannot be locked. The file `.lock` is in the folder meanwhile. Raises
    ValueError, which says who, if another process is at work there.
    """
    path = folder / ".lock"
    file, locked = _locked(path)
    with file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield locked
        finally:
            if os.name == "nt":  # which deletes no open file
                file.close()
            with suppress(OSError):
                path.unlink()


def _locked(path):
    """(open file at `path`, made if there is none; whether it is locked, or nothing can be)."""
    while True:
        file = open_file(path, "a+b", buffering=0)
        try:
            lock(file.fileno())
            # Whoever had it before may have deleted it after it was opened here.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file, True
        except BlockingIOError:
            file.seek(0)
            who = file.read(300).decode(errors="replace")
            file.close()
            raise ValueError(
                f"{path.parent} is being worked in by {who!r}; wait until that ends, or end it"
            ) from None
        except FileNotFoundError:
            pass
        except OSError:
            return file, False
        file.close()


def lock(descriptor):
    """Lock an open file until it is closed or its process ends.

    Raises BlockingIOError if another has locked it, another OSError where there are no locks.
    """
    if fcntl:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    os.lseek(descriptor, BEYOND, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(errno.EAGAIN, "locked by another") from error
