"""`npgpt train`: what a run leaves, that it repeats and continues to the bit, what it refuses."""

import re
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
)

from autograd import matmul_precision
from npgpt.cli.plan import default_folder
from npgpt.config import TrainConfig
from npgpt.support.metrics import read_metrics


@pytest.mark.pictures
def test_a_run_leaves_its_files_and_says_where(cli, here, corpus):
    status, out, err = cli("train", corpus, *TINY)
    assert (status, err) == (0, "")
    folder = Path("runs", "hens")
    assert sorted(files(folder)) == [
        ".lock", "best.safetensors", "config.json", "loss.png", "metrics.csv", "model.safetensors",
        "result.json", "samples.txt", "tokenizer.json", "train_state.safetensors",
    ]
    for fact in ("loss.png", "step 6: loss", "0.47 times", "--max-iters 13 "):
        assert fact in out
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "samples.txt").read_text().count("step ") == 2
    rows = read_metrics(folder / "metrics.csv")
    assert [(row["step"], row["val_loss"] is not None) for row in rows] == [
        (step, step % 3 == 0) for step in range(1, 7)]


def test_a_run_with_a_profile_is_the_same(done, corpus, finished, here):
    profiled = ("--profile", 2, "--out", "run", *TINY)
    out = done("train", corpus, *profiled)
    assert "GFLOP/s" in out and re.search(r"\nlinear +backward ", out)
    assert_same_checkpoint("run", finished)


@pytest.mark.filterwarnings("ignore:products in bfloat16 take")
def test_a_run_with_products_of_bfloat16_is_another_and_goes_on_as_one(
    as_json, done, interrupted, here, corpus
):
    """Stopped or not, to the bit; evaluated as it was trained, and no setting of the process."""
    train = ("train", corpus, *TINY, "--out")
    rounded = ("--matmul-precision", "bfloat16")
    done(*train, "exact")
    done(*train, "rounded", *rounded)
    interrupted(5, *train, "stopped", *rounded)
    assert matmul_precision() == "float32"
    losses = [as_json("eval", name)["loss"] for name in ("exact", "rounded")]
    assert 0 < abs(losses[0] - losses[1]) < 0.01
    done("train", "--resume", "stopped")
    assert_same_checkpoint("rounded", "stopped")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_at_one_and_two_threads(tmp_path, corpus):
    for threads in ("1", "2"):
        run = npgpt("train", corpus, "--out", tmp_path / threads, *TINY, "--n-embd", 24,
                    "--dropout", 0.1, env={"NUMBA_NUM_THREADS": threads})
        assert run.returncode == 0, run.stderr
    assert_same_checkpoint(tmp_path / "1", tmp_path / "2")


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_has_the_exit_status_of_its_signal(
    cli, done, here, corpus, finished, at_each_step, monkeypatch, sent
):
    at_each_step(lambda step, _: step == 2 and signal.raise_signal(sent))
    status, out, err = cli("train", corpus, "--out", "run", *TINY)
    assert status == 128 + sent and err.count("\n") == 2 and resumed_at(out) == 2
    monkeypatch.undo()
    assert resumed_at(done("train", "--resume", here / "run")) == 2
    assert_same_checkpoint(here / "run", finished)


@pytest.mark.pictures
def test_a_finished_run_is_drawn_again_and_samples_after_its_checkpoint_are_dropped_in_one_step(
    cli, tmp_path, finished
):
    folder = shutil.copytree(finished, tmp_path / "run")
    samples, picture = folder / "samples.txt", folder / "loss.png"
    before = samples.read_text()
    samples.write_text(before + "step 7: loss 1.0\n")
    old = samples.stat().st_ino
    picture.unlink(missing_ok=True)
    assert cli("train", "--resume", folder)[0] == 0 and picture.exists()
    assert samples.read_text() == before
    assert samples.stat().st_ino != old  # it was not written in place
    assert_same_checkpoint(folder, finished)


def test_resume_refuses_another_text(refuses, tmp_path, finished):
    other = tmp_path / "other.txt"
    other.write_text(TEXT + "!")
    refuses("--corpus", "train", "--resume", finished, "--corpus", other)


@pytest.mark.parametrize(("spec", "name"), [
    ("-", "stdin"), ("texts/a.b.txt", "a.b"), ("texts/**/?.txt", "texts"), ("..", "corpus"),
    ("my [1] text.txt", "corpus"), ("a text.txt", "a-text"),
])
def test_a_run_without_a_name_is_called_as_its_first_corpus(here, spec, name):
    training = TrainConfig(corpus=(spec, "more"))
    assert default_folder(replace(training, arch="bert")) == Path("runs", f"{name}-bert")
    for last in ("", "-2"):
        folder = default_folder(training)
        assert folder == Path("runs", f"{name}{last}")
        folder.mkdir(parents=True)


@pytest.mark.parametrize(("words", "facts"), [
    ("--resume", "--out"), ("short.txt", "--block-size 1"),
    ("binary.dat", "binary.dat 0xff position"),
    ("shrot.txt", "shrot.txt"),
    ("--n-embd 30 --n-head 4", "n_embd=30 n_head=4"),
    ("short.txt --out taken", "taken"),
    ("short.txt --out short.txt/a/b", "short.txt file"),
    ("--preset tales --arch bert", "arch=gpt tales-bert"),
    ("--arch bert --no-bias", "'bias' arch=bert"),
    ("--arch gpt --n-kv-head 2", "'n_kv_head' arch=gpt"),
])
def test_what_can_not_be_trained_is_refused_and_nothing_is_written(refuses, here, words, facts):
    (here / "short.txt").write_text("too short a text")
    (here / "binary.dat").write_bytes(b"abc\xff\xfe")
    (here / "taken").mkdir()
    (here / "taken" / "diary.txt").write_text("precious")
    refuses(facts, "train", *words.split())


def test_it_runs_outside_of_the_main_thread_where_no_signal_arrives(done, here, corpus):
    with ThreadPoolExecutor(1) as pool:
        settings = [corpus, "--out", "run", *TINY]
        assert "step 6:" in pool.submit(done, "train", *settings).result()
