"""Judge answers in processes of their own, with limits of time and memory.

An answer may loop without an end, exit, fork or change a library: that costs this answer alone.
Starting Python takes a hundred times as long as a verdict, so one process judges several answers.
Only the first is found wrong there: any other that is not right begins a new process.
"""

import contextlib
import faulthandler
import json
import linecache
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from npgpt.exercises import load
from npgpt.exercises.judge import WrongError, judge_file
from npgpt.support.progress import progress

LIMIT, SOON, START = 10, 2, 20  # seconds for the first answer, for others, and to start Python
MEMORY = 2 << 30  # bytes of address space
LONGEST = 10_000  # characters of a message
SETTINGS = {"PYTHONIOENCODING": "utf-8:backslashreplace",
            "AUTOGRAD_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}  # Python starts sooner


def verdicts(files, loud=False):
    """Yield (number, path, status, message) for each answer, in order.

    files   pairs (number of the exercise, path)
    loud    whether the first answer may print
    status  "right", "wrong", or "stopped": it never returned
    """
    todo = list(files)
    while todo:
        for index, verdict in enumerate(_in_one_process(todo[:], loud)):
            if index and verdict[0] != "right":
                break
            yield *todo.pop(0), *verdict
        loud = False


def _in_one_process(files, loud):
    """Yield (status, message) for answers; the last is for the first that never returned."""
    command = [sys.executable, "-P", "-u", "-m", __name__, str(LIMIT)]
    for pair in files:
        command += map(str, pair)
    here = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path))}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        channel = Path(folder, "verdicts")  # no pipe: a fork could keep its end open
        with open(channel, "wb") as theirs, open(channel, "rb") as ours:
            process = subprocess.Popen(
                command, env=os.environ | SETTINGS | here, stdin=subprocess.DEVNULL, stdout=theirs,
                stderr=sys.stdout.fileno() if loud else subprocess.DEVNULL,
                start_new_session=True,  # what it signals to its group does not reach this process
            )
            try:
                for index, (_, path) in enumerate(files):
                    verdict = _verdict(process, ours, path, SOON if index else START + LIMIT)
                    yield verdict
                    if verdict[0] == "stopped":
                        return
            finally:
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    process.kill() if os.name == "nt" else os.killpg(process.pid, signal.SIGKILL)
                process.wait()


@progress("judging an answer")
def _verdict(process, ours, path, seconds):
    """Return (status, message) when a process has written them, has ended, or takes too long."""
    said, begun, ended = b"", time.monotonic(), False
    while not said.endswith(b"]\n") and not ended and time.monotonic() < begun + seconds:
        ended = process.poll() is not None
        more = ours.readline()
        said, ended = said + more, ended and not more
        time.sleep(0 if more else 0.005)
    with contextlib.suppress(ValueError):
        return json.loads(said)
    if ended and not said.startswith(b"Timeout"):
        return "stopped", (f"it ended Python (status {process.returncode}) before its result could "
                           "be judged; take out what does that, such as os._exit")
    what = f"still running after {LIMIT} s; look for a loop that never ends"
    name = re.escape(path.name.encode("ascii", "backslashreplace"))  # as faulthandler writes it
    inmost = re.search(rb'File "[^"]*?(%s|exercise_\d+_\w+\.py)", line (\d+)' % name, said)
    if inmost:
        file, number = inmost[1].decode(), int(inmost[2])
        text = linecache.getline(str(path.with_name(file)), number).strip()
        what += f". It was in {file}, line {number}:\n    {text}"
    return "stopped", what


def main(limit, *files):
    """Judge answers in this process; write a line [status, message] for each to standard output.

    files   number, path, number, path, ...
    """
    channel, us = os.dup(1), os.getpid()
    os.dup2(2, 1)  # from now on nothing else is written to the channel
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource  # not on Windows; macOS may refuse

        most = resource.getrlimit(resource.RLIMIT_AS)[1]
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, most))
    faulthandler.dump_traceback_later(float(limit), exit=True, file=channel)
    for number, path in zip(files[::2], files[1::2], strict=True):
        sys.path.insert(0, os.path.dirname(path))  # it may import earlier answers
        try:
            judge_file(load(int(number)), Path(path))
            verdict = "right", ""
        except WrongError as error:
            verdict = "wrong", str(error)[:LONGEST]
        except BaseException as error:  # from the error itself, when it is printed
            verdict = "wrong", f"its result cannot be judged: {type(error).__name__}"
        if os.getpid() != us:  # a fork by the answer
            os._exit(0)
        os.write(channel, f"{json.dumps(verdict)}\n".encode())
        faulthandler.cancel_dump_traceback_later()
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    os._exit(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
