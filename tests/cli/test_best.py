"""The best checkpoint of a run, kept beside its last: best.safetensors."""

import json
import shutil
from dataclasses import asdict

import pytest
from tiny_run import TINY, files, settings_of

from npgpt.files import read_arrays
from npgpt.loading import best_of
from npgpt.metrics import read_metrics
from npgpt.reward.settings import RewardConfig

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


def loss_of(done, model):
    return json.loads(done("eval", model, "--json"))["loss"]


def test_it_is_that_of_the_lowest_validation_loss(done, wild):
    assert loss_of(done, wild / BEST) == pytest.approx(lowest(wild)["val_loss"], rel=1e-6)
    assert loss_of(done, wild) > lowest(wild)["val_loss"] + 0.001


@pytest.mark.parametrize("command", ["generate", "eval", "export", "look"])
def test_every_command_takes_it_in_the_place_of_the_run(done, here, wild, command):
    arguments = {
        "generate": ["--prompt", "It ", "--seed", 1, "--max-new-tokens", 20],
        "export": [here / "out"], "look": ["--out", here / "page.html"], "eval": [],
    }[command]
    as_last = shutil.copytree(wild, here / "best")
    shutil.copy(wild / BEST, as_last / "model.safetensors")
    out = done(command, wild / BEST, *arguments)
    if command == "export":
        exported = read_arrays(here / "out" / "model.safetensors")
        wte = read_arrays(wild / BEST)["wte.weight"]
        assert (exported["transformer.wte.weight"] == wte).all()
    elif command == "eval":
        assert out == done(command, as_last) != done(command, wild)
    elif command == "generate":  # which takes it anyway
        last = done(command, wild / "model.safetensors", *arguments)
        assert out == done(command, as_last, *arguments) == done(command, wild, *arguments) != last


def test_what_writes_takes_the_best_weights_but_the_last_where_the_loss_is_not_learned(wild, here):
    assert best_of(wild) == wild / BEST and best_of(wild / BEST) == wild / BEST
    assert best_of("hf:a/b") == "hf:a/b"
    rewarded = shutil.copytree(wild, here / "run")
    settings = asdict(RewardConfig())
    settings = {name: settings[name] for name in settings if "reward" in name}
    settings_of(rewarded, **settings | {"reward": "grammar"})
    assert best_of(rewarded) == rewarded
    settings_of(rewarded, **settings | {"reward": "answers", "conversations": ["tales"]})
    assert best_of(rewarded) == rewarded / BEST
    taught = shutil.copytree(wild, here / "taught")
    settings_of(taught, conversations=["talks.jsonl"])
    assert best_of(taught) == taught


def test_a_resumed_run_does_not_take_a_worse_one_for_the_best(done, tmp_path, wild):
    folder = shutil.copytree(wild, tmp_path / "run")
    done("train", "--resume", "--max-iters", 14, "--out", folder)
    step = lowest(folder)["step"]
    assert (files(folder)[BEST] == files(wild)[BEST]) == (step == lowest(wild)["step"])
    (folder / BEST).unlink()
    done("train", "--resume", "--out", folder)
    assert (folder / BEST).exists() == (step == 14)
