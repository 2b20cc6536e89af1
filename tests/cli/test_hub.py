"""Models of the Hugging Face Hub: its cache, where every file is a link, and names of models."""

import shutil

import pytest
from tiny_run import TEXT

from npgpt import GPT, BPETokenizer, GPTConfig

FILES = ("config.json", "model.safetensors", "tokenizer.json")

pytestmark = pytest.mark.posix


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return a folder with a model as on a model's page; only to read."""
    folder = tmp_path_factory.mktemp("published") / "y"
    GPT(GPTConfig(270, 16, 1, 2, 8)).save_pretrained(folder)
    BPETokenizer.train(TEXT, 270).save(folder / "tokenizer.json")
    return folder


@pytest.fixture
def snapshot(published, tmp_path):
    """Return the files as the Hub's client lays them out: a folder of links."""
    model = tmp_path / "models--x--y"
    folder = model / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    shutil.copytree(published, model / "blobs")
    for name in FILES:
        (folder / name).symlink_to(f"../../blobs/{name}")
    return folder


def test_a_snapshot_of_links_is_used_as_a_folder_is(
    as_json, done, published, snapshot, corpus, tmp_path
):
    """Given by its path, which needs no client."""
    done("train", "--init-from", snapshot, corpus, "--out", tmp_path / "run", "--max-iters", 1,
         "--warmup-iters", 1, "--sample-tokens", 2)
    for words in (("generate", "--max-new-tokens", 5, "--seed", 1), ("eval", corpus), ("info",),
                  ("tokenize", "The hen")):
        plain, linked = (as_json(words[0], model, *words[1:]) for model in (published, snapshot))
        assert plain == linked


@pytest.mark.parametrize("name", FILES)
def test_no_link_of_a_model_is_followed_elsewhere(refuses, snapshot, tmp_path, name):
    """`tests/interop` has folders without a cache, `tests/test_files.py` chains of links."""
    (snapshot / name).resolve().rename(tmp_path / "outside")
    (snapshot / name).unlink()
    (snapshot / name).symlink_to(tmp_path / "outside")
    refuses(name, "generate", snapshot)


# ---- names


def test_which_names_the_hub_is_asked_for(cli, done, published, monkeypatch, here):
    """It knows x/y."""
    client, asked = pytest.importorskip("huggingface_hub"), []

    def download(name, **_):
        asked.append(name)
        if name != "x/y":
            raise OSError("no such model")
        return published

    monkeypatch.setattr(client, "snapshot_download", download)
    (here / "exports").mkdir()
    for name in ("runs/tales", "exports/tales", "./x/y", "tales", "a/b/c"):
        assert cli("generate", name)[0] == 1 and asked == [], name
    done("info", "x/y")
    shutil.copytree(published, here / "x" / "y")
    done("info", "x/y")
    assert asked == ["x/y"]
    done("info", "hf:x/y")
    for name in ("hf:runs/tales", "nobody/none", "hf:no name"):
        assert f"huggingface.co/{name.removeprefix('hf:')}" in cli("generate", name)[2]
    assert asked[1:] == ["x/y", "runs/tales", "nobody/none", "no name"]


