"""Files that are complete or absent, and files from strangers, read with care.

A file is written under a temporary name and then renamed, so that it appears in one step. Only
regular files are read or appended to: a folder from a stranger may hold a pipe that never ends, or
a link to a file of yours. Also here: the readers of safetensors and JSON files.
"""

import glob
import json
import os
import secrets
import shlex
import shutil
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

RUN_STATE = "train_state.safetensors"  # a folder that holds this file is a run
# Dtypes of safetensors files. NumPy lacks BF16, the upper half of a float32.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}


def atomic_write(path, content):
    """Write bytes or text (as UTF-8) to `path` in one step, replacing a file that is there.

    A crash, a full disk or a power cut leaves the complete old file or the complete new one, with
    the mode of the old one. A link is replaced, not followed. Raises OSError as any write does.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path):
    """Yield a binary file to write in parts, and rename it to `path` once the block has succeeded.
    """
    path = Path(path)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"no folder {path.parent} to save {path.name} in; create it first")
    temporary = temporary_name(path)
    try:
        with open(temporary, "xb") as file:  # x: nothing was there, so no link either
            if path.is_file() and path.stat().st_mode != os.fstat(file.fileno()).st_mode:
                shutil.copymode(path, temporary)
            yield file
            file.flush()
            os.fsync(file.fileno())  # or the rename could reach the disk before the content
        os.replace(temporary, path)
    except OSError as error:
        error.filename = error.filename or str(path)  # a full disk names no file
        raise
    finally:
        temporary.unlink(missing_ok=True)


def temporary_name(path):
    """Return a random hidden path beside `path`, for a file or folder that is to be renamed."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


def unfinished(path):
    """Yield the temporary paths beside `path`, which a process still fills or a killed one left."""
    return path.parent.glob(f".{glob.escape(path.name)}.*.tmp")


def append(path, text):
    """Add lines to a UTF-8 file, created if missing, and wait until they are on the disk.

    A last line that has no end gets one. An error, as of a full disk, leaves the file as it was.
    """
    with open_file(path, "ab+", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - 1))
        data = (b"\n" if file.read() not in (b"", b"\n") else b"") + text.encode("utf-8")
        try:
            while data:
                data = data[file.write(data) :]
            os.fsync(file.fileno())
        except OSError:
            file.truncate(size)
            raise


# ---- reading


def open_file(path, mode="r", **options):
    """Open a file as `open` does, but only a regular one; writing creates a missing one.

    Raises FileNotFoundError if there is nothing to read; for writing, as `check_own` does.
    """
    path = Path(path)
    if mode not in ("r", "rb"):
        check_own(path)
    elif not path.exists():
        raise FileNotFoundError(f"{path} is missing; check the path, or restore the file")
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is a folder, a pipe or a device; put a file there, or a copy")
    return open(path, mode, **options)


def check_own(path, second_name=False):
    """Raise ValueError if to write to `path` would change a file elsewhere.

    second_name   True to accept a hard link, which a new file replaces
    """
    if path.is_symlink() or (not second_name and path.is_file() and path.stat().st_nlink > 1):
        raise ValueError(f"{path} is a link or a hard link; put a file there, such as a copy")


def read_text(path):
    """Return the text of a UTF-8 file.

    Raises FileNotFoundError if it is missing, ValueError if it cannot be read; both name the path.
    """
    with open_file(path, "rb") as file:
        data = file.read()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); restore a copy of it") from error


def read_given(path, most):
    """Return the bytes of a file that a user names; it may be a pipe, as in `<(command)`.

    Raises ValueError, which names the path, if it cannot be read or has more than `most` bytes.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(most + 1)
    except OSError as error:
        raise ValueError(f"{path} cannot be read ({error.strerror}); name a text file") from error
    if len(data) > most:
        raise ValueError(f"{path} has more than {most:,} bytes; name a smaller file")
    return data


def member(folder, name):
    """Return the path of a file in a folder that may come from a stranger.

    Raises ValueError if the name or a link leads out of the folder, perhaps to a file of yours.
    Links in snapshots/REVISION may lead to blobs beside snapshots, as in the cache of the Hub.
    """
    path = Path(folder, name)
    home, target = Path(os.path.realpath(folder)), Path(os.path.realpath(path))
    homes = [home]
    if home.parent.name == "snapshots":
        homes.append(home.parent.parent / "blobs")
    if not any(map(target.is_relative_to, homes)):
        raise ValueError(f"{path} leads out of its folder, to {target}; put the file itself there")
    return path


def read_arrays(path):
    """Return the arrays of a safetensors file by name; bfloat16 arrays become float32.

    The file is mapped, not copied: the system reads an array when it is used, and writing to one
    does not change the file. Meanwhile the file may be replaced only in one step, as `atomic_write`
    does. Raises FileNotFoundError if it is missing, ValueError, which names it, if it is damaged.
    """
    open_file(path, "rb").close()  # for a reason in words, where it may not be read
    try:
        with safe_open(path, "numpy"):  # checks the header against the file; it would copy arrays
            pass
        # Windows does not replace a file that is mapped.
        data = np.fromfile(path, "u1") if os.name == "nt" else np.memmap(path, "u1", "c")
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        entries = json.loads(data[8:start].tobytes())
        entries.pop("__metadata__", None)
        return {name: _array(np.asarray(data[start:]), **entry) for name, entry in entries.items()}
    except (SafetensorError, KeyError, ValueError) as error:
        raise ValueError(
            f"{path} is damaged, or its arrays have a dtype that NumPy lacks, such as float8 "
            f"({error}); restore it from a copy, or write it again, in float32"
        ) from error


def _array(data, dtype, shape, data_offsets):
    first, end = data_offsets
    array = data[first:end].view(DTYPES[dtype]).reshape(shape)
    if dtype == "BF16":
        return (array.astype("<u4") << 16).view("<f4")
    return array if array.flags.aligned else array.copy()


def check_fits(arrays, expected, path):
    """Raise ValueError unless the arrays of a file have the names, dtypes and shapes expected."""
    for name in expected | arrays:
        here, wanted = (
            f"{table[name].dtype} {table[name].shape}" if name in table else "absent"
            for table in (arrays, expected)
        )
        if here != wanted:
            raise ValueError(f"{path} is of a different model: {name} is {here} there, {wanted} by "
                             "config.json; use the files of one, or restore them")


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
