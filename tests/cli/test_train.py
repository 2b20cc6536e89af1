"""`npgpt train`: what a run leaves, that it repeats and continues to the bit, what it refuses."""

import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import (
    TEXT,
    TINY,
    assert_same_checkpoint,
    files,
    npgpt,
    resumed_at,
    settings_of,
)

from autograd import matmul_precision
from npgpt.cli.plan import default_folder
from npgpt.config import TrainConfig
from npgpt.metrics import read_metrics


@pytest.mark.pictures
def test_a_run_leaves_its_files_and_says_where(cli, here, corpus):
    status, out, err = cli("train", "--corpus", corpus, *TINY)
    assert (status, err) == (0, "")
    folder = here / "runs" / "hens"
    assert sorted(files(folder)) == [
        ".lock", "best.safetensors", "config.json", "loss.png", "metrics.csv", "model.safetensors",
        "result.json", "samples.txt", "tokenizer.json", "train_state.safetensors",
    ]
    assert f" {Path('runs', 'hens', 'loss.png')}" in out and "step 6: loss" in out
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "samples.txt").read_text(encoding="utf-8").count("step ") == 2
    rows = read_metrics(folder / "metrics.csv")
    assert [row["step"] for row in rows] == list(range(1, 7))
    assert [row["val_loss"] is not None for row in rows] == [False, False, True] * 2
    config = settings_of(folder)
    assert config["model"]["n_embd"] == 8 and config["training"]["max_iters"] == 6


@pytest.mark.filterwarnings("ignore:products in bfloat16 take")
def test_a_run_with_products_of_bfloat16_is_another_and_goes_on_as_one(done, here, corpus):
    """Stopped or not, to the bit; evaluated as it was trained, and no setting of the process."""
    runs = {}
    for name, *options in (
        ["exact"], ["rounded", "--matmul-precision", "bfloat16"],
        ["stopped", "--matmul-precision", "bfloat16", "--max-iters", 3],
    ):
        done("train", "--corpus", corpus, *TINY, *options, "--out", name)
        assert matmul_precision() == "float32"
        runs[name] = json.loads(done("eval", name, "--json"))["loss"]
    assert 0 < abs(runs["exact"] - runs["rounded"]) < 0.01
    assert settings_of("stopped")["training"]["matmul_precision"] == "bfloat16"
    settings_of("stopped", max_iters=6)
    done("train", "--resume", "--out", "stopped")
    weights = [(here / name / "model.safetensors").read_bytes() for name in ("rounded", "stopped")]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_at_one_and_two_threads(tmp_path, corpus):
    for threads in ("1", "2"):
        run = npgpt("train", "--corpus", corpus, "--out", tmp_path / threads, *TINY, "--n-embd", 24,
                    "--dropout", 0.1, env={"NUMBA_NUM_THREADS": threads})
        assert run.returncode == 0, run.stderr
    assert_same_checkpoint(tmp_path / "1", tmp_path / "2")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_has_the_exit_status_of_its_signal(
    cli, done, here, corpus, finished, at_each_step, monkeypatch, sent
):
    at_each_step(lambda step, _: step == 2 and signal.raise_signal(sent))
    status, out, err = cli("train", "--corpus", corpus, "--out", "run", *TINY)
    assert err.count("\n") == 2 and "Traceback" not in err
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent]
    assert resumed_at(out) == 2
    monkeypatch.undo()
    assert resumed_at(done("train", "--resume", "--out", here / "run")) == 2
    assert_same_checkpoint(here / "run", finished)


@pytest.mark.pictures
def test_a_finished_run_is_drawn_again_and_samples_after_its_checkpoint_are_dropped_in_one_step(
    cli, tmp_path, finished
):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "loss.png").unlink()
    kept, before = folder / "samples.txt", (folder / "samples.txt").read_text(encoding="utf-8")
    kept.write_text(before + "step 7: loss 1.0\n", encoding="utf-8")
    old = kept.stat().st_ino
    assert cli("train", "--resume", "--out", folder)[0] == 0
    assert kept.read_text(encoding="utf-8") == before
    assert kept.stat().st_ino != old  # it was not written in place
    assert (folder / "loss.png").exists()
    assert_same_checkpoint(folder, finished)


def test_resume_refuses_other_settings_and_another_text(refused, tmp_path, finished):
    before = files(finished)
    resume = ("train", "--resume", "--out", finished)
    assert "--n-layer" in refused(*resume, "--n-layer", 3)
    other = tmp_path / "other.txt"
    other.write_text(TEXT + "!", encoding="utf-8")
    assert "--corpus" in refused(*resume, "--corpus", other)
    assert files(finished) == before


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("tales", "tales"), ("-", "stdin"), ("texts", "texts"), ("texts/a.b.txt", "a.b"),
        ("texts/*.txt", "texts"), ("texts/**/?.txt", "texts"), ("*.txt", "corpus"),
        (".", "corpus"), ("..", "corpus"), ("my [1] text.txt", "corpus"), ("a text.txt", "a-text"),
    ],
)
def test_a_run_without_a_name_is_called_as_its_first_corpus(here, spec, name):
    training = TrainConfig(corpus=(spec, "more"))
    assert default_folder(training) == Path("runs", name)
    assert default_folder(replace(training, arch="bert")) == Path("runs", f"{name}-bert")
    for number in (2, 3):
        before = default_folder(training)
        before.mkdir(parents=True)
        assert default_folder(training) == Path("runs", f"{name}-{number}")


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--resume"], ("--out",)),
        (["--corpus", "short.txt"], ("--block-size 1 ",)),
        (["--corpus", "empty.txt"], ("empty.txt is empty",)),
        (["--corpus", "binary.dat"], ("binary.dat", "0xff", "position 3")),
        (["--corpus", "shrot.txt"], ("shrot.txt",)),
        (["--n-embd", "30", "--n-head", "4"], ("n_embd=30", "n_head=4")),
        (["--max-iters", "0"], ("max_iters=0",)),
        (["--lr", "1e-9"], ("min_lr",)),
        (["--corpus", "hens.txt", "--out", "taken"], ("taken",)),
        (["--corpus", "shrot.txt", "--out", "hens.txt/run"], ("hens.txt is a file",)),
        (["--corpus", "shrot.txt", "--out", "hens.txt/a/b"], ("hens.txt is a file",)),
    ],
)
def test_what_can_not_be_trained_is_refused_and_nothing_is_written(
    refused, here, arguments, facts
):
    (here / "short.txt").write_text("too short a text", encoding="utf-8")
    (here / "empty.txt").write_bytes(b"")
    (here / "binary.dat").write_bytes(b"abc\xff\xfe")
    (here / "hens.txt").write_text(TEXT, encoding="utf-8")
    (here / "taken").mkdir()
    (here / "taken" / "diary.txt").write_text("precious", encoding="utf-8")
    before = files(here)
    err = refused("train", *arguments)
    assert all(fact in err for fact in facts), err
    assert files(here) == before


def test_it_runs_outside_of_the_main_thread_where_no_signal_arrives(done, here, corpus):
    with ThreadPoolExecutor(1) as pool:
        settings = ["--corpus", corpus, "--out", "run", *TINY]
        assert "step 6:" in pool.submit(done, "train", *settings).result()
