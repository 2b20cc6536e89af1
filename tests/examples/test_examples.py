"""Each example in its quick mode shows its claims, and leaves a picture."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from npgpt import tales
from npgpt.families.floors import spans_log_probability

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).parents[2] / "examples"
STUDIES = (
    "08_ablations", "09_scaling_laws", "10_families", "11_reward", "12_rows", "13_skills",
    "14_training",
)
SCRIPTS = sorted(path.stem for path in EXAMPLES.glob("[0-9][0-9]_*.py"))


@pytest.fixture(scope="module")
def mains():
    """A function from the name of an example's file to its main function."""

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
    """A function that runs an example once: (returned by main, the folder of its picture)."""
    found = {}

    def run(name):
        if name in STUDIES:
            pytest.importorskip("scipy", reason="of the extra 'studies'")
            pytest.importorskip("pandas", reason="of the extra 'studies'")
        if name not in found:
            folder = tmp_path_factory.mktemp(name)
            found[name] = mains(name)(quick=True, figures=folder), folder
        return found[name]

    return run


def test_there_is_one_for_each_section():
    assert SCRIPTS == [
        "00_autograd", "01_language_model", "02_tokenization", "03_embeddings", "04_attention",
        "05_transformer", "06_training", "07_generation", "08_ablations", "09_scaling_laws",
        "10_families", "11_reward", "12_rows", "13_skills", "14_training",
    ]


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_picture_is_left(results, name):
    _, folder = results(name)
    picture = folder / f"{name}.png"
    assert picture.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert picture.stat().st_size > 5_000


def test_every_diagram_is_drawn_and_kept(mains, tmp_path):
    for path in mains("diagrams")(figures=tmp_path):
        assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
        assert 5_000 < path.stat().st_size < 60_000
        assert (EXAMPLES / "figures" / path.name).exists()


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
    assert shown["removed"]["grown"].shape == shown["maps"].shape[:2]
    assert all(curve[1].min() >= 0 and curve[1].max() <= 1 for curve in shown["induction"].values())


