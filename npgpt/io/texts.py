"""Text files read chunk by chunk, so that memory does not grow with them.

A text is what its file holds, except that a byte order mark is dropped and Windows' line ends
(CR LF) become LF. A chunk may end anywhere, in the middle of a word too: before it is encoded, a
tokenizer's `chunks` puts parts of words together again.
"""

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from npgpt.files import open_file

CHUNK = 1 << 20  # bytes read at a time


def read_chunks(path: Path) -> Iterator[str]:
    """The text of a UTF-8 file, chunk by chunk, none of them empty.

    Raises ValueError, which names line and byte, if the file is not UTF-8 or holds a zero byte.
    """
    with open_file(path, "rb") as file:
        yield from file_chunks(file, str(path))


def file_chunks(file: BinaryIO, name: str) -> Iterator[str]:
    """`read_chunks` of an open file, from its beginning."""
    decode = codecs.getincrementaldecoder("utf-8-sig")().decode
    carriage_return, at_end = "", False
    file.seek(0)
    while not at_end:
        data = file.read(CHUNK)
        at_end = len(data) < CHUNK
        try:
            text = carriage_return + decode(data, final=at_end)
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            file.seek(0)
            decode_whole(file.read(), name)
        # The LF of a CR at the end may be yet to come.
        carriage_return = "\r" if text.endswith("\r") and not at_end else ""
        text = text.removesuffix(carriage_return).replace("\r\n", "\n")
        if text:
            yield text


def has_zero_byte(path: Path) -> bool:
    """Whether a file holds a zero byte, as an image does and a text does not."""
    with open_file(path, "rb") as file:
        return any(b"\0" in data for data in iter(lambda: file.read(CHUNK), b""))


def decode_whole(data: bytes, name: str) -> str:
    """The text of UTF-8 bytes at once. Raises ValueError as `read_chunks` does."""
    wrong = data.find(b"\0")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        wrong = error.start if wrong < 0 else wrong
    if wrong >= 0:
        line = data.count(b"\n", 0, wrong) + 1
        raise ValueError(
            f"{name} is not UTF-8 text: byte 0x{data[wrong]:02x} at byte offset {wrong}, line "
            f"{line}; give a text file, and save one of another encoding as UTF-8 first"
        )
    return text.removeprefix("\ufeff").replace("\r\n", "\n")
