"""The best checkpoint of a run, kept beside its last: best.safetensors."""

import shutil
from dataclasses import asdict

import pytest
from tiny_run import TINY, files, run_program, settings_of

from npgpt.config import TrainConfig
from npgpt.loading import best_of
from npgpt.reward.settings import RewardConfig
from npgpt.support.metrics import read_metrics

BEST = "best.safetensors"
# At this rate the text is unlearned soon.
# Its last tenth, to validate with, is what training makes less likely: the first loss is the best.
TEXT = "It aaaaaaab. " * 200 + "b" * 280
WILD = [*TINY, "--max-iters", "12", "--eval-interval", "2", "--lr", "0.01", "--warmup-iters", "0"]


@pytest.fixture(scope="module")
def wild(tmp_path_factory):
    """A run whose last checkpoint is not its best."""
    folder = tmp_path_factory.mktemp("wild") / "run"
    corpus = folder.with_name("text.txt")
    corpus.write_text(TEXT)
    run_program("train", corpus, "--out", folder, *WILD)
    assert lowest(folder)["step"] < 12
    return folder


def lowest(folder):
    rows = read_metrics(folder / "metrics.csv")
    return min((row for row in rows if row["val_loss"] is not None), key=lambda r: r["val_loss"])


def test_it_has_the_lowest_validation_loss_and_is_what_generate_takes(as_json, done, wild):
    least = lowest(wild)["val_loss"]
    assert as_json("eval", wild / BEST)["loss"] == pytest.approx(least, rel=1e-6)
    assert as_json("eval", wild)["loss"] > least + 0.001
    best, run, last = (
        done("generate", wild / name, "It ", "--seed", 1, "--max-new-tokens", 20)
        for name in (BEST, "", "model.safetensors")
    )
    assert best == run != last


def test_what_writes_takes_the_best_weights_but_the_last_where_the_loss_is_not_learned(wild, here):
    assert best_of(wild / BEST) == wild / BEST
    talks = ("talks.jsonl",)
    for i, (training, taken) in enumerate([
        (TrainConfig(), BEST), (TrainConfig(conversations=talks), ""),
        (RewardConfig(reward="grammar"), ""),
        (RewardConfig(reward="answers", conversations=("tales",)), BEST),
    ]):
        run = shutil.copytree(wild, here / str(i))
        settings_of(run, **asdict(training))
        assert best_of(run) == run / taken


def test_a_resumed_run_does_not_take_a_worse_one_for_the_best(done, tmp_path, wild):
    folder = shutil.copytree(wild, tmp_path / "run")
    done("train", "--resume", "--max-iters", 14, "--out", folder)
    step = lowest(folder)["step"]
    assert (files(folder)[BEST] == files(wild)[BEST]) == (step == lowest(wild)["step"])
    (folder / BEST).unlink()
    done("train", "--resume", folder)
    assert (folder / BEST).exists() == (step == 14)
