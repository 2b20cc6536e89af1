"""A run that is made longer: `npgpt train --resume --max-iters N`."""

import json
import shutil

import pytest
from tiny_run import files

from npgpt.checkpoint import read_run
from npgpt.metrics import read_metrics
from npgpt.optim import learning_rate


def with_steps(folder, target, steps):
    """A copy of a run whose config.json was written with another number of steps."""
    shutil.copytree(folder, target)
    text = (target / "config.json").read_text(encoding="utf-8")
    config = json.loads(text)
    before = f'"max_iters": {config["training"]["max_iters"]}'
    (target / "config.json").write_text(
        text.replace(before, f'"max_iters": {steps}'), encoding="utf-8"
    )
    return target


def without_times(folder):
    """The files of a run, its metrics without the seconds."""
    rows = [row | {"seconds": 0} for row in read_metrics(folder / "metrics.csv")]
    return files(folder) | {"metrics.csv": rows, "loss.png": None}


def test_it_goes_on_as_if_it_had_been_planned_so_long(cli, tmp_path, finished):
    planned = with_steps(finished, tmp_path / "planned", 11)
    longer = shutil.copytree(finished, tmp_path / "longer")
    assert cli("train", "--resume", "--out", planned)[0] == 0
    status, out, err = cli("train", "--resume", "--max-iters", 11, "--out", longer)
    assert (status, err) == (0, "")
    assert without_times(longer) == without_times(planned)
    assert read_run(longer).training.max_iters == 11
    rate = learning_rate(6, read_run(longer).training)
    assert f"now ends at step 11, and the learning rate follows: {rate:.1e} next" in out


def test_it_may_end_earlier_than_was_planned(cli, tmp_path, finished):
    folder = with_steps(finished, tmp_path / "run", 60)
    assert cli("train", "--resume", "--max-iters", 8, "--out", folder)[0] == 0
    assert read_metrics(folder / "metrics.csv")[-1]["step"] == 8
    status, out, _ = cli("train", "--resume", "--out", folder)
    assert status == 0 and "now ends" not in out


@pytest.mark.parametrize("steps", [-3, 0, 1, 5, 6])
def test_no_more_steps_than_were_done_is_refused(cli, finished, steps):
    before = files(finished)
    status, _, err = cli("train", "--resume", "--max-iters", steps, "--out", finished)
    assert status == 1
    assert "6 steps are done; give more than that" in err
    assert files(finished) == before


def test_another_setting_beside_it_is_refused(cli, finished):
    before = files(finished)
    status, _, err = cli(
        "train", "--resume", "--max-iters", 12, "--lr", 0.1, "--out", finished
    )
    assert status == 1 and "leave out --lr and name" in err
    assert files(finished) == before


def test_the_rest_of_config_json_stays_as_it_was_written(cli, tmp_path, finished):
    """A run of another version, machine and format, with what a person has noted."""
    folder = shutil.copytree(finished, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {"format": 3, "versions": {"npgpt": "0.0.1"}, "note": "mine, größer"}
    del config["training"]["matmul_precision"]
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    assert cli("train", "--resume", "--max-iters", 7, "--out", folder)[0] == 0
    config["training"]["max_iters"] = 7
    assert json.loads((folder / "config.json").read_text(encoding="utf-8")) == config
