"""A run whose settings change midway: `npgpt train --resume --max-iters N`, `--lr X`."""

import os
import shutil
from pathlib import Path

import pytest
from tiny_run import TINY, files, settings_of

from npgpt.config import TrainConfig
from npgpt.optim import learning_rate
from npgpt.support.metrics import read_metrics


def without_times(folder):
    """The files of a run, its metrics without the seconds."""
    folder = Path(folder)
    rows = [row | {"seconds": 0} for row in read_metrics(folder / "metrics.csv")]
    parsed = {"metrics.csv": rows, "config.json": settings_of(folder) | {"changes": None}}
    return files(folder) | parsed | {"loss.png": None}


@pytest.mark.parametrize(("flags", "fact"), [
    ("--max-iters 6", "6"), ("--lr 1e-9", "min_lr"),
    ("--max-iters 12 --beta1 0.1", "--beta1"), ("--config x.toml", "--config"),
    ("--lr 0.1 --n-embd 16", "--n-embd"),
])
def test_no_more_steps_than_were_done_and_other_settings_are_refused(
    refuses, finished, here, flags, fact
):
    (here / "x.toml").write_text("lr = 1e-3")
    refuses(fact, "train", "--resume", shutil.copytree(finished, "run"), *flags.split())


CHANGES = {"max_iters": 9, "lr": 1e-2, "min_lr": 1e-3, "keep": 2, "eval_interval": 1,
           "sample_tokens": 3}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_midway_is_recorded_and_continues_to_the_same_bytes(
    done, here, corpus, interrupted, name
):
    """The steps before are the same bytes; killed after them, the run ends with the same bytes."""
    new = CHANGES[name]
    change = ("train", "--resume", f"--{name.replace('_', '-')}", new, "--out")
    interrupted(5, "train", corpus, "--out", "whole", *TINY)  # step 3 is saved last
    before, old = without_times("whole")["metrics.csv"], settings_of("whole")["training"]
    shutil.copytree("whole", "parts")
    done(*change, "whole")
    whole = without_times("whole")
    assert whole["metrics.csv"][: len(before)] == before and len(before) == 3
    assert settings_of("whole")["training"] == old | {name: new}
    assert settings_of("whole")["changes"] == [{"after_step": 3, name: [old[name], new]}]
    planned = TrainConfig(**old | {"corpus": ()})
    other_rate = whole["metrics.csv"][4]["lr"] != learning_rate(4, planned)
    assert other_rate == (name in ("lr", "min_lr", "max_iters"))
    interrupted(5, *change, "parts")
    done("train", "--resume", "parts")
    assert without_times("parts") == whole


def test_without_a_folder_the_latest_run_goes_on(done, refuses, here, finished):
    refuses("--out", "train", "--resume")
    for age, name in enumerate(("late", "early")):
        shutil.copytree(finished, here / "runs" / name)
        os.utime(here / "runs" / name / "train_state.safetensors", (0, 9 - age))
    of_the_run = (*TINY[:8], "--arch", "gpt")
    assert "runs/late" in done("train", "--resume", "--max-iters", 7, *of_the_run)
    assert "runs/early" in done("train", "--resume", "runs/early", "--out", "runs/early")
    refuses("once", "train", "--resume", "runs/early", "--out", "runs/late")
    refuses("runs/late", "train", "--resume", "late")
