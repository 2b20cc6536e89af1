"""Damaged files of every kind give a result or one line that says what to do, in bounded time and
memory. Where a file was changed, and how, is drawn.

NPGPT_FUZZ=3000 tries more files than the few of the quick suite, shared out among the kinds.
"""

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
from tiny_run import TINY

from npgpt import GPT, BPETokenizer
from npgpt.checkpoint import load_run
from npgpt.cli import main
from npgpt.cli.settings import read_settings
from npgpt.families.presets import from_preset

MOST_SECONDS, MOST_KILOBYTES = 60, 300_000

pytestmark = pytest.mark.skipif(os.name == "nt", reason="no signals and limits there")


def resume(folder):
    return main(["train", "--resume", "--out", str(folder)])


def train_on(folder):
    return main(["train", "--corpus", str(folder), "--out", str(folder / "run"), *TINY])


def commands(*names):
    """Return a reader of a run: each command in turn, until one refuses it."""
    extra = {"generate": ["--max-new-tokens", "2"], "tokenize": ["the hen"], "eval": ["--json"]}

    def call(folder):
        return max(main([name, str(folder), *extra.get(name, [])]) for name in names)

    return call


def called(function):
    """Return a reader whose refusal is a ValueError or OSError with a text."""

    def call(folder):
        try:
            function(folder)
        except (ValueError, OSError) as error:
            return int(bool(str(error)))
        return 0

    return call


def of_gpt2(folder):
    BPETokenizer.from_gpt2(folder / "encoder.json", folder / "vocab.bpe").encode("the hen")


def without_preset(path):
    return {name: value for name, value in read_settings(path).items() if name != "preset"}


