"""The folder of a book, which is made again when the text or the model has changed."""

import hashlib
import json

from npgpt.book.pages import MARK
from npgpt.files import atomic_write, member, read_json
from npgpt.io.folders import check_free

LIST = "files.json"  # {path of a file of the book: its SHA-256}


def check_target(folder):
    """Raise ValueError unless `folder` is free or holds a book that was made here before."""
    index = folder / "index.html"
    if not (index.is_file() and MARK in index.read_text(encoding="utf-8", errors="ignore")[:300]):
        check_free(folder, " with --out")


def write_book(folder, book):
    """Write {path: text or bytes}, and delete what is left of the book that was here before.

    A file that was changed since stays. Return the size of the book in bytes.
    """
    before = read_json(folder / LIST) if (folder / LIST).exists() else {}
    for name in before.keys() - book.keys():
        path = member(folder, name)
        if path.is_file() and _digest(path.read_bytes()) == before[name]:
            path.unlink()
    size, digests = 0, {}
    for name, content in book.items():
        path, data = folder / name, content.encode() if isinstance(content, str) else content
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, data)
        size, digests[name] = size + len(data), _digest(data)
    atomic_write(folder / LIST, json.dumps(digests, indent=0))
    return size


def _digest(data):
    return hashlib.sha256(data).hexdigest()
