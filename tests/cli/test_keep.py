"""`npgpt train --keep N`: weights from on the way, which no step and no checkpoint depends on."""

import shutil
from contextlib import ExitStack
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, assert_same_checkpoint

from npgpt.checkpoint import kept, steps_to_keep
from npgpt.config import TrainConfig
from npgpt.data.tokens import open_run
from npgpt.files import read_arrays
from npgpt.loading.runs import load_run, read_run
from npgpt.models import architecture
from npgpt.optim import make_optimizer
from npgpt.train import training_steps

LONG = [*TINY, "--max-iters", "40", "--eval-interval", "10", "--sample-tokens", "0",
        "--seed", "3"]


@pytest.fixture(scope="module")
def keeping(tmp_path_factory, corpus):
    from npgpt.cli import main

    folder = tmp_path_factory.mktemp("keep") / "run"
    assert main(["train", "--corpus", str(corpus), "--out", str(folder), *LONG, "--keep", "4"]) == 0
    return folder


def test_they_are_the_weights_of_their_steps(keeping):
    _, tokenizer, run = load_run(keeping)
    model = architecture("gpt").Model(run.model, seed=run.training.seed)
    found = {0: model.parameters()["wte.weight"].data.copy()}
    with ExitStack() as stack:
        data = open_run(run, architecture("gpt"), stack, tokenizer)
        optimizer = make_optimizer(model, run.training)
        for step in training_steps(model, optimizer, data.train_ids, run.training):
            found[step.step] = model.parameters()["wte.weight"].data.copy()
    assert list(kept(keeping)) == [0, 1, 4, 13] == sorted(steps_to_keep(run.training))
    for step, path in kept(keeping).items():
        np.testing.assert_array_equal(read_arrays(path)["wte.weight"], found[step])
        model, _, run = load_run(path)  # so that every command takes one
        np.testing.assert_array_equal(model.parameters()["wte.weight"].data, found[step])
        assert run == read_run(keeping)


def test_a_run_is_the_same_to_the_bit_without_them(done, keeping, tmp_path, corpus):
    done("train", "--corpus", corpus, "--out", tmp_path / "run", *LONG)
    assert not kept(tmp_path / "run")
    assert_same_checkpoint(tmp_path / "run", keeping, "best.safetensors", "samples.txt")


def test_a_longer_run_keeps_as_many_and_the_first(done, refused, keeping, tmp_path):
    """One that cannot be saved stops training, which can go on."""
    folder = shutil.copytree(keeping, tmp_path / "run")
    later = folder / "kept-41.safetensors"  # as of a process that was killed before its checkpoint
    later.write_bytes(b"")
    (folder / ".kept-41.safetensors.0.tmp").touch()
    (folder / ".kept-mine.tmp").mkdir()
    err = refused("train", "--resume", "--out", later)
    assert str(folder) in err and "--init-from" in err
    (folder / "kept-126.safetensors").mkdir()
    err = refused("train", "--resume", "--max-iters", 400, "--out", folder)
    assert "step 126" in err and f"--resume --out {folder}" in err
    (folder / "kept-126.safetensors").rmdir()
    done("train", "--resume", "--out", folder)
    assert list(kept(folder)) == [0, 4, 13, 126]
    assert [path.name for path in folder.glob(".kept*")] == [".kept-mine.tmp"]


@given(st.integers(0, 100), st.integers(1, 10**6))
def test_steps_are_early_ones_before_the_end(count, last):
    steps = sorted(steps_to_keep(TrainConfig(max_iters=last, keep=count)))
    assert len(steps) <= count and all(0 <= step < last for step in steps)
    if last >= 10**4 and 1 < count <= 20:
        assert len(steps) == count and steps[0] == 0 and steps[1] <= last / 9
        ratios = [b / a for a, b in pairwise(steps[1:])]
        assert all(ratio == pytest.approx(100 ** (1 / count), rel=0.02) for ratio in ratios)
