"""`npgpt train --keep N`: weights from on the way, which no step and no checkpoint depends on."""

import shutil
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, assert_same_checkpoint, run_program

from npgpt import GPT
from npgpt.checkpoint import kept, steps_to_keep
from npgpt.config import TrainConfig
from npgpt.loading.runs import load_run, read_run

LONG = [*TINY, "--max-iters", "40", "--eval-interval", "10", "--sample-tokens", "0",
        "--seed", "3"]


@pytest.fixture(scope="module")
def keeping(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("keep") / "run"
    run_program("train", corpus, "--out", folder, *LONG, "--keep", 4)
    return folder


def test_they_are_the_weights_of_their_steps_of_the_same_run(
    done, keeping, tmp_path, corpus, at_each_step
):
    found, run = {}, read_run(keeping)

    def note(step, model):
        found[step] = model.parameters()["wte.weight"].data.copy()

    at_each_step(note)
    done("train", corpus, "--out", tmp_path / "run", *LONG)
    assert not kept(tmp_path / "run")
    assert_same_checkpoint(tmp_path / "run", keeping, "best.safetensors", "samples.txt")
    note(0, GPT(run.model, seed=run.training.seed))
    assert list(kept(keeping)) == [0, 1, 4, 13]
    for step, path in kept(keeping).items():
        model, _, of_run = load_run(path)  # so that every command takes one
        np.testing.assert_array_equal(model.parameters()["wte.weight"].data, found[step])
        assert of_run == run


def test_a_longer_run_keeps_as_many_and_the_first(done, refused, keeping, tmp_path):
    """One that cannot be saved stops training, which can go on."""
    folder = shutil.copytree(keeping, tmp_path / "run")
    later = folder / "kept-41.safetensors"  # as of a process that was killed before its checkpoint
    later.touch()
    (folder / ".kept-41.safetensors.0.tmp").touch()
    refused("train", "--resume", later)
    (folder / "kept-126.safetensors").mkdir()
    err = refused("train", "--resume", folder, "--max-iters", 400)
    assert "step 126" in err and f"--resume --out {folder}" in err
    (folder / "kept-126.safetensors").rmdir()
    done("train", "--resume", folder)
    assert list(kept(folder)) == [0, 4, 13, 126] and not [*folder.glob(".kept*")]


@given(st.integers(0, 100), st.integers(1, 10**6))
def test_steps_are_early_ones_before_the_end(count, last):
    steps = sorted(steps_to_keep(TrainConfig(max_iters=last, keep=count)))
    assert len(steps) <= count and all(0 <= step < last for step in steps)
    if last >= 10**4 and 1 < count <= 20:
        assert len(steps) == count and steps[0] == 0 and steps[1] <= last / 9
        ratios = [b / a for a, b in pairwise(steps[1:])]
        assert all(ratio == pytest.approx(100 ** (1 / count), rel=0.02) for ratio in ratios)
