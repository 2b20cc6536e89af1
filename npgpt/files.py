"""Files that are complete or absent, and files from strangers, read with care.

A file is written under a temporary name and then renamed, so that it appears in one step. Only
regular files are read or appended to: a folder from a stranger may hold a pipe that never ends, or
a link to a file of yours. Also here: the readers of safetensors and JSON files.
"""

import errno
import json
import math
import os
import secrets
import shlex
import stat
from contextlib import contextmanager, suppress
from mmap import ACCESS_COPY, mmap
from pathlib import Path

import numpy as np

RUN_STATE = "train_state.safetensors"  # a folder that holds this file is a run
LONGEST = 1 << 24  # bytes of a file that is named by hand: a device may never end
UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
LONGEST_HEADER = 100_000_000  # bytes, the limit of the safetensors library
# Dtypes of safetensors files. NumPy lacks BF16, the upper half of a float32.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}


def atomic_write(path, content):
    """Write bytes or text (as UTF-8) to `path` in one step, replacing a file that is there.

    A crash, a full disk or a power cut leaves the complete old file or the complete new one. A link
    is replaced, not followed. Raises OSError as any write does, and the old file is intact then.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path):
    """Yield a binary file to write in parts, and rename it to `path` once the block has succeeded.

    An exception in the block leaves the old file, or none, as with `atomic_write`.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; create it first")
    temporary = temporary_name(path)
    try:
        with open(temporary, "xb") as file:  # x: nothing was there, so no link either
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the rename could reach the disk before the content
        os.replace(temporary, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = str(path)  # the system does not name the file that found no room
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path):
    """Return a hidden path beside `path`, random since a dead process may have had our number."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def remove_unfinished(folder, names):
    """Delete the temporary files of these names that a killed `atomic_file` left in `folder`."""
    for name in names:
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


# ---- reading


def open_file(path, mode="r", **options):
    """Open a regular file as `open` does.

    Raises ValueError for a pipe, a device or a folder, and for a link unless it is only read.
    """
    with suppress(FileNotFoundError):  # `open` makes the file, or raises this again
        check_regular(path, os.stat(path, follow_symlinks=mode in ("r", "rb")))
    return open(path, mode, **options)


def check_there(path):
    """Raise FileNotFoundError if there is nothing at `path`."""
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing; check the path, restore it from a copy, or write it again"
        )


def check_regular(path, status):
    """Raise ValueError unless `status`, the result of os.stat or os.lstat, is of a regular file."""
    if stat.S_ISLNK(status.st_mode):
        raise ValueError(
            f"{path} is a link, and nothing is written through one; put the file itself there"
        )
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise ValueError(f"{path} is {what}; put a regular file there")


def read_text(path):
    """Return the text of a UTF-8 file.

    Raises FileNotFoundError if it is missing, ValueError if it cannot be read; both name the path.
    """
    check_there(path)
    with open_file(path, "rb") as file:
        data = file.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); restore a copy of it") from error


def read_given(path):
    """Return the bytes of a file that a user names; it may be a pipe, as in `<(command)`.

    Raises ValueError, which names the path, if it cannot be read or has more than LONGEST bytes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(LONGEST + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); name a text file") from error
    if len(data) > LONGEST:
        raise ValueError(f"{path} is longer than {LONGEST:,} bytes; name a shorter file")
    return data


def member(folder, name):
    """Return the path of a file in a folder that may come from a stranger.

    Raises ValueError if the name or a link leads out of the folder, perhaps to a file of yours.
    Links in snapshots/REVISION may lead to blobs beside snapshots, as in the cache of the Hub.
    """
    path = Path(folder, name)
    home, target = Path(os.path.realpath(folder)), os.path.realpath(path)
    homes = [home] + [home.parent.parent / "blobs"] * (home.parent.name == "snapshots")
    if not any(map(Path(target).is_relative_to, homes)):
        raise ValueError(
            f"{path} leads out of its folder, to {target}, which is not read; put the file itself "
            "there"
        )
    return path


def read_arrays(path):
    """Return the arrays of a safetensors file by name; bfloat16 arrays become float32.

    The file is mapped, not copied: the system reads an array when it is used, and writing to one
    does not change the file. Meanwhile the file may be replaced only in one step, as `atomic_write`
    does. Raises FileNotFoundError if it is missing, ValueError if it is damaged; the message names
    it and says what to do.
    """
    check_there(path)
    try:
        with open_file(path, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # and cannot be mapped
            # Windows does not replace a file that is mapped.
            read = empty or os.name == "nt"
            data = bytearray(file.read()) if read else mmap(file.fileno(), 0, access=ACCESS_COPY)
        return _arrays(data)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or its arrays have a dtype that NumPy lacks, such as float8 "
            f"({error}); restore it from a copy, or write it again, in float32"
        ) from error


def _arrays(data):
    """Return the arrays in the bytes of a safetensors file.

    Eight bytes with the length of the header, the header as JSON, then the arrays one after
    another: no gaps, no overlaps, and nothing after the last.
    """
    start = 8 + int.from_bytes(data[:8], "little")
    if not 8 < start <= min(len(data), LONGEST_HEADER):
        raise ValueError(f"its header would end at byte {start:,} of {len(data):,}")
    entries = json.loads(data[8:start], object_pairs_hook=_distinct)
    entries.pop("__metadata__", None)
    arrays, end = {}, start
    for name, entry in sorted(entries.items(), key=lambda item: item[1]["data_offsets"]):
        dtype, shape = np.dtype(DTYPES[entry["dtype"]]), entry["shape"]
        if not all(type(size) is int and size >= 0 for size in shape):
            raise ValueError(f"{name} has the shape {shape}")
        size = math.prod(shape)
        if entry["data_offsets"] != [end - start, end - start + size * dtype.itemsize]:
            raise ValueError(f"{name} is not where its size and the arrays before it put it")
        array = np.frombuffer(data, dtype, size, end) if size else np.empty(0, dtype)
        arrays[name] = _supported(array.reshape(shape), entry["dtype"])
        end += array.nbytes
    if end != len(data):
        raise ValueError(f"its arrays end at byte {end:,} of {len(data):,}")
    return arrays


def _distinct(pairs):
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is there twice")
    return found


def _supported(array, dtype):
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array if array.flags.aligned else array.copy()


def read_json(path):
    """Return the object in a JSON file as a dict.

    Raises FileNotFoundError if the file is missing, ValueError if it cannot be read, holds no
    object or a number that JSON lacks (NaN, Infinity), or is nested too deeply; the message names
    the file.
    """

    def refuse(constant):
        raise ValueError(f"{constant} is not a number of JSON")

    text = read_text(path)
    try:
        fields = json.loads(text, parse_constant=refuse)
        if not isinstance(fields, dict):
            raise ValueError(f"it holds a {type(fields).__name__}, not an object {{...}}")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or write it again") from error
    return fields


def quoted(path):
    """Return a path as it is typed in a command, such as 'my runs/tales'."""
    if os.name == "nt":
        return f'"{path}"' if " " in str(path) else str(path)
    return shlex.quote(str(path))
