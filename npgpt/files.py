"""Files that are whole or absent, and files that are what they seem.

What is written appears in one step: under another name first, then renamed. What is read, and what
is appended to, is a regular file: a folder that a stranger made may hold a pipe that never ends, or
a link to a file of yours. Also what several packages read: arrays of safetensors files, objects of
JSON files, and files fetched once and kept.
"""

import errno
import json
import math
import os
import secrets
import shlex
import stat
import sys
import time
from contextlib import contextmanager, suppress
from mmap import ACCESS_COPY, mmap
from pathlib import Path

import numpy as np

RUN_STATE = "train_state.safetensors"  # a folder with a file of this name is a run's
PATIENCE = 2.0  # seconds
LONGEST = 1 << 24  # bytes of what is typed by hand: a device may never end
UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, OverflowError, RecursionError)
LONGEST_HEADER = 100_000_000  # bytes, as the safetensors library has it
# Dtypes of safetensors files. BF16, which NumPy lacks, is the upper half of a float32.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}  # fmt: skip


def atomic_write(path, content):
    """Write bytes or text (as UTF-8) to `path` in one step, replacing a file that is there.

    A crash, a full disk or a power cut at any moment leaves the old file or the new one, never
    part of one. A link is replaced, not followed. Raises OSError, as any write does; the old file
    is whole then.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path):
    """A binary file to write in parts; it is at `path` once the block ends without an exception.

    An exception in the block leaves the old file, or none, as `atomic_write` does.
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
        move(temporary, path)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            error.filename = str(path)  # the system does not say which file found no room
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path):
    """A hidden name beside `path` that nothing has: a process number may be that of a dead one."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


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


def remove_unfinished(folder, names):
    """Delete what `atomic_file` leaves of files with these names if its process is killed."""
    for name in names:
        for path in folder.glob(f".{name}.*.tmp"):
            path.unlink(missing_ok=True)


# ---- what is there already


def open_file(path, mode="r", **options):
    """`open` for regular files. Raises ValueError at once for a pipe, a device or a folder, and if
    it is opened for writing, for a link."""
    return open(path, mode, opener=_open_regular, **options)


def _open_regular(path, flags):
    writes = flags & (os.O_WRONLY | os.O_RDWR)
    with suppress(FileNotFoundError):  # os.open makes it, or raises the same again
        check_regular(path, os.stat(path, follow_symlinks=not writes))
    # Whatever may have taken its place since: a pipe does not wait, a link is not followed.
    flags |= getattr(os, "O_NONBLOCK", 0) | (getattr(os, "O_NOFOLLOW", 0) if writes else 0)
    descriptor = os.open(path, flags, 0o666)
    try:
        check_regular(path, os.fstat(descriptor))
    except ValueError:
        os.close(descriptor)
        raise
    return descriptor


def check_there(path):
    if not path.exists():
        raise FileNotFoundError(
            f"{path} is missing; check the path, restore it from a copy, or write it again"
        )


def check_regular(path, status):
    """Raise ValueError unless `status`, of os.stat, os.lstat or os.fstat, is a regular file's."""
    if stat.S_ISLNK(status.st_mode):
        raise ValueError(
            f"{path} is a link, and nothing is written through one; put the file itself there"
        )
    if not stat.S_ISREG(status.st_mode):
        what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe or a device"
        raise ValueError(f"{path} is {what}; put a regular file there")


def read_text(path):
    """The text of a UTF-8 file. Raises FileNotFoundError if it is missing, ValueError, with the
    path, for anything else."""
    check_there(path)
    with open_file(path, "rb") as file:
        data = file.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); restore a copy of it") from error


def read_given(path):
    """The bytes of a file that a user names; it may be a pipe, as `<(command)` is.

    Raises ValueError, with the path, if it cannot be read, or has more than LONGEST bytes.
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
    """Return the path of a file in a folder that may be a stranger's.

    Raises ValueError if its name or a link leads out of the folder: it could be any file of yours.
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
    """The arrays of a safetensors file, by name; those of bfloat16 as the same numbers in float32.

    The others are not copied: they are parts of the file in memory, which the system reads when
    they are used, and which nothing is written through. Whoever replaces the file meanwhile has to
    do so in one step, as `atomic_write` does. Raises FileNotFoundError if it is missing, ValueError
    if it is damaged; the message names it and says what to do.
    """
    check_there(path)
    try:
        with open_file(path, "rb") as file:
            empty = os.fstat(file.fileno()).st_size == 0  # and cannot be mapped
            # Windows lets nobody replace a file that is mapped.
            read = empty or os.name == "nt"
            data = bytearray(file.read()) if read else mmap(file.fileno(), 0, access=ACCESS_COPY)
        return _arrays(data)
    except UNREADABLE as error:
        raise ValueError(
            f"{path} is damaged, or its arrays have a dtype that NumPy lacks, such as float8 "
            f"({error}); restore it from a copy, or write it again, in float32"
        ) from error


def _arrays(data):
    """Eight bytes with the length of the header, the header as JSON, the arrays one after another:
    nothing between them, nothing after, and no two in one place."""
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
    """The object in a JSON file.

    Raises FileNotFoundError if it is missing, ValueError if it cannot be read or is anything else,
    holds a number that JSON has not (NaN, Infinity), or is nested too deeply; the message names it.
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
    """A path as it is typed in a command, such as 'my runs/tales'."""
    if os.name == "nt":
        return f'"{path}"' if " " in str(path) else str(path)
    return shlex.quote(str(path))


def fetch(source, sha256, name, downloader=None):
    """The path of a file in the cache, fetched from `source` if it is not there yet.

    The cache is the folder that the environment variable NPGPT_DATA names, or the user's cache
    folder. downloader: another than pooch's for this kind of source. A line on standard error says
    what is fetched, before it is. Raises OSError with the reason, in a line, if the source cannot
    be reached, ValueError if what it gives has another SHA-256.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = Path(os.environ.get("NPGPT_DATA") or pooch.os_cache("npgpt"))
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)  # or compiled code is not trusted there

    def download(*arguments):
        print(f"fetching {source} into {folder}, once", file=sys.stderr)
        (downloader or pooch.HTTPDownloader())(*arguments)

    try:
        return Path(pooch.retrieve(source, f"sha256:{sha256}", name, folder, downloader=download))
    except OSError as error:
        while error.__context__:  # the system's error, in urllib3's, in requests'
            error = error.__context__
        raise OSError(getattr(error, "strerror", None) or str(error)) from None
