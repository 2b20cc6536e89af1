"""Text files read chunk by chunk, so that memory does not grow with them.

A text is what its file holds, except that a byte order mark is dropped and Windows' line ends
(CR LF) become LF. A chunk ends after a line end with no other white space beside it. The text on
one side of such a cut changes no token on the other, so the chunks' tokens, one after another, are
those of the whole text.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path

from npgpt.files import open_file

CHUNK = 1 << 22  # bytes read at a time


def read_chunks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file, chunk by chunk, none of them empty.

    Raises ValueError, which names line and byte, if the file is not UTF-8 or holds a zero byte.
    """
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    carriage_return = pending = ""
    with open_file(path, "rb") as file:
        while True:
            data = file.read(CHUNK)
            try:
                text = carriage_return + decode(data, final=not data)
            except UnicodeDecodeError:
                decode_whole(path.read_bytes(), str(path))
            if "\0" in text:
                decode_whole(path.read_bytes(), str(path))
            if not data:
                break
            carriage_return = "\r" if text.endswith("\r") else ""  # its LF may be yet to come
            pending += text.removesuffix("\r").replace("\r\n", "\n")
            cut = safe_cut(pending)
            if cut:
                yield pending[:cut]
                pending = pending[cut:]
    if pending + text:
        yield pending + text


def safe_cut(text: str) -> int:
    """Where a text that goes on may be cut last: after a line end between two visible characters.

    0 if it may not be cut.

    >>> safe_cut("one" + chr(10) + "two" + chr(10) * 2 + "thr")
    4
    """
    at = len(text) - 1
    while (at := text.rfind("\n", 1, at)) > 0:
        if not text[at - 1].isspace() and not text[at + 1].isspace():
            return at + 1
    return 0


def has_zero_byte(path: Path) -> bool:
    """Whether a file holds a zero byte, as an image does and a text does not."""
    with open_file(path, "rb") as file:
        return any(b"\0" in data for data in iter(lambda: file.read(CHUNK), b""))


def decode_whole(data: bytes, name: str) -> str:
    """The text of UTF-8 bytes at once. Raises ValueError as `read_chunks` does."""
    zero = data.find(b"\0")
    if zero >= 0:
        raise ValueError(_not_text(data, name, zero))
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(_not_text(data, name, error.start)) from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n")


def _not_text(data: bytes, name: str, offset: int) -> str:
    line = data.count(b"\n", 0, offset) + 1
    return (
        f"{name} is not UTF-8 text: byte 0x{data[offset]:02x} at byte offset {offset}, line "
        f"{line}; give a text file, and save one of another encoding as UTF-8 first"
    )
