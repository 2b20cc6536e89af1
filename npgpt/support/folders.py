"""Folders that appear complete or not at all, and locks that let one process work in a folder.

A lock belongs to its process: the system releases it when the process ends, after `kill -9` too.
"""

import os
import shutil
import socket
from contextlib import contextmanager, suppress
from pathlib import Path

from npgpt.support.files import open_file, temporary_name

INDEX_PAGE = "index.html"

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


def check_free(folder, how="", own=b""):
    """Raise ValueError unless `new_folder` can make `folder`.

    how   the end of the message: the option that names a folder, such as " with --out"
    own   bytes near the beginning of a file, or of a folder's index.html, that may be replaced, as
          the same command made it; `new_folder` keeps the folder as FOLDER.before

    A folder can be made where there is nothing, an empty folder, or a link to either.
    """
    path, real = Path(folder), Path(os.path.realpath(folder))
    if _made_by(own, path):
        return
    before, what = real.with_name(f"{real.name}.before"), None
    if _made_by(own, real / INDEX_PAGE):
        replaced = not before.is_symlink() and _made_by(own, before / INDEX_PAGE)
        if os.path.lexists(before) and not replaced:
            what = f"would be kept as {before}, which is of a different kind"
    elif real.is_dir() and any(real.iterdir()):
        what = "is not empty"
    elif os.path.lexists(real) and not real.is_dir():
        what = "is a file"
    elif real == Path.cwd():
        what = "is the folder that you are in"
    if what:
        raise ValueError(f"{folder} {what}, and nothing in it is overwritten: name another{how}")
    above = next(parent for parent in real.parents if parent.exists())
    if not (above.is_dir() and os.access(above, os.W_OK)):
        what = "cannot be written to" if above.is_dir() else "is a file"
        raise ValueError(f"{folder} cannot be made, as {above} {what}: name another{how}")


def _made_by(own, path):
    """Return whether a file begins with the mark `own`."""
    if not own or not path.is_file() or path.is_symlink():
        return False
    with open(path, "rb") as file:
        return own in file.read(200)


@contextmanager
def new_folder(folder, how="", own=b""):
    """Yield a hidden folder to fill, and rename it to `folder` once the block has succeeded.

    After an exception there is neither folder; a process that is killed leaves the hidden one. A
    folder with the mark `own` (`check_free`) becomes FOLDER.before, with all that was added to it.
    Raises OSError, ending in `how` as in `check_free`, if the folder cannot be made or filled.
    """
    real = Path(os.path.realpath(folder))
    building, oldest = temporary_name(real), temporary_name(real)
    try:
        building.mkdir(parents=True)
        yield building
        if own:
            check_free(folder, how, own)
        if _made_by(own, real / INDEX_PAGE):
            with suppress(FileNotFoundError):
                os.replace(before := real.with_name(f"{real.name}.before"), oldest)
            os.replace(real, before)
            print(f"note    the one that was there is {before} now")
        elif real.exists():
            real.rmdir()  # it is empty; Windows renames only to a path that is free
        os.replace(building, real)  # fails if a process has made `folder` meanwhile
    except OSError as error:
        raise OSError(f"{folder} cannot be made ({error}): name another{how}") from error
    finally:
        for left in (building, oldest):
            shutil.rmtree(left, ignore_errors=True)


@contextmanager
def working_in(folder):
    """Lock `folder` for a block, by the file .lock in it; yield False where files have no locks.

    The file stays: a process that deleted it could delete the lock of the next one. Raises
    ValueError, which names the other process, if one has locked it.
    """
    if fcntl is None:
        yield False
        return
    with open_file(folder / ".lock", "a+b", buffering=0) as file:
        locked = True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            who = file.read(300).decode(errors="replace")
            raise ValueError(
                f"{folder} is being worked in by {who!r}; wait until that ends, or end it"
            ) from None
        except OSError:
            locked = False
        if locked:
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}".encode())
        try:
            yield locked
        finally:
            file.truncate(0)
