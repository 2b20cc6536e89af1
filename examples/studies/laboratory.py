"""Many small trainings side by side, stored as they end.

A trial has settings, a dict of JSON values with its seed, and a result, a dict of measurements.
`run` does the trials that a file does not have yet, so that a study that was stopped goes on where
it was. Small models are trained fastest in processes of one thread, as many as there are cores.
"""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import numpy as np
from tqdm import tqdm

from npgpt.loading.runs import versions

ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
KILLED = "its process was killed (out of memory?): try fewer at a time, as --workers 1"


def run(trials, measure, path, workers=None):
    """Return the results of the trials, in their order.

    trials    list of settings
    measure   settings -> result; a function of a module that a new process can import
    path      a .jsonl file, with {"settings": ..., "result": ..., "seconds": ..., "made": ...} for
              each trial that has ended, in the order in which they did; what is not in `trials`
              stays
    workers   processes; None: one for each core; 0: none, all in this process

    A result is made of JSON values, and no number is NaN or infinite. Ctrl-C leaves what is done.
    Raises RuntimeError for trials that failed, once the others are done.
    """
    path, done = Path(path), {key(row["settings"]): row for row in kept(path)}
    path.parent.mkdir(parents=True, exist_ok=True)  # before a training ends, not after
    waiting = {key(trial): trial for trial in trials if key(trial) not in done}
    workers = min(len(waiting), (os.cpu_count() or 1) if workers is None else workers)
    here = ((settings, *_timed(measure, settings), None) for settings in waiting.values())
    finished = _in_processes(waiting, measure, workers) if workers else here
    failures, code = [], {"commit": _commit(), "versions": versions()}
    flops = {name: trial.get("flops", 1.0) for name, trial in waiting.items()}
    with tqdm(total=sum(flops.values()), desc=path.stem, unit_scale=True,
              mininterval=0.1 if sys.stderr.isatty() else 60) as bar:
        for settings, result, seconds, failure in finished:
            if failure:
                failures.append(f"{settings}\n{failure}")
                continue
            row = {"settings": settings, "result": result, "seconds": round(seconds, 2),
                   "made": {"when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())} | code}
            with open(path, "a", encoding="utf-8") as file:
                file.write(json.dumps(row, allow_nan=False) + "\n")
                file.flush()
                os.fsync(file.fileno())
            done[key(settings)] = row
            bar.update(flops[key(settings)])
    if failures:
        raise RuntimeError(f"{len(failures)} of {len(trials)} trials failed; the others are kept: "
                           "mend the cause and run again. One of them failed for "
                           f"{failures[0]}")
    return [done[key(trial)]["result"] for trial in trials]


def tried(trials, measure, few):
    """Return `key` of each trial -> its result if it is made small by `few` other settings."""
    with tempfile.TemporaryDirectory() as folder:
        found = run([trial | few for trial in trials], measure, Path(folder) / "quick.jsonl", 0)
    return dict(zip(map(key, trials), found, strict=True))


def key(settings):
    """Return the key of a trial: its settings as text, whatever their order."""
    return json.dumps(settings, sort_keys=True)


def results_of(path):
    """Return `key` of its settings -> result, of each trial that a file has."""
    return {key(row["settings"]): row["result"] for row in kept(path)}


def kept(path):
    """Return the rows of a file of results; cut off what a crash left of a last line."""
    path = Path(path)
    if not path.exists():
        return []
    lines = path.read_bytes().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        os.truncate(path, path.stat().st_size - len(lines.pop()))
    return [json.loads(line) for line in lines]


def markdown(head, rows):
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines) + "\n"


def flops_text(C):
    """Return FLOPs as text.

    >>> flops_text(1.6e12)
    '1.6e12'
    """
    return f"{C:.2g}".replace("e+", "e")


def first_below(x, y, level):
    """Return the x at which y is first at or below a level, straight between two points, or NaN."""
    below = np.flatnonzero(np.asarray(y, float) <= level)
    if not len(below):
        return np.nan
    i = below[0]
    return x[0] if i == 0 else np.interp(level, (y[i], y[i - 1]), (x[i], x[i - 1]))


def _commit():
    """Return the commit of the code; with "-changed", Python files differ from it."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=Path(__file__).parents[2], text=True,
                              capture_output=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "--short", "HEAD") + "-changed" * bool(
            git("diff", "--name-only", "HEAD", "--", "*.py"))
    except (OSError, subprocess.CalledProcessError):  # no git, or no clone
        return "unknown"


def _timed(measure, settings):
    started = time.perf_counter()
    return measure(settings), time.perf_counter() - started


def _in_processes(waiting, measure, workers):
    """Yield (settings, result, seconds, None), or the failure last, of each as it ends."""
    trials, running, before = iter(waiting.values()), {}, dict(os.environ)

    def give(pool):
        if settings := next(trials, None):
            running[pool.submit(_timed, measure, settings)] = settings, pool

    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))  # for the new processes
    try:
        for _ in range(workers):
            give(_process())
        while running:
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                settings, pool = running.pop(future)
                try:
                    found = *future.result(), None
                except BrokenProcessPool:
                    found, pool = (None, 0.0, KILLED), _process()
                except Exception:
                    found = None, 0.0, traceback.format_exc()
                give(pool)
                yield settings, *found
    finally:
        os.environ.clear()
        os.environ.update(before)
        for process in multiprocessing.active_children():
            process.terminate()


def _process():
    """Return an executor of one process, so that one that is killed breaks no other."""
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), _begin)


def _begin():
    """Leave Ctrl-C to the study, and end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def end_with_it():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=end_with_it, daemon=True).start()
