"""Files that are whole or absent: each is written under another name beside it, then renamed."""

import os
import time
from contextlib import contextmanager

RUN_STATE = "train_state.safetensors"  # a folder with a file of this name is a run's
PATIENCE = 2.0  # seconds


def atomic_write(path, content):
    """Write bytes or text (as UTF-8) to `path` in one step, replacing a file that is there.

    A crash, a full disk or a power cut at any moment leaves the old file or the new one, never
    part of one. Raises OSError, as any write does; the old file is whole then.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path):
    """A binary file to write in parts, which has its name when the block ends as it should.

    An exception in the block leaves the old file, or none, as `atomic_write` does.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the rename could reach the disk before the content
        move(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def move(source, target):
    """Rename a file onto another, or a folder to where none is, in one step.

    Windows refuses that while any program has a file of either open, as one that reads the weights
    or looks for viruses has for a moment; only when PATIENCE has run out is it an error here.
    """
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return os.replace(source, target)
        except PermissionError:
            if time.monotonic() > end:
                raise
            time.sleep(0.05)


def is_taken(folder):
    """Whether there is something at this path, other than an empty folder, to be overwritten."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def remove_unfinished(folder):
    """Delete what `atomic_file` leaves in a folder if its process is killed."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
