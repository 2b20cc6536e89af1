"""Settings from presets, a TOML file and flags, each over the one before; mistakes are named."""

import os
import shutil

import pytest
from tiny_run import files, settings_of

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


def test_a_file_changes_the_preset_and_flags_change_the_file(done, here, file):
    done("train", "--config", file(), "--batch-size", 2, "--out", "run")
    config = settings_of(here / "run")
    assert config["model"]["n_layer"] == 1 and config["model"]["bias"] is True
    training = config["training"]
    assert (training["batch_size"], training["lr"], training["seed"]) == (2, 1, 1)
    assert training["beta2"] == 0.99 and training["corpus"] == ["hens.txt"]
    assert {"python", "npgpt", "numpy", "numba", "safetensors"} <= set(config["versions"])
    assert {"system", "processors", "backend"} <= set(config["machine"])


@pytest.mark.parametrize(
    ("old", "new", "facts"),
    [
        ("n_layer", "n_layers", ("run.toml", "'n_layers'", " n_layer?")),
        ("batch_size", "batchsize", ("'batchsize'", " batch_size?")),
        ("[model]", "max_itres = 2\n[model]", ("'max_itres'", " max_iters?")),
        ("[training]", "[train]", ("'train'", " training?")),
        ("[model]", "model = 3\n[models]", ("[model]",)),
        ("n_layer", "lr = 2e-3\nn_layer", ("lr", "[training]", "[model]")),
        ("[model]", "lr = 2e-3\n[model]", ("lr", "[training]", "above the tables")),
        ("[model]", f"a{'.a' * 60_000} = 1\n[model]", ("16,384",)),
        ("lr = 1", 'lr = "fast"', ("lr = 'fast'", "float")),
        ("n_head = 2", "n_head = 2.0", ("n_head = 2.0", "int")),
        ("n_head = 2", "n_head = true", ("n_head = True", "int")),
        ("n_head = 2", "vocab_size = 2", ("'vocab_size'",)),
        ("lr = 1", 'tokenizer = "bpe"', ("--tokenizer", "--vocab-size")),
        ("lr = 1", 'arch = "gtp"', ("'gtp'", "gpt or llama")),
        ('["hens.txt"]', '"hens.txt"', ("list",)),
        ("shakespeare-cpu", "shakespear-cpu", (" shakespeare-cpu?",)),
        ("n_head = 2", "n_head = 3", ("n_embd=8", "n_head=3")),
        ("lr = 1", "eval_stride = 17", ("eval_stride=17", "block_size=16")),
        ("[model]", "[model", ("TOML",)),
    ],
)
def test_a_mistake_in_a_file_is_named_with_what_is_near(refused, here, file, old, new, facts):
    path = file(FILE.replace(old, new))
    before = files(here)
    err = refused("train", "--config", path)
    assert all(fact in err for fact in facts), err
    assert files(here) == before


def test_a_file_may_begin_with_a_byte_order_mark(file):
    assert read_settings(file("\ufeff" + FILE)) == read_settings(file())


@pytest.mark.parametrize(
    ("name", "facts"),
    [("config.json", ("JSON", "--resume --out RUN", "--init-from RUN")), ("bytes.toml", ()),
     ("nothere.toml", ()), (".", ()),
     pytest.param("/dev/zero", ("16,384",),
                  marks=pytest.mark.skipif(os.name == "nt", reason="Windows has no /dev/zero"))],
)
def test_settings_that_can_not_be_read(refused, finished, here, name, facts):
    shutil.copy(finished / "config.json", here)
    (here / "bytes.toml").write_bytes(b"{\xff")
    err = refused("train", "--config", name)
    assert all(fact in err for fact in (name, *facts)), err
    assert "--config" in refused("train", "--resume", "--out", finished, "--config", name)
