"""A command says once what it compiles, and compiles all of it before it needs it."""

import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from numba.core.dispatcher import Dispatcher
from tiny_run import TEXT, TINY

from autograd.kernels import compiler
from npgpt import BPETokenizer
from npgpt.fast.tokenizer import kernels as tokenizer_kernels
from npgpt.run.warmup import BYTE_PAIRS, SECONDS

pytestmark = [pytest.mark.slow, pytest.mark.kernels]

USED = """
import sys
import numpy as np
from numba.core.dispatcher import Dispatcher
from npgpt import GPT, AdamW, BPETokenizer, GPTConfig
from npgpt.run.warmup import warm_up
config = GPTConfig(9, 8, 2, 2, 8, dropout=float(sys.argv[1]))
warm_up(config, byte_pairs="tokenizer" in sys.argv, weights="fp32")
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


def said(lines):
    """Return the lines about compiling, without folders and seconds."""
    lines = [line for line in lines if line.startswith(("compiling", "compiled"))]
    return [re.sub(r"about .*|in \d+ s", "...", line) for line in lines]


def compiling(count):
    return [f"compiling {count} kernels, ...", "compiled ..."]


def warmed_up(*arguments, **variables):
    """Return the lines printed meanwhile, and {kernel: (times loaded, times compiled)}."""
    lines = python("-c", USED, *arguments, **variables)
    used = (line.split() for line in lines if not line.startswith("compil"))
    return said(lines), {name: (int(loaded), int(compiled)) for name, loaded, compiled in used}


def forget(cache, *names):
    """Remove the code of these kernels."""
    for name in names:
        for file in list(cache.rglob(f"{name}-*.nbc")):
            file.unlink()


@pytest.fixture(scope="module")
def compiled_code():
    """The folders of all kernels used here, filled."""
    warmed_up(0.1, "tokenizer")
    return [
        compiler.cache_folder(),
        compiler.cache_folder(tokenizer_kernels.__file__),
    ]


@pytest.fixture
def cache(compiled_code, tmp_path):
    """A copy of them."""
    for folder in compiled_code:
        unfinished = shutil.ignore_patterns("tmp*")  # files of other processes, which vanish
        shutil.copytree(folder, tmp_path / "cache" / folder.name, ignore=unfinished)
    return tmp_path / "cache"


@pytest.mark.parametrize(
    ("missing", "count"),
    [
        ({"_layer_norm", "_gelu", "embedding_backward_", "_adamw"}, 4),
        ({"encode", "_gelu"}, 3),  # of a tokenizer's all from the first are counted
        ({"_dropout"}, 1),
    ],
)
def test_what_is_not_on_disk_is_compiled_and_nothing_is_left(cache, missing, count):
    """Only a few kernels are missing: to compile all would take long."""
    forget(cache, *missing)
    what = "tokenizer" if "encode" in missing else ""
    lines, used = warmed_up(0.1, what, NUMBA_CACHE_DIR=str(cache))
    assert {name for name, (_, compiled) in used.items() if compiled} == missing
    assert lines == compiling(count)
    assert warmed_up(0.1, "tokenizer", NUMBA_CACHE_DIR=str(cache))[0] == []


def test_a_run_with_byte_pairs_says_what_is_compiled_before_it_has_read_the_text(cache, tmp_path):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    start = ["--tokenizer", "bpe", "--vocab-size", "260", "--corpus", tmp_path / "hens.txt", *TINY]
    for arguments in start, ["--resume"]:
        forget(cache, "decode")
        lines = python("-m", "npgpt.cli", "train", "--out", tmp_path / "run", *arguments,
                       NUMBA_CACHE_DIR=str(cache))
        assert said(lines[:2]) == said(lines) == compiling(1)


@pytest.mark.parametrize(
    ("what", "missing"),
    [
        (["tokenize", "RUN", "The hen", "--json"], "decode"),
        (["eval", "RUN", "--json"], "_gelu"),
        (["generate", "RUN", "--json"], "_layer_norm"),
    ],
)
def test_what_a_command_compiles_is_said_beside_its_answer(cache, tmp_path, what, missing):
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
    assert said(first.stderr.splitlines()) == compiling(1)


def test_training_on_prepared_byte_pairs_says_their_kernels_before_the_first_step(cache, tmp_path):
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    BPETokenizer.train(TEXT, 260).save(tmp_path / "bpe.json")
    run, tokens = tmp_path / "run", tmp_path / "tokens"
    python("-m", "npgpt.cli", "prepare", tokens, "--corpus", tmp_path / "hens.txt", "--tokenizer",
           tmp_path / "bpe.json", NUMBA_CACHE_DIR=str(cache))
    forget(cache, "decode")
    lines = python("-m", "npgpt.cli", "train", "--corpus", tokens, "--out", run, *TINY,
                   NUMBA_CACHE_DIR=str(cache))
    first_step = next(i for i, line in enumerate(lines) if line.startswith("step 3:"))
    assert said(lines[:first_step]) == compiling(1)


EVERY = """
import json
from npgpt.cli.warm_up import every_call
from npgpt.run.warmup import missing_kernels
print(json.dumps([kernel.name for kernel, _ in missing_kernels(every_call())]))
"""


def kernels():
    """Return the names of all kernels."""
    packages = "autograd.kernels", "npgpt.fast.tokenizer.kernels"
    modules = [module for name, module in sys.modules.items() if name.startswith(packages)]
    functions = [f for m in modules for f in vars(m).values() if isinstance(f, Dispatcher)]
    return {function.__name__ for function in functions if function.stats.cache_path}


def test_the_warm_up_compiles_every_kernel(tmp_path):
    """Nothing is compiled here: a call ends at the first kernel that it would have to compile."""
    (line,) = python("-c", EVERY, NUMBA_CACHE_DIR=str(tmp_path))
    inside = {"_shares", "_attention", *BYTE_PAIRS[1:]}  # compiled in the calls of _gpt_step, ...
    assert set(json.loads(line)) == kernels() - inside


def test_each_time_of_compiling_is_of_a_kernel():
    assert {*SECONDS, *BYTE_PAIRS} <= kernels()
