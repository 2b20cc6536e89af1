"""Folders that appear complete or not at all, and locks that let one process work in a folder.

A lock belongs to its process: the system releases it when the process ends, after `kill -9` too.
"""

import errno
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

from npgpt.files import open_file, temporary_name

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

BEYOND = 1 << 30  # the byte that is locked on Windows: others must be able to read the rest


def check_free(folder, how="", own=b""):
    """Raise ValueError unless `new_folder` can make `folder`.

    how   the end of the message: the option that names a folder, such as " with --out"
    own   bytes near the beginning of a file that may be replaced, as the same command made it

    A folder can be made where there is nothing, an empty folder, or a link to either.
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
    """Yield a hidden folder to fill, and rename it to `folder` once the block has succeeded.

    After an exception there is neither folder; a process that is killed leaves the hidden one.
    Raises OSError, ending in `how` as in `check_free`, if the folder cannot be made.
    """
    real = Path(os.path.realpath(folder))
    building = temporary_name(real)
    with _naming_another(folder, how):
        building.mkdir(parents=True)
    try:
        yield building
        with _naming_another(folder, how):
            if real.exists():
                real.rmdir()  # it is empty; Windows renames only to a path that is free
            os.replace(building, real)
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


@contextmanager
def working_in(folder):
    """Lock `folder` for a block, by the file .lock in it; yield False where files have no locks.

    Raises ValueError, which names the other process, if one has locked it.
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
    """Return (the open file at `path`, created if missing; False where files have no locks)."""
    while True:
        file = open_file(path, "a+b", buffering=0)
        try:
            lock(file.fileno())
            # The process that held the lock may have deleted the file after it was opened here.
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

    Raises BlockingIOError if it is locked already, a different OSError where there are no locks.
    """
    if fcntl:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    import msvcrt

    os.lseek(descriptor, BEYOND, os.SEEK_SET)
    try:
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
    except PermissionError as error:
        raise BlockingIOError(errno.EAGAIN, "locked already") from error
