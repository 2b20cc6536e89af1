"""`npgpt train`: what a run leaves, that it repeats and continues to the bit, what it refuses."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from tiny_run import TEXT, TINY, environment, files

from autograd import Observer, matmul_precision, observing
from npgpt import train as training_run
from npgpt.checkpoint import RunError
from npgpt.cli.train import _default_folder
from npgpt.config import TrainConfig

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "npgpt.cli"]


def test_a_run_leaves_its_files_and_says_where(cli, here, corpus):
    status, out, err = cli("train", "--corpus", corpus, *TINY)
    assert (status, err) == (0, "")
    folder = here / "runs" / "hens"
    assert sorted(files(folder)) == [
        "best.safetensors", "config.json", "loss.png", "metrics.csv", "model.safetensors",
        "result.json", "samples.txt", "tokenizer.json", "train_state.safetensors",
    ]
    assert f"picture {Path('runs', 'hens', 'loss.png')}" in out
    assert "validation loss" in out and "step 6: loss" in out
    assert (folder / "loss.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / "samples.txt").read_text(encoding="utf-8").count("step ") == 2
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["step"]) for row in rows] == list(range(1, 7))
    assert [bool(row["val_loss"]) for row in rows] == [False, False, True] * 2
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["model"]["n_embd"] == 8 and config["training"]["max_iters"] == 6


@pytest.mark.filterwarnings("ignore:this processor has no instructions for bfloat16")
def test_a_run_with_products_of_bfloat16_is_another_and_goes_on_as_one(cli, here, corpus):
    """Stopped or not, to the bit; evaluated as it was trained, and no setting of the process."""
    runs = {}
    for name, *options in (
        ["exact"], ["rounded", "--matmul-precision", "bfloat16"],
        ["stopped", "--matmul-precision", "bfloat16", "--max-iters", "3"],
    ):
        arguments = [*TINY, *options, "--out", here / name]
        assert cli("train", "--corpus", corpus, *map(str, arguments))[0] == 0
        assert matmul_precision() == "float32"
        _, out, _ = cli("eval", str(here / name), "--json")
        runs[name] = json.loads(out)["loss"]
    assert 0 < abs(runs["exact"] - runs["rounded"]) < 0.01
    config = json.loads((here / "stopped/config.json").read_text(encoding="utf-8"))
    assert config["training"]["matmul_precision"] == "bfloat16"
    config["training"]["max_iters"] = 6
    (here / "stopped/config.json").write_text(json.dumps(config), encoding="utf-8")
    assert cli("train", "--resume", "--out", str(here / "stopped"))[0] == 0
    weights = [(here / name / "model.safetensors").read_bytes() for name in ("rounded", "stopped")]
    assert weights[0] == weights[1]


class Stack(Observer):
    """The functions of the program that are at work when a first gradient is computed."""

    functions = ()

    def vjp(self, *_):
        if not self.functions:
            frame, names = sys._getframe(1), ["main"]
            while frame.f_code.co_name != "main":
                names.insert(1, frame.f_code.co_name)
                frame = frame.f_back
            self.functions = names


def test_five_functions_lead_from_main_to_backward(cli, here, corpus, monkeypatch):
    steps, stack = training_run.training_steps, Stack()

    def observed(*arguments):
        with observing(stack):
            yield from steps(*arguments)

    monkeypatch.setattr(training_run, "training_steps", observed)
    assert cli("train", "--corpus", corpus, *TINY)[0] == 0
    expected = ["main", "run", "train", "observed", "training_steps", "backward", "_visit"]
    assert stack.functions[:7] == expected


@pytest.mark.parametrize("name", ["model.safetensors", "train_state.safetensors"])
@pytest.mark.slow
def test_the_same_seed_gives_the_same_bits_at_one_and_two_threads(tmp_path, corpus, name):
    weights = []
    for threads in ("1", "2"):
        command = [*COMMAND, "train", "--corpus", corpus, "--out", tmp_path / threads, *TINY,
                   "--n-embd", "24", "--dropout", "0.1"]
        run = subprocess.run(command, env=environment(NUMBA_NUM_THREADS=threads), cwd=ROOT,
                             check=False, capture_output=True, encoding="utf-8")
        assert run.returncode == 0, run.stderr
        weights.append((tmp_path / threads / name).read_bytes())
    assert weights[0] == weights[1]


def test_another_seed_gives_other_weights(cli, here, corpus, finished):
    status, _, _ = cli("train", "--corpus", corpus, "--out", "same", *TINY)
    assert status == 0
    cli("train", "--corpus", corpus, "--out", "other", *TINY, "--seed", 2)
    first = (finished / "model.safetensors").read_bytes()
    assert (here / "same" / "model.safetensors").read_bytes() == first
    assert (here / "other" / "model.safetensors").read_bytes() != first


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_has_the_exit_status_of_its_signal(cli, here, corpus, monkeypatch, sent):
    steps = training_run.training_steps

    def signalled(*arguments):
        for step in steps(*arguments):
            if step.step == 2:
                signal.raise_signal(sent)
            yield step

    monkeypatch.setattr(training_run, "training_steps", signalled)
    status, out, err = cli("train", "--corpus", corpus, "--out", "run", *TINY)
    assert err == "\nstopping after this step, which is evaluated and saved\n"
    assert status == {signal.SIGINT: 130, signal.SIGTERM: 143}[sent]
    assert "stopped after step 2, which is saved" in out
    monkeypatch.undo()
    assert cli("train", "--resume", "--out", here / "run")[0] == 0


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGINT for another process")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.slow
def test_an_interrupted_run_resumes_to_the_bits_of_one_that_was_not(cli, tmp_path, corpus, sent):
    long = [*TINY, "--max-iters", "400", "--eval-interval", "100", "--sample-tokens", "0"]
    assert cli("train", "--corpus", corpus, "--out", tmp_path / "whole", *long)[0] == 0
    folder = tmp_path / "interrupted"
    command = [*COMMAND, "train", "--corpus", corpus, "--out", folder, *long]
    process = subprocess.Popen(
        command, env=environment(), cwd=ROOT, stdout=subprocess.PIPE, encoding="utf-8"
    )
    while not (folder / "samples.txt").exists() and process.poll() is None:
        time.sleep(0.005)
    process.send_signal(sent)
    said = process.communicate()[0]
    stopped = "stopped after step" in said  # it may have been faster than the signal
    assert process.returncode == (128 + sent if stopped else 0)
    if stopped:
        assert f"npgpt train --resume --out {folder}" in said
    status, out, err = cli("train", "--resume", "--out", folder)
    assert status == 0, err
    for name in ("model.safetensors", "train_state.safetensors"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()

    def steps(run):
        with open(run / "metrics.csv", encoding="utf-8", newline="") as file:
            return [(row["step"], row["loss"]) for row in csv.DictReader(file)]

    assert steps(folder) == steps(tmp_path / "whole")


@pytest.mark.slow
def test_resume_after_a_kill_takes_the_last_checkpoint_again(cli, tmp_path, corpus, finished):
    # What a kill during step 5 leaves: the checkpoint of step 3, and nothing after it.
    folder = tmp_path / "killed"
    status, _, _ = cli("train", "--corpus", corpus, "--out", folder, *TINY, "--max-iters", 3)
    assert status == 0
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config["training"]["max_iters"] = 6
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    with open(folder / "metrics.csv", "a", encoding="utf-8") as file:
        file.write("4,1.0,,0.001,1.0,0.1\n5,1.0")
    status, out, _ = cli("train", "--resume", "--out", folder)
    assert status == 0 and "from step 3" in out
    with open(folder / "metrics.csv", encoding="utf-8", newline="") as file:
        assert [int(row["step"]) for row in csv.DictReader(file)] == list(range(1, 7))


def test_samples_after_the_checkpoint_are_dropped_in_one_step(cli, tmp_path, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    kept, before = folder / "samples.txt", (folder / "samples.txt").read_text(encoding="utf-8")
    kept.write_text(before + "step 7: loss 1.0\n", encoding="utf-8")
    old = kept.stat().st_ino
    assert cli("train", "--resume", "--out", folder)[0] == 0
    assert kept.read_text(encoding="utf-8") == before
    assert kept.stat().st_ino != old  # it was not written in place


def test_resuming_a_finished_run_draws_it_again_and_trains_nothing(cli, tmp_path, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "loss.png").unlink()
    status, out, _ = cli("train", "--resume", "--out", folder)
    assert status == 0 and (folder / "loss.png").exists()
    name = "train_state.safetensors"
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_a_finished_run_without_its_metrics_is_evaluated(cli, tmp_path, finished):
    folder = shutil.copytree(finished, tmp_path / "run")
    (folder / "metrics.csv").unlink()
    status, out, err = cli("train", "--resume", "--out", folder)
    assert (status, err) == (0, "")
    assert "validation loss" in out and "metrics.csv has no evaluation" in out


def test_resume_refuses_other_settings_and_another_text(cli, tmp_path, finished):
    before = files(finished)
    status, _, err = cli("train", "--resume", "--out", finished, "--n-layer", 3)
    assert status == 1 and "leave out --n-layer" in err
    other = tmp_path / "other.txt"
    other.write_text(TEXT + "!", encoding="utf-8")
    status, _, err = cli("train", "--resume", "--out", finished, "--corpus", other)
    assert status == 1 and "is another text" in err and "--corpus" in err
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
    assert _default_folder(training) == Path("runs", name)
    assert _default_folder(replace(training, arch="bert")) == Path("runs", f"{name}-bert")
    with pytest.raises(RunError, match="there is no run"):
        _default_folder(training, resume=True)
    for number in (2, 3):
        before = _default_folder(training)
        before.mkdir(parents=True)
        assert _default_folder(training) == Path("runs", f"{name}-{number}")
        assert _default_folder(training, resume=True) == before


def test_resume_without_a_run_says_so(cli, here):
    status, _, err = cli("train", "--resume")
    assert status == 1 and "there is no run" in err and "--out" in err
    assert files(here) == {}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--corpus", "short.txt"], "the training text has 14 tokens, but one window takes"),
        (["--corpus", "empty.txt"], "empty.txt is empty"),
        (["--corpus", "binary.dat"], "binary.dat is not UTF-8 text: byte 0xff at byte offset 3"),
        (["--corpus", "shrot.txt"], "there is no corpus shrot.txt; did you mean short.txt"),
        (["--n-embd", "30", "--n-head", "4"], "n_embd=30 is not divisible by n_head=4"),
        (["--max-iters", "0"], "max_iters=0; use 1 or more"),
        (["--lr", "1e-9"], "min_lr at most lr"),
        (["--corpus", "hens.txt", "--out", "taken"], "taken is not empty"),
        (["--corpus", "shrot.txt", "--out", "hens.txt/run"], "hens.txt is a file: name another"),
        (["--corpus", "shrot.txt", "--out", "hens.txt/a/b"], "hens.txt is a file: name another"),
    ],
)
def test_what_can_not_be_trained_is_refused_and_nothing_is_written(cli, here, arguments, message):
    (here / "short.txt").write_text("too short a text", encoding="utf-8")
    (here / "empty.txt").write_bytes(b"")
    (here / "binary.dat").write_bytes(b"abc\xff\xfe")
    (here / "hens.txt").write_text(TEXT, encoding="utf-8")
    (here / "taken").mkdir()
    (here / "taken" / "diary.txt").write_text("precious", encoding="utf-8")
    before = files(here)
    status, out, err = cli("train", *arguments)
    assert status == 1
    assert message in err and "Traceback" not in err
    assert files(here) == before


def test_training_goes_on_without_matplotlib(cli, here, corpus, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # as if it were not installed
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    monkeypatch.setitem(sys.modules, "matplotlib.backends.backend_agg", None)
    status, out, err = cli("train", "--corpus", corpus, *TINY)
    assert (status, err) == (0, "")
    assert "there will be no loss.png" in out and "pip install -e '.[plot]'" in out
    assert "metrics.csv" in files(here / "runs" / "hens")
    assert "loss.png" not in files(here / "runs" / "hens")


def test_a_diverging_run_stops_and_keeps_its_last_checkpoint(cli, here, corpus):
    settings = [*TINY, "--max-iters", "200", "--lr", "1e30", "--grad-clip", "0"]
    status, _, err = cli("train", "--corpus", corpus, "--out", "wild", *settings)
    assert status == 1
    assert "no weight was moved" in err and "lower learning rate" in err


@pytest.mark.slow
def test_a_read_only_installation_is_enough(tmp_path, corpus):
    installed = tmp_path / "site"
    for package in ("autograd", "npgpt"):
        shutil.copytree(ROOT / package, installed / package,
                        ignore=shutil.ignore_patterns("__pycache__"))
    for path in installed.rglob("*"):
        path.chmod(0o555 if path.is_dir() else 0o444)
    before = files(installed)
    command = [*COMMAND, "train", "--corpus", corpus, "--out", tmp_path / "run", *TINY]
    try:
        run = subprocess.run(command, env=environment(PYTHONPATH=str(installed)), cwd=tmp_path,
                             check=False, capture_output=True, encoding="utf-8")
    finally:
        for path in installed.rglob("*"):
            path.chmod(0o755 if path.is_dir() else 0o644)
    assert run.returncode == 0, run.stderr
    assert files(installed) == before


def test_it_runs_outside_of_the_main_thread_where_no_signal_arrives(cli, here, corpus):
    with ThreadPoolExecutor(1) as pool:
        settings = ["--corpus", corpus, "--out", "run", *TINY]
        status, out, err = pool.submit(cli, "train", *settings).result()
    assert (status, err) == (0, "") and "step 6: loss" in out
