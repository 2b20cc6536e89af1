"""Each example in its quick mode: what it claims to show, and that it leaves a picture."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def mains():
    """The main function of an example, by the name of its file."""

    def main_of(name):
        spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module.main

    sys.path.insert(0, str(EXAMPLES))
    yield main_of
    sys.path.remove(str(EXAMPLES))


@pytest.fixture(scope="module")
def results(mains, tmp_path_factory):
    """Run an example once; (what its main returned, the folder of its picture)."""
    found = {}

    def run(name):
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            found[name] = mains(name)(quick=True, figures=folder), folder
        return found[name]

    return run


def test_there_is_one_for_each_section():
    assert SCRIPTS == [
        "00_autograd", "01_language_model", "02_tokenization", "03_embeddings", "04_attention",
        "05_transformer", "06_training", "07_generation",
    ]  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_picture_is_left(results, name):
    _, folder = results(name)
    picture = folder / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5_000


def test_00_every_gradient_is_its_finite_difference(results):
    shown, _ = results("00_autograd")
    assert shown["graph_error"] < 1e-8
    assert shown["backward_agrees"] and shown["checked"]
    assert shown["formula_gap"] < 1e-12


def test_01_more_context_is_a_lower_loss_and_none_passes_below_the_entropy(results):
    losses = results("01_language_model")[0]["losses"]
    assert losses["unigram"] > losses["bigram"] > losses["trigram"] > losses["entropy"]
    assert losses["GPT"] > losses["entropy"]


def test_02_merges_shorten_text_and_every_text_comes_back(results):
    shown, _ = results("02_tokenization")
    assert shown["round_trip"] and "unknown character" in shown["refused"]
    assert shown["tokens"][" because"] == 1 < shown["tokens"][" unhappiness"]
    assert shown["tales_per_token"] == sorted(shown["tales_per_token"])
    assert shown["tales_per_token"][-1] > 2 * shown["other_per_token"][-1] > 2
    assert shown["parameters"] == sorted(shown["parameters"])
    assert shown["characters_seen"] == sorted(shown["characters_seen"])
    assert all(1 < bits < 8 for bits in shown["bits_per_byte"])


def test_03_a_row_is_looked_up_and_words_of_a_group_come_to_stand_together(results):
    shown, _ = results("03_embeddings")
    assert shown["lookup_is_product"] and shown["row_gradients"] == [1, 0, 2, 0, 0]
    assert shown["within"] > shown["between"] + 0.1
    assert all(len(nearest) <= 3 for nearest in shown["analogies"].values())
    assert shown["apart"] > 0


def test_04_weights_are_shares_of_the_past_and_the_future_has_no_influence(results):
    shown, _ = results("04_attention")
    assert shown["op_gap"] < 1e-12
    assert shown["hand_weights"][3].argmax() == 0
    for weights in (shown["hand_weights"], shown["maps"]):
        np.testing.assert_allclose(weights.sum(axis=-1), 1, rtol=1e-5)
        assert weights.min() >= 0
        assert np.triu(weights, 1).max() == 0
    assert shown["moved_before"] == 0 < shown["moved_last"]


def test_05_the_pass_by_hand_is_the_models(results):
    shown, _ = results("05_transformer")
    assert shown["same_as_model"]
    assert shown["loss"] == pytest.approx(shown["ln_V"], rel=0.02)
    assert sum(shown["parts"].values()) == shown["parameters"]
    for rate in ("from the first step", "after warm-up"):
        assert shown["spreads"][rate, "pre-norm"] > 0.3
        assert shown["last"][rate, "no residual"] > shown["unigram"] - 0.05
        assert shown["spreads"][rate, "no residual"] < 0.01
    assert shown["last"]["from the first step", "pre-norm"] < shown["unigram"] - 0.1
    assert shown["last"]["from the first step", "post-norm"] > shown["unigram"] - 0.05
    assert shown["spreads"]["from the first step", "post-norm"] < 0.01
    last = {kind: shown["last"]["after warm-up", kind] for kind in ("pre-norm", "post-norm")}
    assert last["pre-norm"] < last["post-norm"] - 0.02


def test_06_a_batch_is_memorised_and_a_text_is_learned(results):
    shown, _ = results("06_training")
    ln_v = np.log(512)
    assert shown["memorised"][0] == pytest.approx(ln_v, rel=0.05)
    assert shown["memorised"][-1] < 0.5 * shown["memorised"][0]
    validation = [row["val_loss"] for row in shown["rows"] if row["val_loss"] is not None]
    assert ln_v > validation[0] > validation[-1] > shown["entropy"]
    low, right, high = (losses[-10:].mean() for losses in shown["rates"].values())
    assert right < low and right < high


def test_07_settings_keep_what_they_say_and_the_cache_changes_nothing(results):
    shown, _ = results("07_generation")
    kept = shown["kept"]
    assert kept["greedy"] == 1 and kept["top-k 3"] == 3
    assert 1 <= kept["top-p 0.8"] < kept["temperature 1"]
    assert shown["greedy_repeats"] and shown["cache_is_exact"]
    assert set(shown["kept_by_context"]["top-k 3"]) == {3}
    assert len(set(shown["kept_by_context"]["top-p 0.8"])) > 1
    assert shown["positions"] == [[16, 16 * 17 // 2], [32, 32 * 33 // 2]]


def test_without_matplotlib_the_numbers_are_there_and_the_way_to_get_pictures(
    mains, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    shown = mains("00_autograd")(quick=True, figures=tmp_path)
    assert shown["checked"]
    assert "no picture: pictures need matplotlib; install it with" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_example_runs_as_a_script_from_any_folder(tmp_path):
    # Its quick picture is its full one, so that a reader's picture is not replaced by a lesser.
    script = EXAMPLES / "00_autograd.py"
    run = subprocess.run([sys.executable, script, "--quick"], cwd=tmp_path, check=False,
                         capture_output=True, encoding="utf-8")  # fmt: skip
    assert run.returncode == 0, run.stderr
    assert "picture" in run.stdout
    assert not list(tmp_path.iterdir())
