"""Folders that appear whole, and in which one process works at a time.

A lock belongs to its process: the system releases it when the process ends, after `kill -9` too. On
file systems without locks nothing here fails; what is then not done is said beside each function.
"""

import errno
import os
import re
import shutil
import socket
import sys
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from npgpt.files import move, open_file, temporary_name

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"  # in a folder that is being worked in: who does
BEYOND = 1 << 30  # the byte that is locked on Windows, where nobody can read a locked one


def check_free(folder, how=""):
    """Raise ValueError unless `new_folder` can make `folder`; `how` to name another is added.

    It can where nothing is, or an empty folder, or a link to either.
    """
    real = Path(os.path.realpath(folder))
    what = _taken(real)
    if what:
        raise ValueError(f"{folder} {what}, and nothing in it is overwritten: name another{how}")
    above = next((parent for parent in real.parents if parent.exists()), None)
    if above and not (above.is_dir() and os.access(above, os.W_OK)):
        what = "cannot be written to" if above.is_dir() else "is a file"
        raise ValueError(f"{folder} cannot be made, as {above} {what}: name another{how}")


def _taken(real):
    if not os.path.lexists(real):
        return None
    if not real.is_dir():
        return "is a link that leads nowhere" if real.is_symlink() else "is a file"
    if any(real.iterdir()):
        return "is not empty"
    if real == Path(os.path.realpath(os.curdir)) or real.is_mount():
        return "cannot be replaced by a new folder"
    return None


@contextmanager
def new_folder(folder, how=""):
    """A folder to fill; it is at `folder` once the block ends without an exception, else nowhere.

    What is left where a process was killed is deleted by the next that makes the same folder; on
    Windows, and on file systems without locks, it stays, as it might be somebody's work. Raises
    OSError, with `how` to name another, if there can be none.
    """
    real = Path(os.path.realpath(folder))
    _remove_leftovers(real)
    with ExitStack() as stack:
        try:
            building = _building(real, stack)
        except OSError as error:
            raise OSError(f"{folder} cannot be made ({error}): name another{how}") from error
        stack.callback(shutil.rmtree, building, ignore_errors=True)
        yield building
        if real.exists():
            real.rmdir()  # it is empty; Windows renames only to a path that is free
        move(building, real)


def _building(real, stack):
    """A new folder beside `real`, locked until the stack ends."""
    while True:
        building = temporary_name(real)
        building.mkdir(parents=True)
        # A clean-up may have had the lock first; then the folder is gone, now or soon.
        with suppress(BlockingIOError, FileNotFoundError):
            _lock_folder(building, stack)
            building.stat()
            return building


def _lock_folder(folder, stack):
    """Lock a folder; where there are no locks, do nothing. BlockingIOError if it is locked."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
        stack.callback(os.close, descriptor)
        lock(descriptor)
    except (BlockingIOError, FileNotFoundError):
        raise
    except OSError:
        return False
    return True


def _remove_leftovers(real):
    leftover = re.compile(rf"\.{re.escape(real.name)}\.[0-9a-f]+\.tmp")
    with suppress(OSError):
        for path in real.parent.iterdir():
            if leftover.fullmatch(path.name) and path.is_dir() and not path.is_symlink():
                with suppress(OSError), ExitStack() as stack:
                    if _lock_folder(path, stack):
                        shutil.rmtree(path)


@contextmanager
def working_in(folder):
    """Inside, no other process that asks works in `folder`.

    The file `.lock` is in it meanwhile. Raises ValueError if another process is at work, and says
    which; where files cannot be locked that is said, and nothing is refused.
    """
    path = folder / LOCK
    with _locked(path) as file:
        file.truncate(0)
        file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield
        finally:
            if os.name == "nt":  # which deletes no open file
                file.close()
            with suppress(OSError):
                path.unlink()


def _locked(path):
    """The open file at `path`, locked; made if there is none."""
    while True:
        file = open_file(path, "a+b", buffering=0)
        try:
            lock(file.fileno())
            # Whoever had it before may have deleted it after it was opened here.
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except BlockingIOError:
            file.seek(0)
            who = re.fullmatch(rb"process \d+ on [\w.-]+", file.read(300))
            file.close()
            who = who[0].decode() if who else "another process"
            raise ValueError(
                f"{path.parent} is being worked in by {who}; wait until that ends, or end it"
            ) from None
        except FileNotFoundError:
            pass
        except OSError as error:
            print(f"{path.parent} cannot be locked ({error}): take care that only one process at a "
                  "time works in it", file=sys.stderr)  # fmt: skip
            return file
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
