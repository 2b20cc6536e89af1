"""What an answer does to its process costs this answer alone, and it is told what happened."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest
from tiny_run import environment

from npgpt.exercises import NAMES, apart, load
from npgpt.exercises.sheet import file_of, sheet

LOOP = "while True: pass"
# The body of an answer's function, the status of its grade, and words of the message; None: right.
HOSTILE = [
    ("return right(**k)", None),
    (LOOP, "line 10"),
    ("time.sleep(1e6)", "line 10"),
    ("return sum(range(10**13))", "line 10"),
    ("return [right(**k)] * len([*iter(int, 1)])", "line 10"),
    ("while True:\n        with contextlib.suppress(BaseException): time.sleep(1)", "running"),
    ("class A:\n        def __array__(self, *_):\n            while True: pass\n    return A()",
     "line 12"),
    (f"faulthandler.cancel_dump_traceback_later()\n    {LOOP}", "still running"),
    ("os.kill(os.getpid(), signal.SIGSTOP)", "still running"),
    ("os._exit(0)", "status 0"),
    ("os._exit(3)", "status 3"),
    ("os.abort()", "status -6"),
    ("os.killpg(0, 9)", "status -9"),
    ("ctypes.string_at(0)", "status -11"),
    ("os.closerange(0, 1000)\n    return right(**k)", "status"),
    ("if os.fork(): os._exit(0)\n    return right(**k)", "status 0"),
    ("os.fork()\n    return right(**k)", None),
    ("sys.exit(0)", "line 10: SystemExit"),
    ("raise KeyboardInterrupt", "line 10: KeyboardInterrupt"),
    ("raise ValueError('x' * 10**7)", "xxx"),
    ("class E(Exception):\n        def __str__(self): os.none\n    raise E", "AttributeError"),
    ("x = []\n    while True: x.append(np.zeros(1 << 25))", "MemoryError"),
    ("class A:\n        def __array__(self, *_): raise KeyError('mine')\n    return A()", "mine"),
    ("class A:\n        __class__ = np.ndarray\n    return A()", "no numbers"),
    ("sys.stdout.close()\n    print(1)", "ValueError"),
    ("np.asarray = np.exp = np.random = None\n    return right(**k)", "TypeError"),
    ("subprocess.Popen(['sleep', '1000'])\n    return right(**k)", None),
    ("print('x' * 10**7)\n    sys.stdout = None\n    return right(**k)", None),
    ("os.chdir('/')\n    np.zeros = None\n    return right(**k)", None),
    ("return right(**k)", None),
]


@pytest.fixture
def write(tmp_path, monkeypatch):
    """A function that writes an answer into the working folder; ten seconds are one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(apart, "LIMIT", 1)

    def write(name, body):
        (tmp_path / file_of(name)).write_text(
            "import contextlib, ctypes, faulthandler, os, signal, subprocess, sys, time\n"
            f"import numpy as np\nfrom npgpt.exercises.{name} import {name} as right\n" + 5 * "\n"
            + f"def {name}(**k):\n    {body}\n", encoding="utf-8")

    return write


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="signals, forks and limits of memory")
def test_the_list_of_thirty_hostile_answers_ends_and_says_what_each_did(cli, write, monkeypatch):
    monkeypatch.setattr(apart, "START", 6)
    for name, (body, _) in zip(NAMES[:30], HOSTILE, strict=True):
        write(name, body)
    status, out, err = cli("exercise", "--json")
    assert status == 0 and "Traceback" not in err
    for (body, words), grade in zip(HOSTILE, json.loads(out)["exercises"][:30], strict=True):
        assert (grade["status"] == "right") == (words is None), (body, grade)
        assert (words or "") in grade["message"] and len(grade["message"]) <= apart.LONGEST, body
        assert (grade["status"] == "stopped") == bool(
            re.search("still running|status", grade["message"])), body


def test_the_verdict_comes_before_the_count_and_a_loop_costs_its_own_answer_alone(cli, write):
    write("merge", "print('quiet')\n    " + LOOP)
    write("encode", "print('quiet'); os._exit(0)")
    write("scores", "print('loud'); return right(**k)")
    write("split_heads", "return 1.5")
    with open(file_of("clip"), "w", encoding="utf-8") as file:
        file.write(sheet(load(NAMES.index("clip") + 1), "a command"))
    status, out, _ = cli("exercise", "scores")
    found = re.search("(?s)loud.*scores.py is right.*1 of 31 ", out)
    assert status == 0 and found and "quiet" not in out

    status, out, _ = cli("exercise", "--json")
    found = json.loads(out)
    assert (status, found["right"], found["of"]) == (0, 1, len(NAMES))
    assert {grade["name"]: grade["status"] for grade in found["exercises"]} == (
        dict.fromkeys(NAMES, "missing") | {
            "merge": "stopped", "encode": "stopped", "scores": "right", "split_heads": "wrong",
            "clip": "unfinished"})
    one = json.loads(cli("exercise", "split_heads", "--json")[1])
    assert (one["right"], one["of"]) == (0, 1) and "shape" in one["exercises"][0]["message"]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGINT is sent otherwise there")
def test_the_verdict_is_told_while_the_count_waits_which_ctrl_c_ends(write):
    write("merge", LOOP)
    write("scores", "return right(**k)")
    process = subprocess.Popen([sys.executable, "-m", "npgpt", "exercise", "6"],
                               env=environment(), stdout=subprocess.PIPE, encoding="utf-8")
    assert "scores.py is right" in process.stdout.readline()
    time.sleep(1)  # until it waits for the loop, for `apart.SOON`
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 130 and "of 31" not in out


def test_an_async_answer_is_told_what_it_is_and_nothing_else_is_printed(cli, write):
    write("scores", "return right(**k)")
    with open(file_of("scores"), "r+", encoding="utf-8") as file:
        text = file.read().replace("def scores", "async def scores")
        file.seek(0)
        file.write(text)
    status, out, err = cli("exercise", "scores")
    assert status == 1 and "async def" in out + err and "RuntimeWarning" not in out + err
