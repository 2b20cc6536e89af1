"""`npgpt look`: its file, its messages and its refusals, with nothing lost."""

import shutil

import pytest
from look_page import record_in
from tiny_run import TINY, files, settings_of

from npgpt.config import GPTConfig
from npgpt.gpt import GPT
from npgpt.loading.runs import load_run
from npgpt.look import page
from npgpt.models import ARCHITECTURES, architecture
from npgpt.tokenizers import CharTokenizer


@pytest.fixture
def look(done, tmp_path):
    """A function that calls `npgpt look`: (the record in its page, its stdout)."""

    def call(model, *arguments):
        path = tmp_path / "a.html"
        path.unlink(missing_ok=True)
        out = done("look", model, "--out", path, *arguments)
        return record_in(path), out

    return call


def test_it_writes_one_file_named_after_the_run_and_states_its_size(done, finished, here):
    before = files(finished)
    out = done("look", finished)
    path = here / "hens.html"
    assert files(finished) == before and list(here.iterdir()) == [path]
    parameters = load_run(finished)[0].num_parameters()
    for fact in ("hens.html", f"{path.stat().st_size / 1e6:.2f} MB", f" {parameters:,} ", "fp16"):
        assert fact in out
    record = record_in(path)
    assert record["name"] == "hens" and record["parameters"] == parameters


def test_the_prompt_the_weights_and_the_address_are_as_asked(look, refused, finished, tmp_path):
    address = "https://example.org/hens.html?a=1&b=2"
    a, _ = look(finished, "--prompt", "The hen", "--address", address)
    html = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert f'<link rel="canonical" href="{address.replace("&", "&amp;")}">' in html
    b, _ = look(finished, "--prompt", "The hen", "--weights", "int8")
    assert a["prompt"] == b["prompt"] == "The hen" and (a["kind"], b["kind"]) == ("fp16", "int8")
    assert len(a["weights"]["wte.weight"]["data"]) > 1.9 * len(b["weights"]["wte.weight"]["data"])
    assert "--address" in refused("look", finished, "--address", "file:///hens.html")


@pytest.mark.parametrize("fraction", [1e-9, 0.5])
def test_no_file_that_a_strangers_run_names_as_its_text_is_read(
    done, refused, corpus, tmp_path, fraction
):
    secret, run = tmp_path / "id_ed25519", tmp_path / "run"
    secret.write_text("".join(f"{i:03d}SECRETSECRET\n" for i in range(60)), encoding="utf-8")
    done("train", "--corpus", corpus, "--out", run, *TINY, "--tokenizer", "bpe",
         "--vocab-size", 260)
    settings_of(run, corpus=[str(secret)], train_fraction=fraction)
    done("look", run, "--out", tmp_path / "a.html")
    assert "SECRET" not in (tmp_path / "a.html").read_text(encoding="utf-8")
    for command in (["eval"], ["eval", "--split", "all"], ["train", "--resume", "--out"]):
        assert "--corpus" in refused(*command, run)
    done("eval", run, "--corpus", secret)


def test_an_exported_model_a_large_one_and_a_run_without_metrics_are_looked_at_too(
    look, done, finished, tmp_path, monkeypatch
):
    done("export", finished, tmp_path / "model")
    record, _ = look(tmp_path / "model")
    assert record["name"] == "model"
    run = shutil.copytree(finished, tmp_path / "run")
    (run / "metrics.csv").unlink()
    assert look(run)[0]["name"] == "run"
    monkeypatch.setattr(page, "LIVE", 1)
    assert "this prompt alone" in look(finished)[1]


def test_a_llama_is_recorded(look, done, corpus, here):
    done("train", "--arch", "llama", "--corpus", corpus, "--out", "run", *TINY)
    record, out = look("run", "--prompt", "The hen")
    assert (record["kind"], record["llama"]["kv_heads"]) == (None, 2) and "runs GPTs" in out


@pytest.mark.parametrize("arch", [arch for arch in ARCHITECTURES if arch not in ("gpt", "llama")])
def test_another_kind_of_model_is_refused_by_name(refused, here, arch):
    model = architecture(arch).Model
    model(model.Config(20, 16, n_layer=1, n_head=2, n_embd=8)).save_pretrained("published")
    assert arch in refused("look", "published") and not list(here.glob("*.html"))


def test_a_padded_vocabulary_is_refused(refused, tmp_path):
    """Its tokens beyond the tokenizer's have no text, and could be drawn."""
    tokenizer = CharTokenizer.train("hens")
    GPT(GPTConfig(tokenizer.vocab_size + 1, 8, 1, 1, 4)).save_pretrained(tmp_path)
    tokenizer.save(tmp_path / "tokenizer.json")
    assert "4 tokens" in refused("look", tmp_path)


def test_a_file_that_comes_meanwhile_is_kept(refused, finished, tmp_path, monkeypatch):
    out = tmp_path / "a.html"
    make = page.make_page

    def slow(*arguments):
        out.write_text("mine", encoding="utf-8")
        return make(*arguments)

    monkeypatch.setattr("npgpt.cli.look.make_page", slow)
    refused("look", finished, "--out", out)
    assert out.read_text(encoding="utf-8") == "mine" and len(list(tmp_path.iterdir())) == 1


def test_a_target_that_cannot_be_written_is_refused_by_its_flag(refused, finished, tmp_path):
    for name in ("no/a.html", "page.pdf", "."):
        assert "--out" in refused("look", finished, "--out", tmp_path / name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", ["char", "words"])
def test_a_run_is_recommended_to_look_at_only_if_look_shows_it(cli, done, corpus, here, kind):
    said = done("train", "--corpus", corpus, "--out", "run", *TINY, "--tokenizer", kind)
    assert ("npgpt look" in said) == (cli("look", "run")[0] == 0)


def test_it_opens_on_text_of_the_corpus_up_to_a_lines_end(look, done, tmp_path):
    """The prompt is validation text, not the model's; a sample again if the text has changed."""
    lines = [f"Line {i} of the hens, and a little more of it." for i in range(60)]
    corpus = tmp_path / "lines.txt"
    corpus.write_text(read := "\n".join(lines), encoding="utf-8")
    done("train", "--corpus", corpus, "--out", tmp_path / "run", *TINY, "--tokenizer", "bpe",
         "--vocab-size", "270")
    prompt = look(tmp_path / "run")[0]["prompt"]
    assert read.index(prompt) > 0.85 * len(read)  # of the validation part
    assert set(prompt.split("\n")) <= set(lines) and 40 <= len(prompt) < 200
    corpus.write_text("A different text.", encoding="utf-8")
    assert look(tmp_path / "run")[0]["prompt"] not in read

