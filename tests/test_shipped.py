"""The trained model of the package: what its files say of it, and the commands that take it."""

import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from tiny_run import ROOT, environment, module_of

import npgpt
from npgpt.checkpoint import RUN_STATE
from npgpt.cli import main
from npgpt.loading.runs import SHIPPED_RUN
from npgpt.run.opening import open_run
from npgpt.support.files import read_json
from npgpt.support.metrics import read_metrics
from npgpt.train import evaluate


@pytest.mark.kernels  # a minute without them
def test_it_has_the_loss_of_the_last_evaluation_of_its_metrics():
    model, tokenizer, run = npgpt.load_run(SHIPPED_RUN)
    training = run.training
    with ExitStack() as stack:
        dataset = open_run(run, stack, tokenizer)
        loss, _ = evaluate(model, dataset.val_ids, stride=training.eval_stride, seed=training.seed,
                           max_tokens=training.eval_tokens)
    last = read_metrics(SHIPPED_RUN / "metrics.csv")[-1]
    assert last["step"] == training.max_iters == read_json(SHIPPED_RUN / "result.json")["step"]
    assert loss == pytest.approx(last["val_loss"], rel=2e-4)


def test_its_files_take_at_most_1_7_megabytes():
    assert sum(path.stat().st_size for path in SHIPPED_RUN.iterdir()) <= 1.7e6


@pytest.mark.slow
def test_its_loss_on_the_whole_validation_text_is_what_its_files_say():
    said = read_json(SHIPPED_RUN / "result.json")["loss"]
    script = module_of(ROOT / "examples" / "shipped_model.py")
    assert script.validation_loss(SHIPPED_RUN) == pytest.approx(said, rel=1e-5)
    assert f"{said:.5f}" in (SHIPPED_RUN / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("words", ["generate --seed 1 --max-new-tokens 5", "look", "info"])
def test_without_a_name_a_command_takes_the_latest_run_or_else_the_packages_model(
    words, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)

    def said():
        assert main(words.split()) == 0
        [line] = [line for line in capfd.readouterr().err.splitlines() if "MODEL" in line]
        return line

    assert npgpt.load_run()[2].folder == SHIPPED_RUN
    assert str(SHIPPED_RUN) in said()
    for age, name in enumerate(("b", "a", "c")):
        shutil.copytree(SHIPPED_RUN, tmp_path / "runs" / name)
        (tmp_path / "runs" / name / RUN_STATE).touch()
        os.utime(tmp_path / "runs" / name / RUN_STATE, (0, 1000 - age))
    os.utime(tmp_path / "runs" / "a" / RUN_STATE, (0, 2000))
    assert npgpt.load_run()[2].folder == Path("runs/a")
    assert str(Path("runs/a")) in said()


def test_its_page_needs_no_compiler(tmp_path):
    program = (
        "import sys; from npgpt.cli import main; main(['look', '--out', sys.argv[1]]);"
        "assert not {'numba', 'autograd.kernels'} & sys.modules.keys()"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "page.html")]
    variables = {k: v for k, v in environment().items() if k != "AUTOGRAD_BACKEND"}
    subprocess.run(command, cwd=tmp_path, env=variables, check=True, capture_output=True)
