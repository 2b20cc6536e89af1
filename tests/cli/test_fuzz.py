"""Damaged files of a run give a result or one line that says what to do, in bounded time and
memory. NPGPT_FUZZ=3000 tries more files than a few of each name."""

import io
import json
import os
import resource
import shutil
import signal
from contextlib import redirect_stderr, redirect_stdout

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npgpt.cli import main

MOST_SECONDS, MOST_KILOBYTES = 60, 300_000
RESUME = "train --resume --out {0}"
GENERATE = "generate {0} --max-new-tokens 2"
READERS = {
    "config.json": ("info {0}", GENERATE, "tokenize {0} hen"),
    "tokenizer.json": ("tokenize {0} hen", GENERATE),
    "model.safetensors": (GENERATE, "eval {0} --json"),
    "train_state.safetensors": (RESUME,),
    "metrics.csv": (RESUME,),
    "samples.txt": (RESUME,),
}
EACH = max(4, int(os.environ.get("NPGPT_FUZZ", "0")) // len(READERS))
# What a stranger may put in the place of a number, a text or a list.
ODD = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, -0.0, 1e308, float("inf"), float("nan"), "", "x",
    "../../etc", "\0", "\ud800", [], {}, [[]] * 9, [1, 2], {"a": {}},
]


@st.composite
def damaged(draw, content):
    """Draw a file's content with a change in its bytes or in an entry of its JSON."""
    header = 8 * (content[8:9] == b"{")  # of a safetensors file
    if content[header : header + 1] == b"{" and draw(st.booleans()):
        end = header + int.from_bytes(content[:header], "little") if header else len(content)
        text = json.dumps(draw(changed(json.loads(content[header:end])))).encode()
        return len(text).to_bytes(8, "little")[:header] + text + content[end:]
    i, j = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    middle = draw(
        st.sampled_from([b"", content[i:j] * 2, b"\n", b"\xff\xfe", b"1e999", b"-1", b",", b'"'])
        | st.binary(max_size=9)
    )
    return content[:i] + middle + content[draw(st.sampled_from([i, j])) :]


@st.composite
def changed(draw, value):
    """Draw a JSON value with an entry that is changed, missing or renamed."""
    entries = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not entries:
        return draw(st.sampled_from(ODD))
    entry, what = draw(st.sampled_from(entries)), draw(st.integers(0, 5))
    inner, value = value[entry], value.copy()
    if isinstance(inner, (dict, list)) and what > 1:
        value[entry] = draw(changed(inner))
    elif what == 0:
        del value[entry]
    elif what == 1 and isinstance(value, dict):
        value[draw(st.text(max_size=3))] = value.pop(entry)
    else:
        value[entry] = draw(st.sampled_from(ODD))
    return value


@pytest.mark.skipif(os.name == "nt", reason="no signals and limits there")
@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_read_or_refused_in_a_line(name, finished, tmp_path):
    @settings(max_examples=EACH)
    @given(damaged((finished / name).read_bytes()))
    def try_one(bad):
        folder = tmp_path / "run"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(finished, folder)
        (folder / name).write_bytes(bad)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        signal.alarm(MOST_SECONDS)
        for command in READERS[name]:
            err = io.StringIO()
            with redirect_stdout(io.StringIO()), redirect_stderr(err):
                status = main(command.format(folder).split())
            assert status == 0 or "npgpt " in err.getvalue().splitlines()[-1]
            assert "Traceback" not in err.getvalue()
        signal.alarm(0)
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < MOST_KILOBYTES

    def late(*_):
        raise AssertionError(f"more than {MOST_SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    try:
        try_one()
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