# kind of folder -> file of it -> what reads that
READERS = {
    "run": {
        "config.json": commands("info", "generate", "tokenize"),
        "tokenizer.json": commands("tokenize", "generate"),
        "model.safetensors": commands("generate", "eval"),
        "train_state.safetensors": resume,
        "metrics.csv": resume,
        "samples.txt": resume,
    },
    "tokens": {"train.bin": train_on, "val.bin": train_on, "tokenizer.json": train_on},
    "exported": {
        "config.json": called(GPT.from_pretrained),
        "model.safetensors": called(GPT.from_pretrained),
    },
    "sharded": {
        "model.safetensors.index.json": called(GPT.from_pretrained),
        "part.safetensors": called(GPT.from_pretrained),
    },
    "gpt2": {
        "encoder.json": called(of_gpt2),
        "vocab.bpe": called(of_gpt2),
    },
    "settings": {
        "run.toml": called(lambda f: from_preset("tales", **without_preset(f / "run.toml"))),
    },
}
CASES = [(kind, name) for kind, readers in READERS.items() for name in readers]
EACH = max(4, int(os.environ.get("NPGPT_FUZZ", "0")) // len(CASES))
# What a stranger may put in the place of a number, a text or a list.
ODD = [
    None, True, -1, 0, 1, 2**31, 2**63, 10**30, -0.0, 1e308, float("inf"), float("nan"), "", "x",
    "../../etc", "\0", "\ud800", [], {}, [[]] * 9, [1, 2], {"a": {}},
]
SETTINGS = """preset = "tales"
[model]
n_layer = 2
dropout = 0.1
[training]
corpus = ["tales"]
lr = 1e-3
max_iters = 10
"""


def in_bounds(function, folder):
    """Return (status, stderr) of a reader; fail if it waits or takes much memory."""
    said = io.StringIO()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def late(*_):
        raise AssertionError(f"more than {MOST_SECONDS} seconds")

    handler = signal.signal(signal.SIGALRM, late)
    signal.alarm(MOST_SECONDS)
    try:
        with redirect_stdout(io.StringIO()), redirect_stderr(said):
            status = function(folder)
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
    after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert after - before < MOST_KILOBYTES
    return status, said.getvalue()


@st.composite
def damaged(draw, name, content):
    """Draw a file's content with a change in its bytes or in an entry of its JSON."""
    if name.endswith(".json") and draw(st.booleans()):
        return json.dumps(draw(changed(json.loads(content)))).encode()
    if name.endswith(".safetensors") and draw(st.booleans()):
        end = 8 + int.from_bytes(content[:8], "little")
        header = json.dumps(draw(changed(json.loads(content[8:end])))).encode()
        return len(header).to_bytes(8, "little") + header + content[end:]
    i, j = sorted(draw(st.tuples(*[st.integers(0, len(content))] * 2)))
    middle = draw(
        st.sampled_from([b"", content[i:j] * 2, b"\n", b"\0" * 8, b"1e999", b"-1", b",", b'"'])
        | st.binary(max_size=9)
    )
    return content[:i] + middle + content[draw(st.sampled_from([i, min(i + 1, len(content)), j])) :]


@st.composite
def changed(draw, value):
    """Draw a JSON value with an entry that is changed, missing or renamed."""
    entries = list(value) if isinstance(value, dict) else list(range(len(value)))
    if not entries:
        return draw(st.sampled_from(ODD))
    entry, what = draw(st.sampled_from(entries)), draw(st.integers(0, 5))
    inner = value[entry]
    value = value.copy()
    if isinstance(inner, (dict, list)) and what > 1:
        value[entry] = draw(changed(inner))
    elif what == 0:
        del value[entry]
    elif what == 1 and isinstance(value, dict):
        value[draw(st.text(max_size=3))] = value.pop(entry)
    else:
        value[entry] = draw(st.sampled_from(ODD))
    return value


@pytest.fixture(scope="module")
def folders(finished, corpus, tmp_path_factory):
    """Make a sound folder of each kind."""
    made = tmp_path_factory.mktemp("sound")
    assert main(["prepare", str(made / "tokens"), "--corpus", str(corpus)]) == 0
    assert main(["export", str(finished), str(made / "exported")]) == 0
    weights = load_run(finished)[0].parameters()
    shutil.copytree(made / "exported", made / "sharded")
    (made / "sharded" / "model.safetensors").rename(made / "sharded" / "part.safetensors")
    index = {"weight_map": dict.fromkeys(weights, "part.safetensors")}
    (made / "sharded" / "model.safetensors.index.json").write_text(json.dumps(index))
    (made / "gpt2").mkdir()
    table = {chr(c): c for c in range(33, 127)} | {"th": 127, "the": 128}
    (made / "gpt2" / "encoder.json").write_text(json.dumps(table))
    (made / "gpt2" / "vocab.bpe").write_text("#version: 0.2\nt h\nth e\n")
    (made / "settings").mkdir()
    (made / "settings" / "run.toml").write_text(SETTINGS)
    shutil.copytree(finished, made / "run")
    return made


STRANGE = {
    "pipe": lambda path, content: os.mkfifo(path),
    "folder": lambda path, content: path.mkdir(),
    "link to nothing": lambda path, content: path.symlink_to("nothing"),
    "link in a circle": lambda path, content: path.symlink_to(path),
    "unreadable": lambda path, content: path.touch(0o000),
    "half": lambda path, content: path.write_bytes(content[: len(content) // 2]),
    "empty": lambda path, content: path.touch(),
    "not UTF-8": lambda path, content: path.write_bytes(content[:9] + b"\xff\xfe" + content[9:]),
}


@pytest.mark.parametrize("strange", STRANGE)
@pytest.mark.parametrize(("kind", "name"), CASES)
@pytest.mark.slow
def test_a_strange_file_is_read_or_refused(kind, name, strange, folders, tmp_path):
    folder = shutil.copytree(folders / kind, tmp_path / "folder")
    content = (folder / name).read_bytes()
    (folder / name).unlink()
    if strange == "pipe" and kind == "settings":
        return  # --config <(a command) is a pipe that a user wants to be read
    STRANGE[strange](folder / name, content)
    check(kind, name, folder, refused=strange == "pipe")


def check(kind, name, folder, refused=False):
    """Check that a file of this name gives a result or a refusal in words."""
    status, said = in_bounds(READERS[kind][name], folder)
    assert "Traceback" not in said
    assert status == 0 or "npgpt" in said or said == ""
    assert status or not refused


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "name"), CASES)
def test_a_damaged_file_is_read_or_refused(kind, name, folders, tmp_path):
    content = (folders / kind / name).read_bytes()

    @settings(max_examples=EACH)
    @given(damaged(name, content))
    def try_one(bad):
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(folders / kind, folder)
        (folder / name).write_bytes(bad)
        check(kind, name, folder)

    try_one()
