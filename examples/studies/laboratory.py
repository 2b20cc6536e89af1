"""Many small trainings side by side, stored as they end.

A trial has settings, a dict of JSON values, and a result, a dict of measurements. `run` does the
trials that a file does not have yet, so that a study that was stopped goes on where it was. Small
models are trained fastest in processes of one thread, as many as there are cores.
"""

import json
import multiprocessing
import os
import subprocess
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from unittest.mock import patch

from tqdm import tqdm

from npgpt.loading.runs import versions

ONE_THREAD = ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def run(trials, measure, path, workers=None):
    """Run the trials that a file lacks, and append a row for each as it ends.

    trials    list of settings
    measure   settings -> result; a function of a module that a new process can import
    path      a .jsonl file, with {"settings": ..., "result": ..., "seconds": ..., "made": ...} in
              each line
    workers   processes; None: one for each core; 0: none, all in this process

    A result is made of JSON values, and no number is NaN or infinite. Ctrl-C and a trial that fails
    leave what is done.
    """
    known, made = results_of(path), stamp()
    waiting = {key(trial): trial for trial in trials if key(trial) not in known}.values()
    path.parent.mkdir(parents=True, exist_ok=True)
    finished = _in_processes(waiting, measure, workers) if workers != 0 else (
        _timed(measure, settings) for settings in waiting)
    for settings, result, seconds in tqdm(finished, path.stem, len(waiting), disable=not waiting):
        row = {"settings": settings, "result": result, "seconds": round(seconds, 2),
               "made": {"when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())} | made}
        with open(path, "a", encoding="utf-8") as file:
            file.write(json.dumps(row, allow_nan=False) + "\n")
            file.flush()
            os.fsync(file.fileno())


def stamp():
    """Return the commit of the code, "-changed" if Python files differ from it, and versions."""
    def git(*words):
        return subprocess.run(["git", *words], cwd=Path(__file__).parents[2], text=True,
                              capture_output=True, check=True).stdout.strip()

    try:
        changed = git("diff", "--name-only", "HEAD", "--", "*.py")
        commit = git("rev-parse", "--short", "HEAD") + "-changed" * bool(changed)
    except (OSError, subprocess.CalledProcessError):  # no git, or no clone
        commit = "unknown"
    return {"commit": commit, "versions": versions()}


def key(settings):
    """Return the key of a trial: its settings as text, whatever their order."""
    return json.dumps(settings, sort_keys=True)


def results_of(path):
    """Return `key` of its settings -> result, of each trial that a file has, in their order.

    What a crash left of a last line is cut off.
    """
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    if lines and not lines[-1].endswith(b"\n"):
        os.truncate(path, path.stat().st_size - len(lines.pop()))
    return {key(row["settings"]): row["result"] for row in map(json.loads, lines)}


def _timed(measure, settings):
    started = time.perf_counter()
    return settings, measure(settings), time.perf_counter() - started


def _in_processes(trials, measure, workers):
    with (patch.dict(os.environ, dict.fromkeys(ONE_THREAD, "1")),  # for the new processes
          ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool):
        futures = [pool.submit(_timed, measure, settings) for settings in trials]
        try:
            yield from (future.result() for future in as_completed(futures))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
