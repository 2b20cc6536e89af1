"""Standard streams that may be closed, or lose their reader, as `npgpt train | head` does.

A command that writes files completes them, whether anybody reads its output or not, as under nohup.
A command that only prints ends with its reader, quietly, as `head` expects.
"""

import errno
import os
import sys
from contextlib import contextmanager, redirect_stderr, redirect_stdout


class ReaderLeftError(Exception):
    """Nobody reads the output any more, and there is nothing else to do."""


class Stream:
    """A text stream that discards what is written after its reader has left.

    goes_on   if False, it raises ReaderLeftError then
    """

    def __init__(self, stream, goes_on=True):
        self.stream, self.goes_on = stream, goes_on

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        return self._try(self.stream.write, text)

    def flush(self):
        return self._try(self.stream.flush)

    def _try(self, method, *arguments):
        try:
            return method(*arguments)
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EIO):  # a pipe; a terminal that was closed
                raise
            nowhere = os.open(os.devnull, os.O_WRONLY)  # for what is buffered, and all that follows
            os.dup2(nowhere, self.stream.fileno())
            os.close(nowhere)
            if not self.goes_on:
                raise ReaderLeftError from error


@contextmanager
def standard_streams():
    """Ensure that all three streams are open, in UTF-8; yield the `Stream` of the output."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed, as by >&-: a file would get its number
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif mode == "w" and hasattr(getattr(sys, name), "reconfigure"):
            getattr(sys, name).reconfigure(encoding="utf-8", errors="replace")
    output = Stream(sys.stdout)
    with redirect_stdout(output), redirect_stderr(Stream(sys.stderr)):
        try:
            yield output
        finally:
            output.goes_on = True
            output.flush()
