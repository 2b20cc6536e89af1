"""Standard streams that may be closed, or lose their reader, as `npgpt train | head` does.

What a command writes to files it writes to its end, whether anybody reads what it prints or not, as
under nohup. A command that only prints ends with its reader, quietly, as `head` expects.
"""

import errno
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout


class ReaderLeftError(Exception):
    """Nobody reads the output any more, and there is nothing else to do."""


class Stream:
    """A stream for text, of which nothing is an error once its reader has left.

    goes_on   whether the text is dropped then; if not, ReaderLeftError is raised
    """

    def __init__(self, stream, goes_on=True):
        self.stream, self.goes_on = stream, goes_on

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        return self._trying(self.stream.write, text)

    def flush(self):
        return self._trying(self.stream.flush)

    def _trying(self, method, *arguments):
        try:
            return method(*arguments)
        except OSError as error:
            if not _reader_left(error):
                raise
            self._drop_all()
            if not self.goes_on:
                raise ReaderLeftError from error

    def _drop_all(self):
        """Have what is waiting to be written, and all that follows, go nowhere."""
        try:
            descriptor = self.stream.fileno()
        except (OSError, ValueError):  # a stream in memory
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, descriptor)
        os.close(nowhere)


def _reader_left(error):
    """EPIPE of a pipe, EIO of a terminal that was closed; Windows calls a closed pipe EINVAL."""
    gone = {errno.EPIPE, errno.EIO} | ({errno.EINVAL} if sys.platform == "win32" else set())
    return error.errno in gone and error.filename is None


@contextmanager
def standard_streams():
    """Inside, all three streams are there, in UTF-8; yields the `Stream` that is the output."""
    _open_closed()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a Windows console may otherwise lack a character
            stream.reconfigure(encoding="utf-8", errors="replace")
    output = Stream(sys.stdout)
    with redirect_stdout(output), redirect_stderr(Stream(sys.stderr)):
        try:
            yield output
        finally:
            output.goes_on = True
            output.flush()


def _open_closed():
    """Open what was closed at the start, as by `>&-`: a file would get its number, and its text."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
