"""Other processes compile kernels ahead, and each kernel is printed once, whoever compiles it."""

import json
import os
import re
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY

from autograd.kernels import compiler
from npgpt import BPETokenizer
from npgpt.fast import tokenizer
from npgpt.run.warmup import WarmUp

pytestmark = [pytest.mark.slow, pytest.mark.kernels]

USED = """
import sys
from contextlib import closing
import numpy as np
from numba.core.dispatcher import Dispatcher
from npgpt import GPT, AdamW, BPETokenizer, GPTConfig
from npgpt.run.warmup import WarmUp
config = GPTConfig(9, 8, 2, 2, 8, dropout=float(sys.argv[1]))
with closing(WarmUp(config, byte_pairs="tokenizer" in sys.argv)) as warming_up:
    warming_up.finish()
if "tokenizer" in sys.argv:
    BPETokenizer.train("hug hug pug", 257).encode("hugs")
model = GPT(config)
optimizer = AdamW(model.parameters())
idx = np.arange(8)[None]
model.loss(idx, idx).backward()
optimizer.step()
model.generate(idx[0], 3)
packages = "autograd.kernels", "npgpt.fast.tokenizer.kernels"
modules = [m for name, m in sys.modules.items() if name.startswith(packages)]
found = {f.__name__: f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)}
for name, f in found.items():
    if f.signatures and f.stats.cache_path:
        loaded = sum(f.stats.cache_hits.values())
        print(name, loaded, len(f.signatures) - loaded)
"""


def python(*arguments, **variables):
    """Return the lines that a new process printed."""
    run = subprocess.run(
        [sys.executable, *map(str, arguments)],
        check=False, capture_output=True, encoding="utf-8", env=os.environ | variables,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()


def without_seconds(lines):
    return [re.sub(r"^ +\d+ s  (?=kernel)", "", line) for line in lines]


def warmed_up(*arguments, **variables):
    """Return the lines printed meanwhile, and {kernel: (times loaded, times compiled)}."""
    lines = without_seconds(python("-c", USED, *arguments, **variables))
    said = [line for line in lines if line.startswith(("compiling", "kernel"))]
    used = (line.split() for line in lines[len(said) :])
    return said, {name: (int(loaded), int(compiled)) for name, loaded, compiled in used}


def forget(cache, *names):
    """Remove the code of these kernels."""
    for name in names:
        for index in list(cache.rglob(f"*.{name}-*.nbi")):
            index.unlink()


@pytest.fixture(scope="module")
def compiled_code():
    """The folders of all kernels used here, filled."""
    warmed_up(0.1, "tokenizer")
    return [
        compiler.cache_folder(),
        compiler.cache_folder("tokenizer", Path(tokenizer.__file__).parent / "kernels"),
    ]


@pytest.fixture
def cache(compiled_code, tmp_path):
    """A copy of them."""
    for folder in compiled_code:
        shutil.copytree(folder, tmp_path / "cache" / folder.name)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "missing",
    [
        {"_layer_norm", "_gelu", "embedding_backward_", "_adamw"},
        {"count_pairs", "_gelu"},
        {"_dropout", "attend_backward"},
    ],
)
def test_other_processes_compile_what_is_not_on_disk_and_nothing_is_left(cache, missing):
    """Only a few kernels are missing: to compile all would take long."""
    forget(cache, *missing)
    what = "tokenizer" if "count_pairs" in missing else ""
    said, used = warmed_up(0.1, what, NUMBA_CACHE_DIR=str(cache), NUMBA_NUM_THREADS="2")
    assert missing <= set(used)
    assert [name for name, (_, compiled) in used.items() if compiled] == []
    assert said[0] == "compiling kernels (stored on disk)"
    numbers, names = zip(*(line.split(": ") for line in said[1:]), strict=True)
    assert [line.split()[1] for line in numbers] == [str(n + 1) for n in range(len(missing))]
    assert set(names) == missing


def test_with_all_on_disk_nothing_is_started_or_said(cache):
    said, used = warmed_up(0.1, "tokenizer", NUMBA_CACHE_DIR=str(cache))
    assert said == [] and {compiled for _, compiled in used.values()} == {0}


