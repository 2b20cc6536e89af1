"""Every kind of model by the program: trained, resumed, evaluated beside the grammar, writing."""

import pytest
from tiny_run import TINY, assert_same_checkpoint, files, resumed_at, run_program

from npgpt.models import ARCHITECTURES

pytestmark = pytest.mark.slow

OTHERS = tuple(arch for arch in ARCHITECTURES if arch != "gpt")
STORY = "A shy small dog of Velaria did not cross the red street because it was too tired"
# The stories of tales are longer than the windows of the other tiny runs.
SETTINGS = [*TINY, "--block-size", "190", "--corpus", "tales", "--train-fraction", "0.99"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return {arch: folder of a finished run of 6 steps}, and a GPT of words; only to read."""
    folders = {name: tmp_path_factory.mktemp("archs") / name for name in (*OTHERS, "words")}
    for name, folder in folders.items():
        kind = ("--tokenizer" if name == "words" else "--arch", name)
        run_program("train", *kind, "--out", folder, *SETTINGS)
    return folders


@pytest.mark.pictures
@pytest.mark.parametrize("arch", OTHERS)
def test_a_run_leaves_its_files_and_goes_on_to_the_bits_of_one_that_was_not_stopped(
    done, interrupted, runs, tmp_path, arch
):
    train = ("train", "--arch", arch, "--out", tmp_path / arch, *SETTINGS)
    done(*train, "--check", "--n-embd", 32)
    assert "scaled_dot_product_attention" in interrupted(5, *train, "--profile", 2)
    assert resumed_at(done("train", "--resume", tmp_path / arch)) == 3
    whole, resumed = files(runs[arch]), files(tmp_path / arch)
    assert whole.keys() == resumed.keys() and "loss.png" in whole
    assert_same_checkpoint(runs[arch], tmp_path / arch, "samples.txt", "config.json")


@pytest.mark.parametrize(("name", "least", "most", "tokens"), [
    ("llama", 0.38, 0.4, 19_999), ("words", 0.98, 1.05, 7_600),  # 2.62 characters each
    ("bert", 0.5, 1, 1_400), ("t5", 0.5, 1, 1_400),
])
def test_eval_has_the_grammars_loss_on_the_same_tokens_beside_the_loss(
    as_json, done, runs, name, least, most, tokens
):
    result = as_json("eval", runs[name])
    assert least < result["grammar_loss"] < most < result["loss"] and result["grammar_share"] == 1.0
    assert (result["bits_per_byte"] is None) == (name in ("bert", "t5"))
    assert result["tokens"] == pytest.approx(tokens, rel=0.3)
    assert f"{result['grammar_loss']:.4f}" in done("eval", runs[name])


def test_generate_continues_fills_in_and_rewrites(as_json, done, runs):
    first, second = STORY.split("small ")

    def written(arch, prompt, *arguments):
        return as_json("generate", runs[arch], prompt, "--seed", 1, *arguments)["text"]

    assert written("llama", STORY, "--max-new-tokens", 3)
    for arch, prompt in (("bert", f"{first}<mask> {second}"),
                         ("t5", f"{first}<extra_id_0> {second}<extra_id_1>")):
        text = written(arch, prompt)
        assert arch == "t5" or text == written(arch, prompt.replace(" <", "<"))
        assert f"{text}\n" == done("generate", runs[arch], prompt, "--seed", 1)
        assert text.startswith(first.rstrip()) and second in text and "<" not in text


@pytest.mark.parametrize(("arch", "command", "words", "fact"), [
    ("bert", "generate", "", "<mask>"),
    ("bert", "generate", "<mask>" * 200, "190"),
    ("t5", "generate", "A", "<extra_id_0>"),
    ("t5", "generate", "A7<extra_id_0>", "'7'"),
])
def test_what_such_a_model_cannot_do_is_refused(refuses, runs, arch, command, words, fact):
    refuses(fact, command, runs[arch], *words.split())


@pytest.mark.parametrize("tokens", [["words"], ["bpe", "--vocab-size", 300]])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_words_and_byte_pairs_are_tokens_of_every_kind_of_model(
    as_json, done, here, corpus, arch, tokens
):
    done("train", corpus, "--out", "run", "--arch", arch, "--tokenizer", *tokens, *TINY)
    done("train", "--resume", "run", "--max-iters", 7)
    assert as_json("tokenize", "run", "so the")["tokens"][-1] == " the"
    result = as_json("eval", "run")
    assert result["grammar_loss"] is None and result["loss"] > 0
