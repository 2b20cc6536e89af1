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
from itertools import chain
from pathlib import Path

from tqdm import tqdm

from npgpt.exercises import load
from npgpt.exercises.judge import WrongError, judge_file

LIMIT, SOON, START = 10, 2, 20  # seconds for the first answer, for others, and to start Python
MEMORY = 2 << 30  # bytes of address space
LONGEST = 10_000  # characters of a message


def verdicts(files, loud=False):
    """Yield (number, path, status, message) for each answer, first that of the first.

    files   pairs (number of the exercise, path)
    loud    whether the first answer may print
    status  "right", "wrong", or "stopped": it never returned
    """
    todo, stopped = list(files), None
    with tqdm(total=len(todo), leave=False, delay=1, disable=None, miniters=0) as bar:
        while todo:
            with contextlib.closing(_in_one_process(tuple(todo), loud, bar)) as told:
                for place, verdict in enumerate(told):
                    if place and verdict[0] != "right":
                        break
                    number, path = todo.pop(0)
                    stopped = path if verdict[0] == "stopped" else None
                    bar.update()
                    bar.clear()
                    yield number, path, *verdict
            for pair in [pair for pair in todo if stopped and _imports(pair[1], stopped)]:
                todo.remove(pair)
                yield *pair, "stopped", f"it imports {stopped}, which never returned"
            loud = False


def _imports(path, other):
    return b"from %s import" % other.stem.encode() in path.read_bytes()


def _in_one_process(files, loud, bar):
    """Yield (status, message) for answers, the last for the first that never returned."""
    command = [sys.executable, "-P", "-u", "-m", __name__, LIMIT]
    settings = {"PYTHONPATH": os.pathsep.join(map(os.path.abspath, sys.path)),
                "PYTHONIOENCODING": "utf-8:backslashreplace",
                "AUTOGRAD_BACKEND": "numpy", "OPENBLAS_NUM_THREADS": "1"}  # it starts sooner
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        channel = Path(folder, "verdicts")  # no pipe: a fork could keep its end open
        with open(channel, "wb") as theirs, open(channel, "rb") as ours:
            sys.stdout.flush()
            process = subprocess.Popen(
                [str(word) for word in chain(command, *files)], env=os.environ | settings,
                stdin=subprocess.DEVNULL, stdout=theirs,
                stderr=sys.stdout.fileno() if loud else subprocess.DEVNULL,
                start_new_session=True,  # what it signals to its group does not reach this process
            )
            try:
                for place, (_, path) in enumerate(files):
                    said = _line(process, ours, SOON if place else START + LIMIT, bar)
                    verdict = _read(said) or _stopped(process, said + _rest(process, ours), path)
                    yield verdict
                    if verdict[0] == "stopped":
                        return
            except KeyboardInterrupt:
                if os.name != "nt":  # there it has got Ctrl-C, too
                    process.send_signal(signal.SIGINT)
                _, message = _read(_line(process, ours, 1, bar)) or ("", "stopped")
                print(f"{path}: {message}")
                raise
            finally:
                _kill(process)


def _line(process, ours, seconds, bar):
    """Return the next line of a process, or less if it ends or takes longer."""
    line, end = b"", time.monotonic() + seconds
    while not line.endswith(b"\n") and time.monotonic() < end:
        ended = process.poll() is not None
        more = ours.readline()
        if ended and not more:
            break
        line += more
        bar.update(0)
        time.sleep(0 if more else 0.005)
    return line


def _rest(process, ours):
    """Return what a process that ran out of time still writes: where it was."""
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(1)
    return ours.read()


def _read(line):
    with contextlib.suppress(ValueError, TypeError):
        status, message = json.loads(line)
        return status, message
    return None


def _stopped(process, said, path):
    """Return the verdict on an answer that never returned.    said: its stack, if it is known"""
    if process.poll() is not None and not said.startswith(b"Timeout"):
        return "stopped", (f"it ended Python (status {process.returncode}) before its result could "
                           "be judged; take out what does that, such as os._exit")
    ours = re.escape(path.name.encode("ascii", "backslashreplace"))
    inmost = re.search(rb'File "[^"]*?(%s|exercise_\d+_\w+\.py)", line (\d+)' % ours, said)
    if not inmost:
        return "stopped", f"still running after {LIMIT} s; look for a loop that never ends"
    number, other = int(inmost[2]), "" if re.match(ours, inmost[1]) else inmost[1].decode()
    text = linecache.getline(str(path.with_name(other or path.name)), number).strip()
    return "stopped", (f"still running after {LIMIT} s; it stopped in {other and f'{other}, '}line "
                       f"{number}: look at the loop there\n    {text}")


def _kill(process):
    with contextlib.suppress(ProcessLookupError, PermissionError):
        process.kill() if os.name == "nt" else os.killpg(process.pid, signal.SIGKILL)
    process.wait()


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
        verdict = _judged(int(number), Path(path))
        if os.getpid() != us:  # a fork by the answer
            os._exit(0)
        os.write(channel, f"{json.dumps(verdict)}\n".encode())
        faulthandler.cancel_dump_traceback_later()
        for stream in (1, 2):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    os._exit(0)


def _judged(number, path):
    try:
        judge_file(load(number), path)
    except WrongError as error:
        return "wrong", str(error)[:LONGEST]
    except BaseException as error:
        return "wrong", f"its result cannot be judged: {type(error).__name__}"
    return "right", ""


if __name__ == "__main__":
    main(*sys.argv[1:])
