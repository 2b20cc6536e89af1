"""Files that are whole or absent: each is written under another name, then renamed.

Also what several rooms read: arrays of safetensors files, objects of JSON files, and files fetched
once and kept.
"""

import json
import os
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, deserialize

RUN_STATE = "train_state.safetensors"  # a folder with a file of this name is a run's
PATIENCE = 2.0  # seconds
# Dtypes of safetensors files. BF16, which NumPy lacks, is the upper half of a float32.
DTYPES = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "BOOL": "?",
    **{f"{kind.upper()}{8 * size}": f"<{kind}{size}" for kind in "iu" for size in (1, 2, 4, 8)},
}  # fmt: skip


def atomic_write(path, content):
    """Write bytes or text (as UTF-8) to `path` in one step, replacing a file that is there.

    A crash, a full disk or a power cut at any moment leaves the old file or the new one, never
    part of one. Raises OSError, as any write does; the old file is whole then.
    """
    with atomic_file(path) as file:
        file.write(content.encode("utf-8") if isinstance(content, str) else content)


@contextmanager
def atomic_file(path):
    """A binary file to write in parts; it is at `path` once the block ends without an exception.

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
    """Whether there is anything at this path, other than an empty folder."""
    return folder.exists() and (not folder.is_dir() or any(folder.iterdir()))


def remove_unfinished(folder):
    """Delete what `atomic_file` leaves in a folder if its process is killed."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)


def read_arrays(path):
    """The arrays of a safetensors file, by name; those of bfloat16 as the same numbers in float32.

    Raises FileNotFoundError if it is missing, ValueError if it is damaged; the message names it and
    says what to do.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; restore it from a copy, or write it again")
    try:
        return {name: _array(**entry) for name, entry in deserialize(path.read_bytes())}
    except (SafetensorError, KeyError, ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged, or its arrays have a dtype that NumPy lacks, such as float8 "
            f"({error}); restore it from a copy, or write it again, in float32"
        ) from error


def _array(dtype, shape, data):
    array = np.frombuffer(data, DTYPES[dtype]).reshape(shape)
    return (array.astype("<u4") << 16).view("<f4") if dtype == "BF16" else array


def read_json(path):
    """The object in a JSON file.

    Raises FileNotFoundError if it is missing, ValueError if it cannot be read or is anything else,
    holds a number that JSON has not (NaN, Infinity), or is nested too deeply; the message names it.
    """

    def refuse(constant):
        raise ValueError(f"{constant} is no number of JSON")

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; restore it from a copy, or write it again")
    try:
        fields = json.loads(path.read_text(encoding="utf-8"), parse_constant=refuse)
        if not isinstance(fields, dict):
            raise ValueError(f"it holds a {type(fields).__name__}, not an object {{...}}")
    except (ValueError, RecursionError, OSError) as error:
        raise ValueError(f"{path} is damaged ({error}); restore it, or write it again") from error
    return fields


def fetch(source, sha256, name, downloader=None):
    """The path of a file in the cache, fetched from `source` if it is not there yet.

    The cache is the folder that the environment variable NPGPT_DATA names, or the user's cache
    folder. downloader: another than pooch's for this kind of source. Raises OSError if the source
    cannot be reached, ValueError if what it gives has another SHA-256.
    """
    import pooch

    pooch.get_logger().setLevel("WARNING")
    folder = Path(os.environ.get("NPGPT_DATA") or pooch.os_cache("npgpt"))
    return Path(pooch.retrieve(source, f"sha256:{sha256}", name, folder, downloader=downloader))
