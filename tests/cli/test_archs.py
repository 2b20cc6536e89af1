"""Every kind of model by the program: trained, resumed, evaluated beside the grammar, writing."""

import json

import pytest
from tiny_run import TINY, assert_same_checkpoint, files, resumed_at, settings_of

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
    ("arguments", "facts"),
    [
        (["--preset", "tales", "--arch", "bert"], ("arch=gpt", "tales-bert")),
        (["--arch", "bert", "--no-bias"], ("'bias'", "arch=bert")),
        (["--arch", "gpt", "--n-kv-head", 2], ("'n_kv_head'", "arch=llama", "arch=gpt")),
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
