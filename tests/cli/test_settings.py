"""Settings from presets, a TOML file and flags, each over the one before; mistakes are named."""


import pytest
from tiny_run import settings_of

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
        (here / "run.toml").write_text(text)
        return here / "run.toml"

    return write


def test_a_file_changes_the_preset_and_flags_change_the_file(done, here, file):
    """Some editors begin a file with a byte order mark."""
    done("train", "--config", file("\ufeff" + FILE), "--batch-size", 2, "--out", "run")
    config = settings_of("run")
    model = {"n_layer": 1, "bias": True}
    training = {"batch_size": 2, "lr": 1, "seed": 1, "beta2": 0.99, "corpus": ["hens.txt"]}
    assert config["model"].items() >= model.items()
    assert config["training"].items() >= training.items()
    assert {"python", "npgpt", "numpy", "numba"} <= set(config["versions"])
    assert "processors" in config["machine"]


@pytest.mark.parametrize(("old", "new", "facts"), [
    ("n_layer", "n_layers", "run.toml 'n_layers' n_layer?"),
    ("[training]", "[train]", "'train' training?"),
    ("[model]", "model = 3\n[models]", "[model]"),
    ("[model]", "lr = 2e-3\n[model]", "lr [training] above"),
    ("[model]", f"a{'.a' * 60_000} = 1\n[model]", "16,384"),
    ("lr = 1", 'lr = "fast"', "lr 'fast' float"),
    ("n_head = 2", "n_head = true", "n_head True int"),
    ("lr = 1", 'tokenizer = "bpe"', "--tokenizer --vocab-size"),
    ("lr = 1", 'arch = "gtp"', "'gtp' gpt llama"),
    ("shakespeare-cpu", "shakespear-cpu", "shakespeare-cpu?"),
    (FILE, "{\"model\": {}}", "TOML"),
    ("[model]", "[model", "TOML"),
])
def test_a_mistake_in_a_file_is_named_with_what_is_near(refuses, file, old, new, facts):
    refuses(facts, "train", "--config", file(FILE.replace(old, new)))


@pytest.mark.posix
def test_settings_that_can_not_be_read(refuses, here):
    (here / "bytes.toml").write_bytes(b"[\xff")
    for name in ("bytes.toml", "nothere.toml", ".", "/dev/zero"):
        refuses(name, "train", "--config", name)
