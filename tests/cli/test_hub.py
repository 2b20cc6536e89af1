"""Models of the Hugging Face Hub: its cache, where every file is a link, and names of models."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path

import pytest
from safetensors.numpy import load_file, save_file
from tiny_run import TEXT, environment

from npgpt import GPT, BPETokenizer, GPTConfig
from npgpt.files import RUN_STATE
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
needs_hub = pytest.mark.skipif(
    find_spec("huggingface_hub") is None, reason="the Hub's client: pip install -e '.[hub]'"
)


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


class Hub(ThreadingHTTPServer):
    """Serve the part of the Hub that its client uses, with one model, x/y."""

    def __init__(self, folder):
        super().__init__(("127.0.0.1", 0), Answer)
        self.folder, self.asked, self.is_open = folder, [], threading.Event()
        self.is_open.set()


class Answer(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        path, hub = self.path.partition("?")[0], self.server
        hub.asked.append(path)
        files = {file.name: file for file in hub.folder.iterdir()}
        file, headers, content = files.get(path.rpartition("/")[2]), {}, None
        if not hub.is_open.wait(20):
            status = 503
        elif "/x/y" not in path:
            status, headers = 404, {"X-Error-Code": "RepoNotFound"}
        elif path.startswith("/api/models/"):
            status = 200
            entries = [{"type": "file", "path": name, "rfilename": name, "oid": etag(file),
                        "size": file.stat().st_size} for name, file in files.items()]
            model = {"id": "x/y", "modelId": "x/y", "sha": REVISION, "siblings": entries}
            content = json.dumps(entries if "/tree/" in path else model).encode()
        elif file:
            status, content = 200, file.read_bytes()
            headers = {"ETag": f'"{etag(file)}"', "X-Repo-Commit": REVISION}
        else:
            status, headers = 404, {"X-Error-Code": "EntryNotFound"}
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content or b""))}.items():
            self.send_header(name, value)
        self.end_headers()
        return content

    def do_GET(self):
        self.wfile.write(self.do_HEAD() or b"")


@pytest.fixture
def hub(published):
    server = Hub(published["whole"])
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def started(hub, here):
    """Return a function that starts the program with this Hub and an empty cache."""
    variables = environment(
        HF_ENDPOINT=f"http://127.0.0.1:{hub.server_port}", HF_HOME=str(here / "hf"),
        HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1", HF_HUB_OFFLINE="0",
        NO_PROXY="127.0.0.1", no_proxy="127.0.0.1",
    )

    def start(*arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "npgpt", *map(str, arguments)], env=variables,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8",
        )

    return start


@pytest.fixture
def called(started):
    def call(*arguments):
        process = started(*arguments)
        out, err = process.communicate(timeout=300)
        return process.returncode, out, err

    return call


@needs_hub
@pytest.mark.slow
def test_a_model_is_used_by_its_name(done, called, hub, published, corpus, here):
    def by_name(*arguments):
        status, out, err = called(*arguments)
        assert status == 0, err
        return out

    expected = used(done, published["whole"], corpus, here / "plain")
    assert used(by_name, "x/y", corpus, here / "named") == expected
    [snapshot] = (here / "hf").glob("hub/models--x--y/snapshots/*")
    assert used(done, snapshot, corpus, here / "linked") == expected


@needs_hub
@pytest.mark.slow
def test_a_tokenizer_is_had_without_the_weights(called, hub):
    status, out, err = called("tokenize", "x/y", "The hen", "--json")
    assert status == 0 and json.loads(out)["bytes"] == 7, err
    assert not any("safetensors" in path for path in hub.asked)


@needs_hub
@pytest.mark.slow
def test_it_is_said_before_the_hub_is_asked(started, hub):
    hub.is_open.clear()
    process = started("generate", "x/y", "--max-new-tokens", 2, "--json")
    line = process.stderr.readline()
    hub.is_open.set()
    out, err = process.communicate(timeout=300)
    assert "x/y" in line and process.returncode == 0 and json.loads(out)["text"], err


@needs_hub
@pytest.mark.slow
def test_which_names_the_hub_is_asked_for(called, hub, published, here):
    (here / "exports").mkdir()
    for name in ("runs/tales", "exports/tales", "./x/y", "tales", "a/b/c", ""):
        status, _, err = called("generate", name)
        assert status == 1 and hub.asked == [], name
    shutil.copytree(published["whole"], here / "x" / "y")
    assert called("generate", "x/y", "--max-new-tokens", 1)[0] == 0 and hub.asked == []
    assert called("info", "hf:x/y")[0] == 0 and hub.asked
    for name in ("hf:runs/tales", "nobody/none", "hf:no name"):
        status, _, err = called("generate", name)
        assert status == 1 and f"huggingface.co/{name.removeprefix('hf:')}" in err
    assert "/api/models/runs/tales/revision/main" in hub.asked


@pytest.mark.parametrize("command", ["generate", "info", "tokenize"])
@pytest.mark.parametrize("name", ["openai-community/gpt2", "hf:gpt2"])
def test_without_the_client_it_is_said_how_to_get_it(refused, here, monkeypatch, command, name):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    err = refused(command, name)
    assert "'.[hub]'" in err and f"https://huggingface.co/{name.removeprefix('hf:')}" in err


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


@pytest.mark.parametrize("command", ["generate", "eval", "info", "look", "tokenize"])
def test_what_is_no_folder_of_a_model_is_told_what_can_be_named(refused, here, command):
    more = ["hen"] * (command == "tokenize")
    for name, fact in (("nowhere", "nowhere"), (here, ".json")):
        err = refused(command, name, *more)
        assert fact in err and ("run" in err or name == here)
    assert ("gpt2" in refused(command, "gpt3", *more)) == (command == "tokenize")


def test_what_is_to_be_installed_can_be_had_from_a_clone():
    """No registry has a package npgpt of ours, so that npgpt[hub] would be a stranger's."""
    root = Path(__file__).parents[2]
    texts = [path for part in ("npgpt", "autograd", "benchmarks", "examples")
             for path in (root / part).rglob("*.py")]
    advice = "npgpt" + "["
    for path in [*texts, *root.glob("*.md")]:
        assert advice not in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("count", [1, 20, 21])
def test_of_many_runs_twenty_are_named(refused, here, count):
    for i in range(count):
        (here / "runs" / f"r{i:02}").mkdir(parents=True)
        (here / "runs" / f"r{i:02}" / RUN_STATE).touch()
    err = refused("generate", "runs/none")
    assert err.count("runs/r") == min(count, 20) and f"({count})" in err
