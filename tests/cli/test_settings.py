"""Settings from presets, a TOML file and flags, each over the one before; mistakes are named."""

import json
import os
import shutil

import pytest
from tiny_run import TINY, files

from npgpt.cli.settings import read_settings

FILE = """
preset = "shakespeare-cpu"
[model]
n_layer = 1
n_head = 2
n_embd = 8
block_size = 16
bias = true
[training]
corpus = ["hens.txt"]
max_iters = 3
batch_size = 5
lr = 1
sample_tokens = 0
"""


@pytest.fixture
def file(here, corpus):
    (here / "hens.txt").write_bytes(corpus.read_bytes())

    def write(text=FILE):
        (here / "run.toml").write_text(text, encoding="utf-8")
        return here / "run.toml"

    return write


def test_a_file_changes_the_preset_and_flags_change_the_file(cli, here, file):
    status, _, err = cli("train", "--config", file(), "--batch-size", 2, "--out", "run")
    assert (status, err) == (0, "")
    config = json.loads((here / "run/config.json").read_text(encoding="utf-8"))
    assert config["model"]["n_layer"] == 1 and config["model"]["bias"] is True
    training = config["training"]
    assert (training["batch_size"], training["lr"], training["seed"]) == (2, 1, 1)
    assert training["beta2"] == 0.99 and training["corpus"] == ["hens.txt"]
    assert {"python", "npgpt", "numpy", "numba", "safetensors"} <= set(config["versions"])
    assert {"system", "processors", "backend"} <= set(config["machine"])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("n_layer", "n_layers", "run.toml: 'n_layers' is unknown: did you mean n_layer?"),
        ("batch_size", "batchsize", "'batchsize' is unknown: did you mean batch_size?"),
        ("[model]", "max_itres = 2\n[model]", "'max_itres' is unknown: did you mean max_iters?"),
        ("[training]", "[train]", "'train' is unknown: did you mean training?"),
        ("[model]", "model = 3\n[models]", "write [model] above its settings"),
        ("n_layer", "lr = 2e-3\nn_layer", "lr is in [training] and in [model]; give it once"),
        ("[model]", "lr = 2e-3\n[model]", "lr is in [training] and above the tables"),
        ("[model]", f"a{'.a' * 60_000} = 1\n[model]", "run.toml has more than 16,384 bytes"),
        ("lr = 1", 'lr = "fast"', "lr = 'fast'; give a float"),
        ("n_head = 2", "n_head = 2.0", "n_head = 2.0; give an int"),
        ("n_head = 2", "n_head = true", "n_head = True; give an int"),
        ("n_head = 2", "vocab_size = 2", "'vocab_size' is unknown"),
        ("lr = 1", 'tokenizer = "bpe"', "(--tokenizer and --vocab-size are flags alone)"),
        ("lr = 1", 'arch = "gtp"', "arch='gtp'; use gpt or llama"),
        ('["hens.txt"]', '"hens.txt"', "give a list of texts"),
        ("shakespeare-cpu", "shakespear-cpu", "did you mean shakespeare-cpu?"),
        ("n_head = 2", "n_head = 3", "n_embd=8 is not divisible by n_head=3"),
        ("lr = 1", "eval_stride = 17", "eval_stride=17 is larger than a window, block_size=16"),
        ("[model]", "[model", "is not a TOML file"),
    ],
)
def test_a_mistake_in_a_file_is_named_with_what_is_near(cli, here, file, old, new, message):
    path = file(FILE.replace(old, new))
    before = files(here)
    status, _, err = cli("train", "--config", path)
    assert status == 1 and message in err and "Traceback" not in err
    assert files(here) == before


def test_the_stride_of_a_preset_follows_a_smaller_window(cli, here, file):
    file()
    arguments = ("train", "--preset", "tales", "--corpus", "hens.txt", *TINY)
    status, _, err = cli(*arguments, "--eval-stride", 17, "--out", "refused")
    assert status == 1 and "eval_stride=17 is larger than a window, block_size=16" in err
    assert cli(*arguments, "--out", "run")[0] == 0
    config = json.loads((here / "run/config.json").read_text(encoding="utf-8"))
    assert config["training"]["eval_stride"] == 16


def test_a_file_may_begin_with_a_byte_order_mark(file):
    assert read_settings(file("\ufeff" + FILE)) == read_settings(file())


def test_resume_takes_no_settings_from_a_file(cli, finished, file):
    status, _, err = cli("train", "--resume", "--out", finished, "--config", file())
    assert status == 1 and "leave out --config" in err


def test_what_is_said_before_the_first_step(cli, here, corpus):
    shutil.copy(corpus, here / "hens.txt")
    _, out, _ = cli("train", "--corpus", "hens.txt", *TINY)
    start = out[: out.index("step 3:")]
    assert max(map(len, start.splitlines())) <= 80
    for words in (
        "MLP 512", "attention", "position embedding 128", "GFLOP", "MB of memory", "weights",
    ):
        assert words in start
    assert "time  " not in start  # before a step was taken nobody knows how long it takes
    assert "bits per byte" in out and "the best of the evaluations on the way" in out


def test_the_settings_of_a_run_are_no_file_of_settings(cli, finished, tmp_path):
    status, _, err = cli("train", "--config", finished / "config.json")
    assert status == 1 and "config.json is JSON; npgpt train --help shows a file of" in err
    assert "continued by --resume --out RUN" in err and "by --init-from RUN" in err
    (tmp_path / "bytes.toml").write_bytes(b"{\xff")
    status, _, err = cli("train", "--config", tmp_path / "bytes.toml")
    assert status == 1 and "bytes.toml" in err


def test_settings_that_can_not_be_read(cli, here):
    for path in ("nothere.toml", "."):
        status, _, err = cli("train", "--config", path)
        assert status == 1 and f"{path} cannot be read" in err and "name a text file" in err
    if os.path.exists("/dev/zero"):
        status, _, err = cli("train", "--config", "/dev/zero")
        assert status == 1 and "/dev/zero has more than 16,384 bytes" in err
