"""Each example in its quick mode shows its claims, and leaves a picture."""

import importlib
import itertools
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from heads import losses_without_each_head, patched, rows_of_rules, without_head
from small_model import train_small_gpt

from npgpt import GPT, GPTConfig

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[0-9][0-9]_*.py"))


def main_of(name):
    return importlib.import_module(name).main


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """A function that runs an example once: (returned by main, the folder of its picture)."""

    @cache
    def run(name):
        folder = tmp_path_factory.mktemp(name)
        return main_of(name)(quick=True, figures=folder), folder

    return run


def test_there_is_one_for_each_section():
    assert SCRIPTS == [
        "00_autograd", "01_language_model", "02_tokenization", "03_embeddings", "04_attention",
        "05_transformer", "06_training", "07_generation",
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_picture_is_left(results, name):
    _, folder = results(name)
    picture = folder / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5_000


def test_every_diagram_is_drawn_and_kept(tmp_path):
    for path in main_of("diagrams")(figures=tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert 5_000 < path.stat().st_size < 60_000
        assert (EXAMPLES / "figures" / path.name).exists()


def test_00_every_gradient_is_its_finite_difference(results):
    shown, _ = results("00_autograd")
    assert shown["graph_error"] < 1e-8
    assert shown["backward_agrees"] and shown["checked"]
    assert shown["formula_gap"] < 1e-12


def test_01_more_context_is_a_lower_loss_and_none_passes_below_the_grammar(results):
    losses = results("01_language_model")[0]["losses"]
    assert losses["unigram"] > losses["bigram"] > losses["trigram"] > losses["grammar"]
    assert losses["GPT"] > losses["grammar"]


def test_training_shows_what_the_model_writes_from_before_its_first_step(capsys):
    train_small_gpt(quick=True)
    lines = re.findall(r"^after +(\d+) .* (\S+)$", capsys.readouterr().out, re.M)
    assert [int(step) for step, _ in lines] == [0, 10, 20, 30, 40, 50]
    assert lines[0][1] != lines[-1][1]


def test_02_merges_shorten_text_and_every_text_comes_back(results):
    shown, _ = results("02_tokenization")
    assert shown["round_trip"] and "(U+" in shown["refused"]
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
    for counts in shown["analogies"].values():
        assert 0 <= counts["right"] <= counts["tried"] and 0 < counts["chance"] < 1
    if contexts := shown["contexts"]:  # one vector in the table, whatever the sentence
        assert contexts["same"][0] == pytest.approx(1) == contexts["other"][0]
        assert contexts["other"][-1] < contexts["same"][-1] < 1
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
    assert shown["most read"]["tired"][0] == 0 < shown["most read"]["dog"][0] <= 1
    assert shown["removed"]["grown"].shape == shown["maps"].shape[:2]
    assert all(curve[1].min() >= 0 and curve[1].max() <= 1 for curve in shown["induction"].values())


def test_04_each_letter_has_one_successor_in_a_row_and_others_in_others():
    V, rows_NT = 16, rows_of_rules(200, chance=0.0)
    assert rows_NT.shape == (200, 65) and {*rows_NT.ravel()} == {*range(V)}
    after = [dict(itertools.pairwise(row)) for row in rows_NT.tolist()]
    assert all(of[a] == b for row, of in zip(rows_NT.tolist(), after, strict=True)
               for a, b in itertools.pairwise(row))
    assert all(len({of[a] for of in after if a in of}) > V / 2 for a in range(V))
    drawn = rows_of_rules(200, chance=1.0)
    assert abs((np.diff(drawn) == 0).mean() - 1 / V) < 0.01


def test_04_an_exchanged_vector_carries_what_comes_after_it():
    model = GPT(GPTConfig(20, 16, 2, 2, 8, bias=False), seed=1).eval()
    for weight in model.parameters().values():
        weight.data *= 20 if weight.ndim > 1 else 1  # so that everything matters
    ids_T = np.random.default_rng(0).integers(0, 20, 8)
    others_T = np.where(np.arange(8) == 3, (ids_T + 1) % 20, ids_T)
    moved_LT = patched(model, ids_T, others_T, 2, 5)
    np.testing.assert_allclose(moved_LT[0], np.arange(8) == 3, atol=1e-4)
    np.testing.assert_allclose(moved_LT[-1], np.arange(8) == 7, atol=1e-4)
    assert np.abs(moved_LT[1, :3]).max() < 1e-4 < np.abs(moved_LT[1, 3:]).min()
    text = np.random.default_rng(1).integers(0, 20, 200)
    before = model(ids_T[None])[0].data
    _, grown_LH = losses_without_each_head(model, text)
    assert np.abs(grown_LH).min() > 1e-3
    np.testing.assert_array_equal(model(ids_T[None])[0].data, before)
    with without_head(model, 0, 0), without_head(model, 0, 1):
        assert not model.h[0].attn(model.wte(ids_T[None])).data.any()


def test_05_the_pass_by_hand_is_the_models(results):
    shown, _ = results("05_transformer")
    assert shown["same_as_model"]
    assert shown["loss"] == pytest.approx(shown["ln_V"], rel=0.02)
    assert sum(shown["parts"].values()) == shown["parameters"]
    for rate in ("from the first step", "after warm-up"):
        assert shown["spreads"][rate, "pre-norm"] > 0.3
        assert shown["last"][rate, "no residuals"] > shown["unigram"] - 0.05
        assert shown["spreads"][rate, "no residuals"] < 0.01
        assert shown["last"][rate, "pre-norm"] < shown["last"][rate, "post-norm"] - 0.02
    assert shown["last"]["from the first step", "pre-norm"] < shown["unigram"] - 0.1


def test_06_a_batch_is_memorised_and_a_text_is_learned(results):
    shown, _ = results("06_training")
    ln_v = np.log(512)
    assert shown["memorised"][0] == pytest.approx(ln_v, rel=0.05)
    assert shown["memorised"][-1] < 0.5 * shown["memorised"][0]
    validation = [row["val_loss"] for row in shown["rows"] if row["val_loss"] is not None]
    assert ln_v > validation[0] > validation[-1] > shown["grammar"]
    low, right, high = (losses[-10:].mean() for losses in shown["rates"].values())
    assert right < low and right < high


def test_07_settings_keep_what_they_say_and_the_cache_changes_nothing(results):
    shown, folder = results("07_generation")
    assert (folder / "07_quality.png").stat().st_size > 5_000
    kept = shown["kept"]
    assert kept["greedy"] == 1 and kept["top-k 3"] == 3
    assert 1 <= kept["top-p 0.8"] < kept["temperature 1"]
    assert shown["greedy_repeats"] and shown["cache_is_exact"]
    assert set(shown["kept_by_context"]["top-k 3"]) == {3}
    assert len(set(shown["kept_by_context"]["top-p 0.8"])) > 1
    assert shown["positions"] == [[16, 16 * 17 // 2], [32, 32 * 33 // 2]]


def test_a_larger_budget_is_a_lower_loss_and_a_story_is_drawn_for_each(tmp_path):
    found = main_of("story_by_budget")(quick=True, figures=tmp_path)
    losses = [loss for _, _, loss, _ in found.values()]
    assert len(losses) == 3 and losses == sorted(losses, reverse=True)
    assert (tmp_path / "story_by_budget.png").stat().st_size > 5_000


def test_without_matplotlib_the_numbers_are_there_and_the_way_to_get_pictures(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    shown = main_of("00_autograd")(quick=True, figures=tmp_path)
    assert shown["checked"]
    assert "matplotlib" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


def test_an_example_runs_as_a_script_from_any_folder_and_changes_no_picture_of_the_lesson(tmp_path):
    script, kept = EXAMPLES / "00_autograd.py", EXAMPLES / "figures"
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    run = subprocess.run([sys.executable, script, "--quick"], cwd=tmp_path, check=False,
                         capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert f"picture {kept / 'new' / '00_autograd.png'}" in run.stdout
    assert before == {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    assert not list(tmp_path.iterdir())
