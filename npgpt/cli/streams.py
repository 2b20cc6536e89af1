"""Standard streams that may be closed, lose their reader (`npgpt train | head`), or be a terminal.

A command that writes files completes them, whether anybody reads its output or not, as under nohup.
A command that only prints ends with its reader, quietly, as `head` expects. Texts and names from
strangers may hold escape sequences: a terminal gets no character that acts on it.
"""

import errno
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout

from npgpt.support.text import printable

READER_LEFT_ERRNOS = (errno.EPIPE, errno.EIO)  # the reader of a pipe; a terminal that was closed


class ReaderLeftError(Exception):
    """Nobody reads the output any more, and there is nothing else to do."""


class Stream:
    """A text stream that discards what is written after its reader has left or its disk is full.

    goes_on   if False, it raises ReaderLeftError then, or the OSError of the disk
    bars      whether tqdm draws bars in it: a text may begin with a carriage return
    full      the OSError of a full disk, None before
    """

    def __init__(self, stream, goes_on=True, bars=False):
        self.stream, self.goes_on, self.bars, self.full = stream, goes_on, bars, None

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        """Write a text; terminals and standard error get it `printable`."""
        if self.stream.isatty() or self.bars:
            bar = self.bars and text.startswith("\r")
            text = text[:bar] + printable(text[bar:])
        return self._try(self.stream.write, text)

    def flush(self):
        return self._try(self.stream.flush)

    def _try(self, method, *arguments):
        try:
            return method(*arguments)
        except OSError as error:
            full = error.errno == errno.ENOSPC and self.goes_on
            if error.errno not in READER_LEFT_ERRNOS and not full:
                raise
            self.full = error if full else self.full
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is buffered, and all that follows
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
            if not self.goes_on:
                raise ReaderLeftError from error


@contextmanager
def standard_streams():
    """Ensure that all three streams are open, in UTF-8; yield the `Stream` of the output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        stream = getattr(sys, name)
        if stream is None:  # closed, as by >&-: a file would get its number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    output = Stream(sys.stdout)
    with redirect_stdout(output), redirect_stderr(Stream(sys.stderr, bars=True)):
        try:
            yield output
        finally:
            output.goes_on = True
            output.flush()
