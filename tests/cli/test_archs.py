"""Every kind of model by the program: trained, resumed, evaluated beside its floor, writing."""

import json
import re

import pytest
from tiny_run import TINY, files

from npgpt import tales
from npgpt import train as training_run
from npgpt.checkpoint import load_run
from npgpt.families import FAMILIES

pytestmark = pytest.mark.slow

OTHERS = tuple(arch for arch in FAMILIES if arch != "gpt")
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


@pytest.mark.parametrize("arch", OTHERS)
def test_a_run_leaves_its_files_and_goes_on_to_the_bits_of_one_that_was_not_stopped(
    cli, runs, tmp_path, monkeypatch, arch
):
    steps = training_run.training_steps

    def stopped(*arguments):
        for step in steps(*arguments):
            yield step
            if step.step == 4:
                raise KeyboardInterrupt

    monkeypatch.setattr(training_run, "training_steps", stopped)
    assert cli("train", "--arch", arch, "--out", tmp_path / arch, *SETTINGS)[0] == 130
    monkeypatch.undo()
    status, out, _ = cli("train", "--resume", "--out", tmp_path / arch)
    assert status == 0 and "from step 3" in out
    whole, resumed = files(runs[arch]), files(tmp_path / arch)
    assert whole.keys() == resumed.keys() and "loss.png" in whole
    for name in ("model.safetensors", "train_state.safetensors", "samples.txt", "config.json"):
        assert whole[name] == resumed[name], name
    assert json.loads(whole["config.json"])["training"]["arch"] == arch


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_eval_has_the_floor_of_its_own_draws_beside_the_loss(cli, runs, arch):
    result = json.loads(cli("eval", runs[arch], "--json")[1])
    assert 0.5 < result["floor"] < 1 < result["loss"] and result["floor_share"] == 1.0
    assert result["bits_per_byte"] is None and 1000 < result["tokens"] < 1800
    status, out, _ = cli("eval", runs[arch])
    assert status == 0 and f"best possible loss on these draws {result['floor']:.4f}: the" in out
    assert result == json.loads(cli("eval", runs[arch], "--json")[1])


def test_eval_of_a_llama_has_the_entropy_of_the_text_beside_the_loss(cli, runs):
    result = json.loads(cli("eval", runs["llama"], "--json")[1])
    assert result["floor"] == result["entropy_rate"] == tales.entropy_rate()
    assert result["tokens"] == 19_999 and result["bits_per_byte"] > 0


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_eval_of_another_text_has_no_floor(cli, runs, tmp_path, arch):
    path = tmp_path / "text.txt"
    path.write_text("A hen and a dog.\n\nA dog met a hen.\n\nA hen sat.\n\n" * 40, encoding="utf-8")
    result = json.loads(cli("eval", runs[arch], "--corpus", path, "--split", "all", "--json")[1])
    assert result["floor"] is None and result["loss"] > 0
    assert cli("eval", runs[arch], "--stride", 8)[0] == 1


def test_generate_continues_fills_in_and_rewrites(cli, runs):
    def written(arch, *arguments):
        status, out, err = cli("generate", runs[arch], "--seed", 1, *arguments)
        return out if status == 0 else err

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
    ("arch", "arguments", "said"),
    [
        ("bert", [], "this model fills in what is hidden: write <mask> for each hidden token"),
        ("bert", ["--prompt", "A dog"], "write <mask> for each hidden token, .*; not 'A dog'"),
        ("bert", ["--prompt", "A <mask>", "--max-new-tokens", 3], "all hidden tokens; leave it"),
        ("bert", ["--prompt", "<mask>" * 200], "1 to 190 tokens"),
        ("t5", [], "this model rewrites hidden spans: write <extra_id_0>"),
        ("t5", ["--prompt", "A <extra_id_1>"], "each once and in this order"),
        ("t5", ["--prompt", "A 7<extra_id_0>"], "unknown character '7'"),
    ],
)
def test_generate_says_what_to_give(cli, runs, arch, arguments, said):
    status, out, err = cli("generate", runs[arch], *arguments)
    assert status == 1 and out == ""
    assert re.search(said, err)


@pytest.mark.parametrize("arch", OTHERS)
def test_info_check_and_profile(cli, runs, arch, tmp_path):
    result = json.loads(cli("info", runs[arch], "--json")[1])
    assert result["parameters"] == load_run(runs[arch])[0].num_parameters()
    assert result["training"]["arch"] == arch
    assert cli("info", "--preset", f"tales-{arch}")[0] == 0
    model = json.loads(cli("info", "--preset", f"tales-{arch}", "--json")[1])["model"]
    assert model["vocab_size"] == load_run(runs[arch])[2].model.vocab_size
    status, out, _ = cli("train", "--arch", arch, "--check", *SETTINGS, "--n-embd", 32)
    assert status == 0 and "one batch memorised" in out and "WRONG" not in out
    status, out, _ = cli(
        "train", "--arch", arch, "--out", tmp_path / "run", "--profile", 2, *SETTINGS
    )
    assert status == 0 and "scaled_dot_product_attention" in out and "of step" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "tales", "--arch", "bert"], "preset 'tales' is for arch=gpt, not bert; use "
         "one of the same arch, such as tales-bert"),
        (["--arch", "bert", "--no-bias"], "setting 'bias' is unknown: it is one of arch=gpt, not "
         "of bert"),
        (["--arch", "gpt", "--n-kv-head", 2], "'n_kv_head' is unknown: it is one of arch=llama"),
        (["--arch", "t5", "--eval-stride", 8], "a stride is for models that continue a text"),
        (["--resume", "--arch", "bert"], "leave out --arch and name"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_written(cli, here, arguments, said):
    status, _, err = cli("train", "--max-iters", 3, *arguments)
    assert status == 1 and said in err
    assert not (here / "runs").exists()


@pytest.mark.parametrize("arch", ["bert", "t5"])
def test_other_texts_and_byte_pairs(cli, here, corpus, arch):
    tiny = [*TINY, "--arch", arch, "--corpus", corpus]
    assert cli("train", *tiny)[0] == 0
    folder = here / "runs" / f"hens-{arch}"
    assert cli("eval", folder)[0] == 0
    assert cli("train", *tiny, "--tokenizer", "bpe", "--vocab-size", 300, "--out", "bpe")[0] == 0
    assert 256 + 2 < load_run("bpe")[1].vocab_size <= 300
    assert cli("train", "--resume", "--out", "bpe")[0] == 0


def test_words_may_be_the_tokens_of_every_kind_of_model(cli, here, corpus):
    assert cli("train", "--corpus", corpus, *TINY, "--tokenizer", "words", "--out", "gpt")[0] == 0
    assert load_run("gpt")[1].words == [" the"]
    assert cli("train", "--resume", "--out", "gpt")[0] == 0
    assert json.loads(cli("tokenize", "gpt", "so the", "--json")[1])["tokens"][-1] == " the"
    status, _, err = cli("look", "gpt")
    assert status == 1 and "has words as tokens" in err
    assert cli("train", *SETTINGS, "--tokenizer", "words", "--out", "told")[0] == 0
    assert json.loads(cli("eval", "told", "--json")[1])["floor"] is None  # of characters only
    assert cli("prepare", "tokens", "--corpus", corpus)[0] == 0
    status, _, err = cli("train", "--corpus", "tokens", *TINY, "--tokenizer", "words")
    assert status == 1 and "token files have their tokens already" in err