def test_04_an_exchanged_vector_carries_what_comes_after_it(mains):
    from heads import losses_without_each_head, patched, without_head

    from npgpt import GPT, GPTConfig

    mains("04_attention")
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
    shown, folder = results("07_generation")
    assert (folder / "07_quality.png").stat().st_size > 5_000
    kept = shown["kept"]
    assert kept["greedy"] == 1 and kept["top-k 3"] == 3
    assert 1 <= kept["top-p 0.8"] < kept["temperature 1"]
    assert shown["greedy_repeats"] and shown["cache_is_exact"]
    assert set(shown["kept_by_context"]["top-k 3"]) == {3}
    assert len(set(shown["kept_by_context"]["top-p 0.8"])) > 1
    assert shown["positions"] == [[16, 16 * 17 // 2], [32, 32 * 33 // 2]]


def test_a_larger_budget_is_a_lower_loss_and_a_story_is_drawn_for_each(mains, tmp_path):
    found = mains("story_by_budget")(quick=True, figures=tmp_path)
    losses = [loss for _, _, loss, _ in found.values()]
    assert len(losses) == 3 and losses == sorted(losses, reverse=True)
    assert (tmp_path / "story_by_budget.png").stat().st_size > 5_000


def test_09_the_floor_is_not_passed_and_the_prediction_comes_before_its_run(results):
    rows, _ = results("09_scaling_laws")
    *grid, told, ahead = rows
    assert "predict" in told["settings"] and "predict" not in ahead["settings"]
    flops = {row["settings"]["flops"] for row in grid}
    assert ahead["settings"]["flops"] == told["settings"]["predict"] == 4 * max(flops)
    assert all(row["result"]["excess"] > 0 for row in (*grid, ahead))
    assert told["result"]["N"] == ahead["result"]["parameters"]
    assert told["result"]["D"] == pytest.approx(ahead["result"]["tokens"], rel=0.05)


def test_10_every_family_does_every_task(results):
    rows, _ = results("10_families")
    shown = {row["settings"]["family"]: row["result"] for row in rows}
    assert {*shown} == {"gpt", "bert", "t5", "t5, prefixes"}
    tasks = {"training", "word", "pronoun", "rewrite"}
    assert {*shown.pop("t5, prefixes")} == {"training", "go on"}
    for family, found in shown.items():
        assert {*found} == (tasks if family == "t5" else tasks | {"go on"})
        word = found["word"]
        assert word["best nats"] < word["left best nats"] < word["both nats"] + 0.5
        for share in (*found.get("go on", {}).values(), *found["pronoun"]["it"].values()):
            assert share >= 0
    # of a GPT that is hardly trained, all words are as likely
    assert shown["gpt"]["word"]["left nats"] == pytest.approx(word["left best nats"], abs=0.1)


def test_10_families_have_equal_flops():
    lines = (EXAMPLES / "10_families.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    found = [row["result"]["training"]["flops"] for row in rows
             if row["settings"]["family"] in ("gpt", "bert", "t5")]
    assert len(set(found)) == 1 and len(found) == 9


def test_08_a_quick_study_has_each_number(results):
    found, _ = results("08_ablations")
    base = found[found.label == "base"].excess
    assert len(base) == 3 and 1 < base.mean() < 5


@pytest.fixture(scope="module")
def tasks(mains):
    import families
    import family_tasks

    stories = families.told(100_000, seed=3)
    return family_tasks, stories, families.WordTokenizer("".join(families.told(600_000, seed=0)))


def test_10_families_have_equal_parameters(tasks):
    import families

    from npgpt.families.size import parameters_by_part

    sizes = [
        sum(parameters_by_part(families.model_config(family, tasks[2].vocab_size)).values())
        for family in families.FAMILIES
    ]
    assert max(sizes) < 1.03 * min(sizes)


def test_10_words_are_tokens_and_every_story_comes_back(tasks):
    _, stories, tokenizer = tasks
    for story in stories:
        assert tokenizer.decode(tokenizer.encode(story)) == story
    assert [tokenizer.pieces[i] for i in tokenizer.encode(" Badado sat.")] == [
        " Ba", "da", "do", " sat", "."
    ]


def test_10_the_odds_of_a_hidden_word_are_those_of_a_hidden_span(tasks):
    task, stories, tokenizer = tasks
    for hidden in task.hidden_words(tokenizer, stories[:60]):
        word = tokenizer.pieces[hidden.words_K[hidden.right]]
        before = tokenizer.decode(hidden.ids_T[: hidden.at])
        span = len(before) + 1, len(before) + len(word)
        nats = spans_log_probability(
            tales.GRAMMAR, tokenizer.decode(hidden.ids_T), [span], longest=10
        )
        assert np.log(hidden.odds_K[hidden.right]) == pytest.approx(nats, abs=1e-9)


def test_10_a_story_told_anew_is_one_and_comes_back(tasks):
    task, stories, _ = tasks
    anew = [(story, task.swapped(story)) for story in stories]
    assert any(other is None for _, other in anew)
    for story, other in (pair for pair in anew if pair[1]):
        assert other != story and tales.log_probability(other) is not None
        assert task.swapped(other) == story
    assert task.swapped(
        "One dawn shy King Dadado of Dadadia lost his red map in Dadadia. A shy red dog found it "
        "near a red mill, so he kissed the dog on its head.\n\n"
    ) == (
        "One dawn shy Queen Dadada of Dadadia lost her red map in Dadadia. A shy red dog found it "
        "near a red mill, so she kissed the dog on its head.\n\n"
    )


def test_10_words_count_up_to_the_first_that_the_grammar_does_not_allow(tasks, monkeypatch):
    task, stories, tokenizer = tasks
    for story in stories[:20]:
        ids = tokenizer.encode(story).tolist()
        given, cut = len(ids) // 3, ids[: len(ids) - 3]
        for at in (given, given + 9, None):  # None: without a fault
            written = cut if at is None else [*cut[:at], tokenizer.ids["?"], *cut[at + 1 :]]
            for end in ([], ids[len(cut) :]):
                new = [[*written[given:], *end]]
                monkeypatch.setitem(task.WRITES, "gpt", lambda *_, new=new: new)
                shown = task.go_on("gpt", None, tokenizer, [story])
                assert shown["whole"] == (at is None and bool(end))
                right = len(new[0]) if at is None else at - given
                assert shown["allowed"] == pytest.approx(right / len(new[0]))


def test_10_it_is_the_animal_or_what_is_in_its_way(tasks):
    task, stories, tokenizer = tasks
    ids_NT, meant_N, fold_N = task.crossings(tokenizer, stories)
    words = [[tokenizer.pieces[i].strip() for i in ids_T] for ids_T in ids_NT]
    for row, meant, fold in zip(words, meant_N, fold_N, strict=True):
        assert (row[task.READ_AT["it"]], row[task.READ_AT["it, later"]]) == ("it", ",")
        assert row[-2] == task.REASONS[fold][int(meant)]
    assert {first for first, _ in task.REASONS} == {"tired", "hungry", "thirsty", "cold", "sad",
                                                    "scared"}
    for fold in range(6):
        assert 0 < meant_N[fold_N == fold].sum() * 2 == (fold_N == fold).sum()


def test_all_studies_run_by_one_command_and_what_is_kept_is_not_run_again():
    spec = importlib.util.spec_from_file_location("studies", EXAMPLES / "__main__.py")
    studies = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(studies)
    for flags in ([], ["--quick"], ["--report"], ["--all"]):
        found = {Path(script).stem: rest for _, script, *rest in studies.commands(flags)}
        assert [*found] == [*STUDIES]
        assert all(rest == flags for rest in found.values())


@pytest.mark.parametrize("extra", ["", "more seeds"])
@pytest.mark.parametrize("flags", [[], ["--all"], ["--quick"], ["--all", "--workers", "3"]])
def test_each_study_knows_the_flags_of_all(monkeypatch, mains, flags, extra):
    mains("00_autograd")  # which puts the examples on the path
    import example

    monkeypatch.setattr(sys, "argv", ["study", *flags])
    quick, folder, found = example.run_study(
        "", lambda *args, **more: (*args, more), None, "quick", extra)
    assert quick == ("--quick" in flags)
    assert folder == (example.FIGURES / "new" if quick else example.FIGURES)
    workers = 3 if "3" in flags else None
    assert found == {"workers": workers} | ({"extra": "--all" in flags} if extra else {})


def test_without_matplotlib_the_numbers_are_there_and_the_way_to_get_pictures(
    mains, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    shown = mains("00_autograd")(quick=True, figures=tmp_path)
    assert shown["checked"]
    assert "no picture: pictures need matplotlib; install it with" in capsys.readouterr().out
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("flags", [[], ["--quick"], ["--write"], ["--quick", "--write"]])
def test_only_a_flag_draws_where_the_pictures_of_the_lesson_are(monkeypatch, mains, flags):
    drawn = {}
    monkeypatch.setattr(sys, "argv", ["example", *flags])
    mains("00_autograd")  # which puts the examples on the path
    import example

    example.run(lambda **settings: drawn.update(settings))
    kept = EXAMPLES / "figures"
    assert drawn == {"quick": "--quick" in flags,
                     "figures": kept if "--write" in flags else kept / "new"}
    ignored = (EXAMPLES.parent / ".gitignore").read_text(encoding="utf-8").split()
    assert "examples/figures/new/" in ignored


def test_an_example_runs_as_a_script_from_any_folder_and_changes_no_picture_of_the_lesson(tmp_path):
    script, kept = EXAMPLES / "00_autograd.py", EXAMPLES / "figures"
    before = {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    run = subprocess.run([sys.executable, script, "--quick"], cwd=tmp_path, check=False,
                         capture_output=True, encoding="utf-8")
    assert run.returncode == 0, run.stderr
    assert f"picture {kept / 'new' / '00_autograd.png'}" in run.stdout
    assert before == {path: path.stat().st_mtime_ns for path in kept.glob("*.png")}
    assert not list(tmp_path.iterdir())
