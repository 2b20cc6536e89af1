"""The best checkpoint of a run, kept beside its last: best.safetensors."""

import json
import shutil

import pytest
from tiny_run import TINY, files

from npgpt.checkpoint import load_run
from npgpt.files import read_arrays
from npgpt.metrics import read_metrics

BEST = "best.safetensors"
# At this rate the text is unlearned soon.
# Its last tenth, to validate with, is what training makes less likely: the first loss is the best.
TEXT = "It aaaaaaab. " * 200 + "b" * 280
WILD = [*TINY, "--max-iters", "12", "--eval-interval", "2", "--lr", "0.01", "--warmup-iters", "0"]


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A run whose last checkpoint is not its best."""
    from npgpt.cli import main

    folder = tmp_path_factory.mktemp("wild") / "run"
    corpus = folder.with_name("text.txt")
    corpus.write_text(TEXT, encoding="utf-8")
    assert main(["train", "--corpus", str(corpus), "--out", str(folder), *WILD]) == 0
    assert lowest(folder)["step"] < 12
    return folder


def lowest(folder):
    rows = read_metrics(folder / "metrics.csv")
    return min((row for row in rows if row["val_loss"] is not None), key=lambda r: r["val_loss"])


def loss_of(cli, model):
    return json.loads(cli("eval", model, "--json")[1])["loss"]


def test_it_is_that_of_the_lowest_validation_loss(cli, wild):
    assert loss_of(cli, wild / BEST) == pytest.approx(lowest(wild)["val_loss"], rel=1e-6)
    assert loss_of(cli, wild) > lowest(wild)["val_loss"] + 0.001


def test_where_the_last_is_the_best_both_are_alike(finished):
    assert lowest(finished)["step"] == 6
    assert (finished / BEST).read_bytes() == (finished / "model.safetensors").read_bytes()


def test_a_run_says_at_its_end_which_was_best(cli, tmp_path, wild, finished):
    said = f"npgpt generate {tmp_path / 'run' / BEST}"
    shutil.copytree(wild, tmp_path / "run")
    assert said in cli("train", "--resume", "--out", tmp_path / "run")[1]
    (tmp_path / "run" / BEST).unlink()  # as in a run of an earlier version
    assert said not in cli("train", "--resume", "--out", tmp_path / "run")[1]
    shutil.rmtree(tmp_path / "run")
    shutil.copytree(finished, tmp_path / "run")
    assert said not in cli("train", "--resume", "--out", tmp_path / "run")[1]


@pytest.mark.parametrize("command", ["generate", "eval", "export", "look"])
def test_every_command_takes_it_in_the_place_of_the_run(cli, here, wild, command):
    arguments = {
        "generate": ["--prompt", "It ", "--seed", 1, "--max-new-tokens", 20],
        "export": [here / "out"], "look": ["--out", here / "page.html"], "eval": [],
    }[command]
    as_last = shutil.copytree(wild, here / "best")
    shutil.copy(wild / BEST, as_last / "model.safetensors")
    status, out, err = cli(command, wild / BEST, *arguments)
    assert status == 0, err
    if command == "export":
        exported = read_arrays(here / "out" / "model.safetensors")
        wte = read_arrays(wild / BEST)["wte.weight"]
        assert (exported["transformer.wte.weight"] == wte).all()
    elif command != "look":
        assert out == cli(command, as_last, *arguments)[1] != cli(command, wild, *arguments)[1]


def test_training_starts_from_it(cli, here, wild):
    corpus = wild.with_name("text.txt")
    status, _, err = cli("train", "--corpus", corpus, "--init-from", wild / BEST, "--out", "tuned",
                         "--max-iters", 1, "--lr", 1e-9, "--min-lr", 0)
    assert status == 0, err
    assert loss_of(cli, "tuned") == pytest.approx(lowest(wild)["val_loss"], rel=1e-4)


def test_a_folder_without_it_is_whole_and_says_what_is_missing(cli, tmp_path, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / BEST).unlink()
    assert cli("eval", folder)[0] == 0
    status, _, err = cli("eval", folder / BEST)
    assert status == 1 and f"{BEST} is missing" in err
    status, _, err = cli("eval", folder / "train_state.safetensors")
    assert status == 1 and "it is neither a run folder nor" in err


@pytest.mark.parametrize("damage", [b"", b"noise" * 9])
def test_a_damaged_one_is_named_and_does_not_keep_a_run_from_going_on(
    cli, tmp_path, finished, damage
):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / BEST).write_bytes(damage)
    status, _, err = cli("eval", folder / BEST)
    assert status == 1 and f"{BEST} is damaged" in err
    assert cli("train", "--resume", "--out", folder)[0] == 0
    assert files(folder)[BEST] == files(finished)[BEST]  # the last one is the best there


def test_a_resumed_run_does_not_take_a_worse_one_for_the_best(cli, tmp_path, wild):
    folder = shutil.copytree(wild, tmp_path / "run")
    assert cli("train", "--resume", "--max-iters", 14, "--out", folder)[0] == 0
    step = lowest(folder)["step"]
    assert (files(folder)[BEST] == files(wild)[BEST]) == (step == lowest(wild)["step"])
    (folder / BEST).unlink()
    assert cli("train", "--resume", "--out", folder)[0] == 0
    assert (folder / BEST).exists() == (step == 14)


def test_a_run_may_have_its_name(cli, here, corpus):
    assert cli("train", "--corpus", corpus, "--out", BEST, *TINY)[0] == 0
    assert load_run(BEST)[2].folder.name == BEST
    assert cli("eval", BEST)[0] == 0
