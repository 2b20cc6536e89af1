"""Models of the Hugging Face Hub: its cache, where every file is a link, and names of models."""

import hashlib
import json
import os
import shutil

import pytest
from safetensors.numpy import load_file, save_file
from tiny_run import TEXT

from npgpt import GPT, BPETokenizer, GPTConfig
from npgpt.tokenizers.gpt2_files import byte_to_unicode

REVISION = "a" * 40
SCHEDULE = ("--max-iters", 1, "--warmup-iters", 1, "--sample-tokens", 2, "--batch-size", 2)
FILES = {
    "whole": ("config.json", "model.safetensors", "tokenizer.json"),
    "parts": ("config.json", "model.safetensors.index.json", "one.safetensors", "two.safetensors",
              "vocab.json", "merges.txt"),
}
CASES = [(kind, name) for kind, names in FILES.items() for name in names]

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links need rights there")


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """Return folders with a model as on a model's page, in one file and in parts; only to read."""
    whole, parts = (tmp_path_factory.mktemp(kind) / "y" for kind in FILES)
    tokenizer = BPETokenizer.train(TEXT, 270)
    GPT(GPTConfig(270, 16, 1, 2, 8)).save_pretrained(whole)
    tokenizer.save(whole / "tokenizer.json")
    parts.mkdir()
    shutil.copy(whole / "config.json", parts)
    arrays = load_file(whole / "model.safetensors")
    names, table = sorted(arrays), byte_to_unicode()
    places = {name: ("one", "two")[i % 2] + ".safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: arrays[name] for name in names if places[name] == file}, parts / file)
    index = parts / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}), encoding="utf-8")
    spelled = ["".join(table[byte] for byte in token) for token in tokenizer.tokens]
    vocab = {token: i for i, token in enumerate(spelled)}
    (parts / "vocab.json").write_text(json.dumps(vocab), encoding="utf-8")
    merges = [f"{spelled[a]} {spelled[b]}\n" for a, b in tokenizer.merges]
    (parts / "merges.txt").write_text("".join(merges), encoding="utf-8")
    return {"whole": whole, "parts": parts}


def etag(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_cache(folder, home):
    """Lay out files as the Hub's client does, and return the snapshot: a folder of links."""
    model = home / "models--x--y"
    snapshot = model / "snapshots" / REVISION
    for part in (snapshot, model / "blobs", model / "refs"):
        part.mkdir(parents=True)
    (model / "refs" / "main").write_text(REVISION, encoding="utf-8")
    for file in folder.iterdir():
        shutil.copy(file, model / "blobs" / etag(file))
        (snapshot / file.name).symlink_to(f"../../blobs/{etag(file)}")
    return snapshot


def used(done, model, corpus, out):
    """Return the results of all commands that take a model."""
    out.mkdir()
    answers = {
        command: json.loads(done(command, model, *arguments, "--json"))
        for command, *arguments in (
            ("generate", "--max-new-tokens", 5, "--seed", 1),
            ("eval", "--corpus", corpus), ("info",), ("tokenize", "The hen"),
        )
    }
    done("look", model, "--out", out / "a.html")
    done("train", "--init-from", model, "--corpus", corpus, "--out", out / "run", *SCHEDULE)
    return answers | {"trained": (out / "run" / "model.safetensors").read_bytes()}


# ---- the cache, given by path: this needs no client


@pytest.mark.parametrize("kind", FILES)
def test_a_snapshot_of_links_is_used_as_a_folder_is(done, published, corpus, tmp_path, kind):
    snapshot = in_cache(published[kind], tmp_path / "hub")
    assert all(file.is_symlink() for file in snapshot.iterdir())
    expected = used(done, published[kind], corpus, tmp_path / "plain")
    assert expected["info"]["model"]["n_embd"] == 8 and expected["info"]["parameters"] > 0
    assert expected["tokenize"]["bytes"] == 7
    assert used(done, snapshot, corpus, tmp_path / "linked") == expected


@pytest.mark.parametrize(("kind", "name"), CASES)
def test_no_link_of_a_model_is_followed_elsewhere(cli, published, tmp_path, kind, name):
    """`tests/interop` has folders without a cache, `tests/test_files.py` chains of links."""
    path = in_cache(published[kind], tmp_path / "hub") / name
    path.resolve().rename(tmp_path / "outside")
    path.unlink()
    path.symlink_to(tmp_path / "outside")
    status, out, err = cli("generate", path.parent, "--max-new-tokens", 1)
    assert (status, out) == (1, "") and name in err


# ---- names


@pytest.fixture
def asked(published, monkeypatch):
    """The names that the Hub's client is asked for; it knows x/y."""
    client, names = pytest.importorskip("huggingface_hub"), []

    def download(name, **_):
        names.append(name)
        if name != "x/y":
            raise OSError("no such model")
        return published["whole"]

    monkeypatch.setattr(client, "snapshot_download", download)
    return names


def test_which_names_the_hub_is_asked_for(cli, asked, published, here):
    (here / "exports").mkdir()
    for name in ("runs/tales", "exports/tales", "./x/y", "tales", "a/b/c", ""):
        assert cli("generate", name)[0] == 1 and asked == [], name
    assert cli("info", "x/y")[0] == 0 and asked == ["x/y"]
    shutil.copytree(published["whole"], here / "x" / "y")
    assert cli("generate", "x/y", "--max-new-tokens", 1)[0] == 0 and asked == ["x/y"]
    assert cli("info", "hf:x/y")[0] == 0 and asked == ["x/y"] * 2
    for name in ("hf:runs/tales", "nobody/none", "hf:no name"):
        status, _, err = cli("generate", name)
        assert status == 1 and f"huggingface.co/{name.removeprefix('hf:')}" in err
    assert asked[2:] == ["runs/tales", "nobody/none", "no name"]


# ---- names of nothing


@pytest.mark.parametrize(
    "command", ["generate", "eval", "info", "look", "tokenize", "export", "compare"]
)
def test_a_mistyped_run_is_answered_with_those_there_are(refused, finished, here, command):
    more = {"export": ["out"], "tokenize": ["hen"], "compare": ["runs/hen"]}.get(command, [])
    assert "npgpt train" in refused(command, "runs/tale", *more)
    for name in ("tales", "my runs"):
        shutil.copytree(finished, here / "runs" / name)
    (here / "runs" / "no-run").mkdir()
    for name in ("runs/tale", "tales", *["runs"] * (command != "tokenize")):
        err = refused(command, name, *more)
        assert "'runs/my runs', runs/tales" in err and "no-run" not in err
