"""`npgpt train --init-from`: a run that begins with the weights of another."""

import json

import numpy as np
import pytest
from tiny_run import TINY, files

from npgpt import GPT
from npgpt.training.checkpoint import load_run

SCHEDULE = ("--max-iters", 3, "--eval-interval", 3, "--warmup-iters", 1, "--sample-tokens", 4,
            "--batch-size", 2)  # fmt: skip


@pytest.fixture
def other_text(tmp_path):
    path = tmp_path / "other.txt"
    path.write_text("The hen slept.\n\nThe hen was too tired to cross.\n" * 20, encoding="utf-8")
    return path


def test_it_goes_on_from_the_model_and_its_tokenizer(cli, finished, other_text, tmp_path):
    before = files(finished)
    out = tmp_path / "tuned"
    arguments = ("train", "--init-from", finished, "--corpus", other_text, "--out", out)
    status, _, err = cli(*arguments, *SCHEDULE, "--lr", 1e-9, "--min-lr", 0)
    assert status == 0, err
    model, tokenizer, run = load_run(out)
    start, start_tokenizer, start_run = load_run(finished)
    assert tokenizer.tokens == start_tokenizer.tokens and run.model == start_run.model
    assert run.training.max_iters == 3 and run.text.name != start_run.text.name
    for name, weight in model.parameters().items():  # the rate is almost 0
        np.testing.assert_allclose(weight.data, start.parameters()[name].data, atol=1e-6)
    assert files(finished) == before
    status, _, err = cli("train", "--resume", "--out", out, "--init-from", finished)
    assert status == 1 and "leave out init_from" in err
    assert cli("train", "--resume", "--out", out)[0] == 0


def test_a_folder_of_the_transformers_library_will_do(cli, finished, other_text, tmp_path):
    folder, out = tmp_path / "exported", tmp_path / "tuned"
    assert cli("export", finished, folder)[0] == 0
    before = files(folder)
    arguments = ("--init-from", folder, "--corpus", other_text, "--out", out, "--dropout", 0.1)
    status, _, err = cli("train", *arguments, *SCHEDULE)
    assert status == 0, err
    assert json.loads((out / "config.json").read_text())["model"]["dropout"] == 0.1
    start, (model, _, _) = GPT.from_pretrained(folder), load_run(out)
    changed = [
        not np.array_equal(weight.data, start.parameters()[name].data)
        for name, weight in model.parameters().items()
    ]
    assert all(changed) and files(folder) == before


@pytest.mark.parametrize(
    ("flags", "leave_out"),
    [
        (["--n-layer", 7], "n_layer=1): leave out --n-layer"),
        (["--n-embd", 16, "--block-size", 8], "leave out --block-size, --n-embd"),
        (["--arch", "llama"], "arch=gpt): leave out --arch"),
        (["--n-kv-head", 1], "leave out --n-kv-head"),
        (["--tokenizer", "bpe"], "leave out --tokenizer"),
        (["--tokenizer", "bpe", "--vocab-size", 300], "leave out --tokenizer, --vocab-size"),
        (["--check"], "leave out --check"),
        (["--preset", "tales-t5"], "leave out --preset"),
    ],
)
def test_another_model_than_that_is_refused(cli, finished, tmp_path, flags, leave_out):
    out = tmp_path / "tuned"
    status, _, err = cli("train", "--init-from", finished, "--out", out, *flags)
    assert status == 1 and leave_out in err and str(finished) in err
    assert not out.exists()


def test_flags_and_presets_of_the_same_shape_are_no_contradiction(
    cli, finished, other_text, tmp_path
):
    arguments = ("--init-from", finished, "--corpus", other_text, "--out", tmp_path / "tuned")
    flags = [*TINY[:8], "--preset", "tales"]
    assert cli("train", *arguments, *flags, *SCHEDULE)[0] == 0


def test_a_text_with_unknown_characters_is_refused(cli, finished, tmp_path):
    path, out = tmp_path / "greek.txt", tmp_path / "tuned"
    path.write_text("\u03b1\u03b2\u03b3\n" * 200, encoding="utf-8")
    status, _, err = cli("train", "--init-from", finished, "--corpus", path, "--out", out)
    assert status == 1 and "\u03b1" in err and not out.exists()
