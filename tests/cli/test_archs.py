"""Every kind of model by the program: trained, resumed, evaluated beside the grammar, writing."""

import json

import pytest
from tiny_run import TINY, assert_same_checkpoint, files, resumed_at, settings_of

from npgpt import tales
from npgpt.loading.runs import load_run
from npgpt.models import ARCHITECTURES

pytestmark = pytest.mark.slow

OTHERS = tuple(arch for arch in ARCHITECTURES if arch != "gpt")
STORY = "A shy small dog of Velaria did not cross the red street because it was too tired"
# The stories of tales are longer than the windows of the other tiny runs.
SETTINGS = [*TINY, "--block-size", "190", "--corpus", "tales", "--train-fraction", "0.99"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return {arch: folder of a finished run of 6 steps}; only to read."""
    from npgpt.cli import main

    folders = {}
    for arch in OTHERS:
        folders[arch] = tmp_path_factory.mktemp("archs") / arch
        assert main(["train", "--arch", arch, "--out", str(folders[arch]), *SETTINGS]) == 0
    return folders


@pytest.mark.pictures
@pytest.mark.parametrize("arch", OTHERS)
def test_a_run_leaves_its_files_and_goes_on_to_the_bits_of_one_that_was_not_stopped(
    cli, done, runs, tmp_path, at_each_step, monkeypatch, arch
):
    def stop(step, _):
        if step == 5:
            raise KeyboardInterrupt

    at_each_step(stop)
    assert cli("train", "--arch", arch, "--out", tmp_path / arch, *SETTINGS)[0] == 130
    monkeypatch.undo()
    assert resumed_at(done("train", "--resume", "--out", tmp_path / arch)) == 3
    whole, resumed = files(runs[arch]), files(tmp_path / arch)
    assert whole.keys() == resumed.keys() and "loss.png" in whole
    assert_same_checkpoint(runs[arch], tmp_path / arch, "samples.txt", "config.json")
    assert settings_of(runs[arch])["training"]["arch"] == arch


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_eval_has_the_grammars_loss_on_its_own_draws_beside_the_loss(done, runs, arch):
    result = json.loads(done("eval", runs[arch], "--json"))
    assert 0.5 < result["grammar_loss"] < 1 < result["loss"] and result["grammar_share"] == 1.0
    assert result["bits_per_byte"] is None and 1000 < result["tokens"] < 1800
    assert f"{result['grammar_loss']:.4f}" in done("eval", runs[arch])
    assert result == json.loads(done("eval", runs[arch], "--json"))


def test_eval_of_a_llama_has_the_grammars_loss_on_the_text_beside_the_loss(done, runs):
    result = json.loads(done("eval", runs["llama"], "--json"))
    assert result["entropy_rate"] == tales.entropy_rate()
    assert result["grammar_loss"] == pytest.approx(tales.entropy_rate(), rel=0.02)
    assert result["grammar_loss"] != result["entropy_rate"]
    assert result["tokens"] == 19_999 and result["bits_per_byte"] > 0


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_eval_of_another_text_has_no_loss_of_a_grammar(done, refused, runs, tmp_path, arch):
    path = tmp_path / "text.txt"
    path.write_text("A hen and a dog.\n\nA dog met a hen.\n\nA hen sat.\n\n" * 40, encoding="utf-8")
    result = json.loads(done("eval", runs[arch], "--corpus", path, "--split", "all", "--json"))
    assert result["grammar_loss"] is None and result["loss"] > 0
    refused("eval", runs[arch], "--stride", 8)


def test_generate_continues_fills_in_and_rewrites(done, runs):
    def written(arch, *arguments):
        return done("generate", runs[arch], "--seed", 1, *arguments)

    first, second = STORY.split("small")
    assert written("llama", "--prompt", STORY, "--max-new-tokens", 3).startswith(STORY)
    filled = written("bert", "--prompt", f"{first}<mask>{second}")
    assert filled == written("bert", "--prompt", f"{first.rstrip()}<mask>{second}")
    assert filled.startswith(first.rstrip()) and filled.endswith(f"{second}\n")
    assert "mask" not in filled and len(filled) > len(first + second)
    spans = f"{first}<extra_id_0>{second}<extra_id_1>"
    rewritten = written("t5", "--prompt", spans, "--max-new-tokens", 20)
    assert rewritten.startswith(first.rstrip()) and second in rewritten
    assert "extra_id" not in rewritten
    result = json.loads(written("t5", "--prompt", spans, "--max-new-tokens", 20, "--json"))
    assert result["text"] + "\n" == rewritten and result["prompt"] == spans


@pytest.mark.parametrize(
    ("arch", "arguments", "fact"),
    [
        ("bert", [], "<mask>"),
        ("bert", ["--prompt", "A <mask>", "--max-new-tokens", 3], "--max-new-tokens"),
        ("bert", ["--prompt", "<mask>" * 200], "190"),
        ("bert", ["--prompt", "A [MASK]"], "<mask>"),
        ("t5", ["--prompt", "A 7<extra_id_0>"], "'7'"),
        ("t5", ["--prompt", "A<extra_id_0>7"], "position 13"),
        ("t5", ["--prompt", "A <mask>"], "<extra_id_0>"),
    ],
)
def test_generate_says_what_to_give(refused, runs, arch, arguments, fact):
    assert fact in refused("generate", runs[arch], *arguments)


@pytest.mark.parametrize("arch", OTHERS)
def test_info_check_and_profile(done, runs, arch, tmp_path):
    result = json.loads(done("info", runs[arch], "--json"))
    assert result["parameters"] == load_run(runs[arch])[0].num_parameters()
    assert result["training"]["arch"] == arch
    model = json.loads(done("info", "--preset", f"tales-{arch}", "--json"))["model"]
    assert model["vocab_size"] == load_run(runs[arch])[2].model.vocab_size
    done("train", "--arch", arch, "--check", *SETTINGS, "--n-embd", 32)
    profiled = ("--arch", arch, "--out", tmp_path / "run", "--profile", 2)
    assert "scaled_dot_product_attention" in done("train", *profiled, *SETTINGS)


@pytest.mark.parametrize(
    ("arguments", "facts"),
    [
        (["--preset", "tales", "--arch", "bert"], ("arch=gpt", "tales-bert")),
        (["--arch", "bert", "--no-bias"], ("'bias'", "arch=gpt", "bert")),
        (["--arch", "gpt", "--n-kv-head", 2], ("'n_kv_head'", "arch=llama")),
        (["--arch", "t5", "--eval-stride", 8], ("stride",)),
        (["--resume", "--arch", "bert"], ("runs/", "--out")),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(
    refused, here, arguments, facts
):
    err = refused("train", "--max-iters", 3, *arguments)
    assert all(fact in err for fact in facts)
    assert not (here / "runs").exists()


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_other_texts_and_byte_pairs(done, here, corpus, arch):
    tiny = [*TINY, "--arch", arch, "--corpus", corpus]
    done("train", *tiny)
    done("eval", here / "runs" / f"hens-{arch}")
    done("train", *tiny, "--tokenizer", "bpe", "--vocab-size", 300, "--out", "bpe")
    assert 256 + 2 < load_run("bpe")[1].vocab_size <= 300
    done("train", "--resume", "--out", "bpe")


def test_words_may_be_the_tokens_of_every_kind_of_model(done, refused, here, corpus):
    done("train", "--corpus", corpus, *TINY, "--tokenizer", "words", "--out", "gpt")
    assert load_run("gpt")[1].words == [" the"]
    done("train", "--resume", "--out", "gpt")
    assert json.loads(done("tokenize", "gpt", "so the", "--json"))["tokens"][-1] == " the"
    done("look", "gpt")
    done("train", *SETTINGS, "--tokenizer", "words", "--out", "told")
    told = json.loads(done("eval", "told", "--json"))
    assert told["grammar_loss"] == pytest.approx(2.62 * tales.entropy_rate(), rel=0.03)  # a token
    done("prepare", "tokens", "--corpus", corpus)
    assert "tokens" in refused("train", "--corpus", "tokens", *TINY, "--tokenizer", "words")
