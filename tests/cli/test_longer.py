"""A run that is made longer: `npgpt train --resume --max-iters N`."""

import json
import shutil

import pytest
from tiny_run import files, settings_of

from npgpt.checkpoint import read_run
from npgpt.metrics import read_metrics
from npgpt.optim import learning_rate


def without_times(folder):
    """The files of a run, its metrics without the seconds."""
    rows = [row | {"seconds": 0} for row in read_metrics(folder / "metrics.csv")]
    parsed = {"metrics.csv": rows, "config.json": settings_of(folder)}
    return files(folder) | parsed | {"loss.png": None}


def test_it_goes_on_as_if_it_had_been_planned_so_long(done, tmp_path, finished):
    planned, longer = (shutil.copytree(finished, tmp_path / name) for name in ("plan", "longer"))
    settings_of(planned, max_iters=11)
    done("train", "--resume", "--out", planned)
    out = done("train", "--resume", "--max-iters", 11, "--out", longer)
    assert without_times(longer) == without_times(planned)
    rate = learning_rate(6, read_run(longer).training)
    assert "step 11" in out and f"{rate:.1e}" in out


def test_it_may_end_earlier_than_was_planned(done, tmp_path, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    settings_of(folder, max_iters=60)
    done("train", "--resume", "--max-iters", 8, "--out", folder)
    assert read_metrics(folder / "metrics.csv")[-1]["step"] == 8
    assert "learning rate" not in done("train", "--resume", "--out", folder)


@pytest.mark.parametrize(
    ("flags", "fact"),
    [(["--max-iters", steps], "6") for steps in (-3, 0, 1, 5, 6)]
    + [(["--max-iters", 12, "--lr", 0.1], "--lr")],
)
def test_no_more_steps_than_were_done_and_other_settings_are_refused(
    refused, finished, flags, fact
):
    before = files(finished)
    assert fact in refused("train", "--resume", *flags, "--out", finished)
    assert files(finished) == before


def test_the_rest_of_config_json_stays_as_it_was_written(done, tmp_path, finished):
    """A run of another version, machine and format, with what a person has noted."""
    folder = shutil.copytree(finished, tmp_path / "run")
    config = settings_of(folder)
    config |= {"format": 3, "versions": {"npgpt": "0.0.1"}, "note": "mine, größer"}
    del config["training"]["matmul_precision"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    done("train", "--resume", "--max-iters", 7, "--out", folder)
    config["training"]["max_iters"] = 7
    assert settings_of(folder) == config
