"""The laboratory stores trials and runs none twice."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

STUDIES = Path(__file__).parents[3] / "examples" / "studies"
MEASURES = """
import os, time

def threads(settings):
    import numba
    return {"threads": numba.config.NUMBA_NUM_THREADS, "seed": settings["seed"]}

def slow(settings):
    print(os.getpid(), flush=True)
    time.sleep(0.1 if settings["seed"] < 2 else 60)
    return {"seed": settings["seed"]}

def fails_or_dies(settings):
    if settings["seed"] == 1:
        raise ValueError("a wrong setting")
    if settings["seed"] == 2:
        os._exit(1)
    return settings
"""


@pytest.fixture
def laboratory(monkeypatch, tmp_path):
    """The module; a second, `measures`, can be imported in this process and in new ones."""
    (tmp_path / "measures.py").write_text(MEASURES, encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    import laboratory

    yield laboratory
    sys.modules.pop("measures", None)


def test_a_trial_is_run_once_and_what_a_crash_tore_is_run_again(laboratory, tmp_path):
    path, calls = tmp_path / "a new folder" / "found.jsonl", []

    def measure(settings):
        calls.append(settings["seed"])
        return {"twice": 2 * settings["seed"]}

    trials = [{"lr": 0.1, "seed": seed} for seed in range(3)]
    assert laboratory.run(trials, measure, path, workers=0) == [{"twice": 2 * s} for s in range(3)]
    path.write_bytes(path.read_bytes()[:-20])
    reordered = [{"seed": seed, "lr": 0.1} for seed in (3, 2, 1)]
    found = laboratory.run(reordered, measure, path, workers=0)
    assert found == [{"twice": 6}, {"twice": 4}, {"twice": 2}]
    assert calls == [0, 1, 2, 3, 2]
    seeds = [json.loads(line)["settings"]["seed"] for line in path.read_text().splitlines()]
    assert seeds == [0, 1, 3, 2]


def test_a_number_that_is_none_is_refused(laboratory, tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        laboratory.run([{"seed": 1}], lambda _: {"x": float("nan")}, tmp_path / "a.jsonl", 0)


@pytest.mark.slow
def test_processes_have_one_thread_each(laboratory, tmp_path):
    import measures

    before = dict(os.environ)
    trials = [{"seed": seed} for seed in range(4)]
    found = laboratory.run(trials, measures.threads, tmp_path / "a.jsonl", workers=2)
    assert found == [{"threads": 1, "seed": seed} for seed in range(4)]
    assert dict(os.environ) == before


@pytest.mark.slow
def test_what_fails_is_said_once_the_rest_is_done(laboratory, tmp_path):
    import measures

    path, trials = tmp_path / "a.jsonl", [{"seed": seed} for seed in range(5)]
    with pytest.raises(RuntimeError, match="2 of 5 trials failed; the others are kept"):
        laboratory.run(trials, measures.fails_or_dies, path, workers=2)
    assert sorted(row["settings"]["seed"] for row in laboratory.kept(path)) == [0, 3, 4]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="sends SIGINT to a process")
def test_an_interrupted_study_keeps_what_is_done(laboratory, tmp_path):
    script, output = tmp_path / "study.py", tmp_path / "output"
    script.write_text(
        "import sys\n"
        f"sys.path[:0] = [{str(STUDIES)!r}, {str(tmp_path)!r}]\n"
        "import laboratory, measures\n"
        "if __name__ == '__main__':\n"
        "    trials = [{'seed': seed} for seed in range(4)]\n"
        "    laboratory.run(trials, measures.slow, 'a.jsonl', workers=2)\n",
        encoding="utf-8",
    )
    with open(output, "w", encoding="utf-8") as file, subprocess.Popen(
        [sys.executable, script], cwd=tmp_path, stdout=file, stderr=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(STUDIES.parents[1])},
    ) as study:
        end = time.monotonic() + 60
        while output.read_bytes().count(b"\n") < 4 and time.monotonic() < end:  # two are done
            time.sleep(0.1)
        study.send_signal(signal.SIGINT)
        error = study.communicate(timeout=20)[1]
    assert b"KeyboardInterrupt" in error
    rows = laboratory.kept(tmp_path / "a.jsonl")
    assert sorted(row["settings"]["seed"] for row in rows) == [0, 1]
