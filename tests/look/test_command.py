"""`npgpt look`: its file, its messages and its refusals, with nothing lost."""

import csv
import json
import os
import shutil

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TEXT, TINY, files

from npgpt import LlamaConfig
from npgpt.checkpoint import load_run
from npgpt.cli import main
from npgpt.config import GPTConfig
from npgpt.families import FAMILIES, family
from npgpt.gpt import GPT
from npgpt.look import history as history_module
from npgpt.look import page
from npgpt.look.history import POINTS, history, whole_lines
from npgpt.tokenizers import CharTokenizer


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return a finished run of 6 steps, which no test writes to."""
    folder = tmp_path_factory.mktemp("look")
    (folder / "hens.txt").write_text(TEXT, encoding="utf-8")
    arguments = ["train", "--corpus", str(folder / "hens.txt"), "--out", str(folder / "hens")]
    assert main(arguments + TINY) == 0
    return folder / "hens"


def record_in(path):
    text = path.read_text(encoding="utf-8")
    start = text.index('id="record">') + len('id="record">')
    return json.loads(text[start : text.index("</script>", start)])


def test_it_writes_one_file_named_after_the_run_and_states_its_size(
    cli, run, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    before = files(run)
    status, out, _ = cli("look", run)
    path = tmp_path / "hens.html"
    assert status == 0 and files(run) == before and list(tmp_path.iterdir()) == [path]
    assert out.startswith(f"hens.html: {path.stat().st_size / 1e6:.2f} MB")
    parameters = load_run(run)[0].num_parameters()
    assert f"it holds the model itself, {parameters:,} parameters as fp16" in out
    record = record_in(path)
    assert record["name"] == "hens" and record["parameters"] == parameters
    assert len(record["training"]["val"]) == 2 and record["training"]["samples"]


def test_the_prompt_and_the_weights_are_as_asked(cli, run, tmp_path):
    cli("look", run, "--out", tmp_path / "a.html", "--prompt", "The hen")
    cli("look", run, "--out", tmp_path / "b.html", "--prompt", "The hen", "--weights", "int8")
    a, b = record_in(tmp_path / "a.html"), record_in(tmp_path / "b.html")
    assert a["prompt"] == b["prompt"] == "The hen" and (a["kind"], b["kind"]) == ("fp16", "int8")
    sizes = [len(record["weights"]["wte.weight"]["data"]) for record in (a, b)]
    assert abs(sizes[0] / sizes[1] - 2) < 0.1


@pytest.mark.parametrize("kind", ["file", "tales"])
def test_the_text_of_a_run_is_opened_once(cli, run, tmp_path, monkeypatch, kind):
    opened, open_it = [], history_module.open_run

    def counted(*arguments, **options):
        opened.append(open_it(*arguments, **options))
        return opened[-1]

    if kind == "tales":
        cli("train", "--out", run := tmp_path / "tales", *TINY)
    monkeypatch.setattr(history_module, "open_run", counted)
    cli("look", run, "--out", tmp_path / "a.html")
    record = record_in(tmp_path / "a.html")
    assert len(opened) == 1 and opened[0].val_ids.file.closed
    assert record["others"] and len(record["training"]["levels"]) == (1 if kind == "file" else 5)


@pytest.mark.parametrize("fraction", [1e-9, 0.5, 0.9])
def test_no_file_that_a_strangers_run_names_as_its_text_is_read(cli, tmp_path, fraction):
    secret, run = tmp_path / "id_ed25519", tmp_path / "run"
    secret.write_text("".join(f"{i:03d}SECRETSECRET\n" for i in range(60)), encoding="utf-8")
    (tmp_path / "hens.txt").write_text(TEXT, encoding="utf-8")
    cli("train", "--corpus", tmp_path / "hens.txt", "--out", run, *TINY, "--tokenizer", "bpe",
        "--vocab-size", 260)
    settings = json.loads((run / "config.json").read_text(encoding="utf-8"))
    settings["training"] |= {"corpus": [str(secret)], "train_fraction": fraction}
    (run / "config.json").write_text(json.dumps(settings), encoding="utf-8")
    assert cli("look", run, "--out", tmp_path / "a.html")[0] == 0
    assert "SECRET" not in (tmp_path / "a.html").read_text(encoding="utf-8")
    for command in (["eval"], ["eval", "--split", "all"], ["train", "--resume", "--out"]):
        status, out, err = cli(*command, run)
        assert status == 1 and "another text" in err and "--corpus" in err and not out
    assert cli("eval", run, "--corpus", secret)[0] == 0


def test_an_exported_model_is_looked_at_too(cli, run, tmp_path):
    cli("export", run, tmp_path / "model")
    assert cli("look", tmp_path / "model", "--out", tmp_path / "a.html")[0] == 0
    record = record_in(tmp_path / "a.html")
    assert record["name"] == "model" and record["training"] is None


def test_a_large_model_is_said_to_be_a_recorded_pass(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "LIVE", 1)
    status, out, _ = cli("look", run, "--out", tmp_path / "a.html")
    assert status == 0 and "what the model" in out and "for this prompt alone" in out


@pytest.mark.parametrize("arch", [arch for arch in FAMILIES if arch != "gpt"])
def test_another_kind_of_model_is_refused_by_name(cli, run, tmp_path, arch):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    settings["training"]["arch"] = arch
    known = family(arch).Model.Config(vocab_size=20, block_size=16, n_layer=1, n_head=2, n_embd=8)
    settings["model"] = vars(known)
    path.write_text(json.dumps(settings), encoding="utf-8")
    status, _, err = cli("look", tmp_path / "run", "--out", tmp_path / "a.html")
    assert status == 1 and f"is a {arch}, and the page shows GPTs only" in err
    assert not (tmp_path / "a.html").exists()


def test_a_published_model_of_another_kind_is_refused_by_name(cli, tmp_path):
    folder = tmp_path / "llama"
    config = LlamaConfig(vocab_size=20, block_size=16, n_layer=1, n_head=2, n_embd=8)
    family("llama").Model(config).save_pretrained(folder)
    status, _, err = cli("look", folder, "--out", tmp_path / "a.html")
    assert status == 1 and "is a llama, and the page shows GPTs only" in err


def test_a_padded_vocabulary_is_refused_as_by_every_command(cli, tmp_path):
    """Its tokens beyond the tokenizer's have no text, and could be drawn."""
    tokenizer = CharTokenizer.train("hens")
    GPT(GPTConfig(tokenizer.vocab_size + 1, 8, 1, 1, 4)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    for command in ("look", "generate"):
        status, _, err = cli(command, tmp_path)
        assert status == 1 and "if its vocabulary is padded, cut wte.weight" in err


@pytest.mark.parametrize("there", ["file", "folder", "link", "nowhere"])
def test_nothing_that_is_there_is_overwritten(cli, run, tmp_path, there):
    out = tmp_path / "a.html"
    if there == "file":
        out.write_text("mine", encoding="utf-8")
    elif there == "folder":
        out.mkdir()
    elif there == "link":
        (tmp_path / "mine").write_text("mine", encoding="utf-8")
        out.symlink_to(tmp_path / "mine")
    else:
        out = tmp_path / "no" / "a.html"
    before = files(tmp_path)
    status, _, err = cli("look", run, "--out", out)
    assert status == 1 and "--out" in err and files(tmp_path) == before


def test_its_own_page_is_replaced_and_that_is_said(cli, run, tmp_path):
    out = tmp_path / "a.html"
    said = cli("look", run, "--out", out, "--prompt", "The end")[1]
    assert "replaces" not in said
    os.link(out, tmp_path / "old")  # it changes with the file if that is written in place
    status, said, _ = cli("look", run, "--out", out, "--prompt", "The hen")
    assert status == 0 and said.endswith("a.html, which replaces the page that look made before\n")
    assert record_in(out)["prompt"] == "The hen"
    assert record_in(tmp_path / "old")["prompt"] == "The end"


@pytest.mark.parametrize("mark", ["comment", "text", "link"])
def test_a_page_that_only_speaks_of_look_stays(cli, run, tmp_path, mark):
    out, marker = tmp_path / "a.html", '<meta name="generator" content="npgpt look">'
    if mark == "link":
        cli("look", run, "--out", tmp_path / "mine.html")
        out.symlink_to(tmp_path / "mine.html")
    else:
        text = f"<!DOCTYPE html>\n<!-- {marker} -->" if mark == "comment" else marker
        out.write_text(text, encoding="utf-8")
    before = files(tmp_path)
    status, _, err = cli("look", run, "--out", out)
    assert status == 1 and "--out" in err and files(tmp_path) == before


def test_in_a_pipe_each_part_of_the_work_is_a_line(cli, run, tmp_path):
    err = cli("look", run, "--out", tmp_path / "a.html")[2]
    assert "recording forward and backward" in err and "packing the weights" in err


def test_a_file_that_comes_meanwhile_is_kept(cli, run, tmp_path, monkeypatch):
    out = tmp_path / "a.html"
    make = page.make_page

    def slow(*arguments):
        out.write_text("mine", encoding="utf-8")
        return make(*arguments)

    monkeypatch.setattr("npgpt.cli.look.make_page", slow)
    assert cli("look", run, "--out", out)[0] == 1
    assert out.read_text(encoding="utf-8") == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_written_to_is_named(cli, run, tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)  # as root everything can be
    status, _, err = cli("look", run, "--out", tmp_path / "a.html")
    assert status == 1 and "cannot be written to: name another with --out" in err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", "{}", "was not written by npgpt train"),
        ("config.json", "{", "is damaged"),
        ("tokenizer.json", "{}", "tokenizer.json"),
        ("model.safetensors", "no weights", "is damaged"),
        ("metrics.csv", "step,loss\n1,2\n", "metrics.csv"),
        ("metrics.csv", None, ""),
        ("tokenizer.json", None, "tokenizer.json is missing"),
    ],
)
def test_a_damaged_run_is_refused_with_the_file(cli, run, tmp_path, name, content, says):
    shutil.copytree(run, tmp_path / "run")
    if content is None:
        (tmp_path / "run" / name).unlink()
    else:
        (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    status, _, err = cli("look", tmp_path / "run", "--out", tmp_path / "a.html")
    assert status == bool(says) and says in err and "Traceback" not in err
    assert (tmp_path / "a.html").exists() is not bool(says)


def test_what_is_no_run_at_all_is_refused(cli, tmp_path):
    for folder in (tmp_path, tmp_path / "nowhere"):
        status, _, err = cli("look", folder, "--out", tmp_path / "a.html")
        assert status == 1 and "neither a run folder" in err


def test_a_long_history_is_thinned_to_means_and_keeps_its_samples(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "metrics.csv"
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    many = [rows[-1] | {"step": i + 1, "loss": i, "val_loss": ""} for i in range(3 * POINTS)]
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(many)
    _, _, opened = load_run(tmp_path / "run")
    found = history(opened, None)
    assert len(found["step"]) == len(found["loss"]) == POINTS
    assert found["loss"][:2] == [1, 4] and found["step"][:2] == [2, 5]
    text = (tmp_path / "run" / "samples.txt").read_text(encoding="utf-8")
    steps = [int(line.split()[1].rstrip(":")) for line in text.splitlines() if line[:5] == "step "]
    assert [step for step, _ in found["samples"]] == steps
    assert found["samples"][0][1].splitlines()[0] in text


def test_a_run_is_recommended_to_look_at_only_if_look_shows_it(cli, run, tmp_path):
    """Words are tokens that the page cannot encode."""
    for name, more in (("letters", []), ("words", ["--tokenizer", "words"])):
        out = tmp_path / name
        arguments = ["--corpus", run.parent / "hens.txt", "--out", out, *TINY, *more]
        status, said, _ = cli("train", *arguments)
        shown = cli("look", out, "--out", tmp_path / "a.html")[0] == 0
        assert status == 0 and ("npgpt look" in said) == shown == (name == "letters")


@given(st.text("ab ", max_size=90) | st.text("ab \n", max_size=90), st.integers(1, 20))
def test_a_prompt_begins_and_ends_where_lines_or_words_do(text, least):
    found = whole_lines(text, least)

    def ends_well(rest):
        after = rest[len(found) : len(found) + 1]
        if "\n" in rest[least:]:
            return after == "\n" and "\n" not in found[least:]
        if " " in rest[least : 2 * least]:
            return after == " " and " " not in rest[len(found) + 1 : 2 * least]
        return len(found) == min(least, len(rest))

    assert not found.startswith("\n")
    assert any(
        text.startswith(found, i) and ends_well(text[i:])
        for i in range(len(text) + 1) if i == 0 or text[i - 1] == "\n"
    )


def test_it_opens_on_text_of_the_corpus_up_to_a_lines_end(cli, tmp_path):
    """The prompt is validation text, not the model's; a sample again if the text has changed."""
    lines = [f"Line {i} of the hens, and a little more of it." for i in range(60)]
    corpus = tmp_path / "lines.txt"
    corpus.write_text("\n".join(lines), encoding="utf-8")
    for size in ([], ["--tokenizer", "bpe", "--vocab-size", "270"]):
        run = tmp_path / f"run{len(size)}"
        cli("train", "--corpus", corpus, "--out", run, *TINY, *size)
        cli("look", run, "--out", tmp_path / "a.html")
        record = record_in(tmp_path / "a.html")
        prompt, read = record["prompt"], corpus.read_text(encoding="utf-8")
        assert read.index(prompt) > 0.85 * len(read)  # of the validation part
        assert set(prompt.split("\n")) <= set(lines) and 40 <= len(prompt) < 200
    corpus.write_text("A different text.", encoding="utf-8")
    cli("look", run, "--out", tmp_path / "a.html")
    assert record_in(tmp_path / "a.html")["prompt"] not in read
