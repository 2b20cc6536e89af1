"""A run whose settings change midway: `npgpt train --resume --max-iters N`, `--lr X`."""

import os
import shutil

import pytest
from tiny_run import TINY, files, settings_of

from npgpt.config import TrainConfig
from npgpt.loading.runs import read_run
from npgpt.metrics import read_metrics
from npgpt.optim import learning_rate


def without_times(folder):
    """The files of a run, its metrics without the seconds."""
    rows = [row | {"seconds": 0} for row in read_metrics(folder / "metrics.csv")]
    parsed = {"metrics.csv": rows, "config.json": settings_of(folder) | {"changes": None}}
    return files(folder) | parsed | {"loss.png": None}


def test_it_goes_on_as_if_it_had_been_planned_so_long(done, tmp_path, finished):
    planned, longer = (shutil.copytree(finished, tmp_path / name) for name in ("plan", "longer"))
    settings_of(planned, max_iters=11)
    done("train", "--resume", "--out", planned)
    out = done("train", "--resume", "--max-iters", 11, "--out", longer)
    assert without_times(longer) == without_times(planned)
    rate = learning_rate(6, read_run(longer).training)
    assert "step 11" in out and f"{rate:.1e}" in out


@pytest.mark.parametrize(
    ("flags", "fact"),
    [(["--max-iters", steps], "6") for steps in (-3, 0, 1, 5, 6)]
    + [(["--max-iters", 12, "--beta1", 0.1], "--beta1"), (["--lr", 1e-9], "min_lr"),
       (["--config", "x.toml"], "--config"), (["--n-embd", 16, "--lr", 0.1], "--n-embd")],
)
def test_no_more_steps_than_were_done_and_other_settings_are_refused(
    refused, finished, flags, fact
):
    before = files(finished)
    assert fact in refused("train", "--resume", *flags, "--out", finished)
    assert files(finished) == before


CHANGES = {"lr": 1e-2, "min_lr": 1e-3, "keep": 2, "eval_interval": 1, "sample_tokens": 3}


@pytest.mark.parametrize("name", CHANGES)
def test_what_changes_midway_is_recorded_and_continues_to_the_same_bytes(
    cli, done, here, corpus, at_each_step, monkeypatch, name
):
    """The steps before are the same bytes; killed after them, the run ends with the same bytes."""

    def stop_at(end):
        def stop(step, _):
            if step == end:
                raise KeyboardInterrupt
        at_each_step(stop)

    def rows():
        return [row | {"seconds": 0} for row in read_metrics("runs/hens/metrics.csv")]

    stop_at(5)  # the last checkpoint is of step 3
    assert cli("train", "--corpus", corpus, *TINY)[0] == 130
    before, old = rows(), settings_of("runs/hens")["training"]
    monkeypatch.undo()
    monkeypatch.chdir(here)
    shutil.copytree("runs/hens", "before")
    change = ("train", "--resume", f"--{name.replace('_', '-')}", CHANGES[name])
    done(*change)
    assert rows()[: len(before)] == before and len(before) == 3
    assert settings_of("runs/hens")["training"] == old | {name: CHANGES[name]}
    assert settings_of("runs/hens")["changes"] == [
        {"after_step": 3, name: [old[name], CHANGES[name]]}
    ]
    planned = TrainConfig(**old | {"corpus": ()})
    assert (rows()[4]["lr"] != learning_rate(4, planned)) == (name in ("lr", "min_lr"))
    whole = without_times(here / "runs" / "hens")
    shutil.rmtree("runs/hens")
    shutil.copytree("before", "runs/hens")
    stop_at(5)
    assert cli(*change)[0] == 130
    monkeypatch.undo()
    monkeypatch.chdir(here)
    done("train", "--resume")
    assert without_times(here / "runs" / "hens") == whole


def test_without_a_folder_the_latest_run_goes_on(done, refused, here, finished):
    assert "--out" in refused("train", "--resume") and files(here) == {}
    for age, name in enumerate(("late", "early")):
        shutil.copytree(finished, here / "runs" / name)
        os.utime(here / "runs" / name / "train_state.safetensors", (0, 9 - age))
    done("train", "--resume", "--max-iters", 7, *TINY[:8], "--arch", "gpt")  # the run's own
    assert len(read_metrics("runs/late/metrics.csv")) == 7
    assert len(read_metrics("runs/early/metrics.csv")) == 6
    done("train", "--resume", "runs/early", "--max-iters", 8, "--out", "runs/early")
    assert len(read_metrics("runs/early/metrics.csv")) == 8
    assert "once" in refused("train", "--resume", "runs/early", "--out", "runs/late")
    assert "runs/late" in refused("train", "--resume", "late")