def test_a_run_with_byte_pairs_says_what_is_compiled_before_it_has_read_the_text(cache, tmp_path):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    start = ["--tokenizer", "bpe", "--vocab-size", "260", "--corpus", tmp_path / "hens.txt", *TINY]
    for arguments, name in ((start, "count_pairs"), (["--resume"], "build_vocabulary")):
        forget(cache, name)
        lines = python("-m", "npgpt.cli", "train", "--out", tmp_path / "run", *arguments,
                       NUMBA_CACHE_DIR=str(cache))
        lines = without_seconds(lines)
        assert lines[:2] == ["compiling kernels (stored on disk)",
                             f"kernel 1: {name}"]
        assert lines[2].startswith("text ")


@pytest.mark.parametrize(
    ("what", "missing"),
    [
        (["tokenize", "RUN", "The hen", "--json"], "build_vocabulary"),
        (["eval", "RUN", "--json"], "_gelu"),
        (["generate", "RUN", "--json"], "_layer_norm"),
        (["generate", "RUN", "--json"], "build_vocabulary"),
    ],
)
def test_what_a_command_compiles_is_shown_beside_its_answer(cache, tmp_path, what, missing):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    run = tmp_path / "run"
    python("-m", "npgpt.cli", "train", "--tokenizer", "bpe", "--vocab-size", "260", "--corpus",
           tmp_path / "hens.txt", "--out", run, *TINY, NUMBA_CACHE_DIR=str(cache))
    command = ["-m", "npgpt.cli", *(str(run) if word == "RUN" else word for word in what)]
    forget(cache, missing, "_adamw")  # the latter is for training only
    first, again = (
        subprocess.run(
            [sys.executable, *command], capture_output=True, encoding="utf-8", check=True,
            env=os.environ | {"NUMBA_CACHE_DIR": str(cache)},
        )
        for _ in range(2)
    )
    assert json.loads(first.stdout) and again.stderr == ""
    of = "" if missing == "build_vocabulary" else " of 1"  # a tokenizer's are found one by one
    assert without_seconds(first.stderr.splitlines()) == [
        "compiling kernels (stored on disk)",
        f"kernel 1{of}: {missing}",
    ]


def test_training_on_prepared_byte_pairs_shows_their_kernels_before_the_first_step(
    cache, tmp_path
):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    BPETokenizer.train(TEXT, 260).save(tmp_path / "bpe.json")
    run, tokens = tmp_path / "run", tmp_path / "tokens"
    python("-m", "npgpt.cli", "prepare", tokens, "--corpus", tmp_path / "hens.txt", "--tokenizer",
           tmp_path / "bpe.json", NUMBA_CACHE_DIR=str(cache))
    forget(cache, "build_vocabulary")
    lines = python("-m", "npgpt.cli", "train", "--corpus", tokens, "--out", run, *TINY,
                   NUMBA_CACHE_DIR=str(cache))
    first_step = next(i for i, line in enumerate(lines) if line.startswith("step 3:"))
    assert "kernel 1: build_vocabulary" in without_seconds(lines[:first_step])


# ---- the lines


def reported(capsys, *reports, **options):
    """Return the lines printed, without their seconds."""
    with closing(WarmUp(None, **options)) as warming_up:
        for report in reports:
            warming_up._report(*report)
    return without_seconds(capsys.readouterr().out.splitlines())


def test_each_kernel_is_a_line_with_the_time(capsys):
    needed = [("needs", "_gelu"), ("needs", "_adamw")]
    begun = [("begin", "_gelu"), ("begin", "_adamw"), ("begin", "_gelu")]  # by two processes
    assert reported(capsys, *needed, *begun) == [
        "compiling kernels (stored on disk)",
        "kernel 1 of 2: _gelu",
        "kernel 2 of 2: _adamw",
    ]


def test_a_rank_that_is_not_to_be_shown_prints_nothing(capsys):
    assert reported(capsys, ("begin", "_gelu"), shown=False) == []
