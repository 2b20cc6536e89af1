"""`npgpt compare`: what it finds to differ and prints, and what it refuses, with nothing lost."""

import json
import re
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, files

from npgpt import plots
from npgpt.cli import main
from npgpt.cli.compare import Result, differing, in_table, named, units
from npgpt.loading.runs import load_run
from npgpt.metrics import read_metrics

pytestmark = pytest.mark.pictures
VALUES = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text())
SETTINGS = st.dictionaries(st.sampled_from("abcdef"), VALUES)


@pytest.fixture(scope="module")
def other(tmp_path_factory, corpus):
    """Return a run with a different rate and depth than `finished`; do not write to it."""
    folder = tmp_path_factory.mktemp("other") / "deep"
    flags = ["--lr", "0.01", "--n-layer", "2"]
    assert main(["train", "--corpus", str(corpus), "--out", str(folder), *TINY, *flags]) == 0
    return folder


def rows_in(out):
    """Name in the first column -> the other cells."""
    rows = (re.split(r"\s{2,}", line) for line in out.splitlines())
    return {name: cells for name, *cells in rows}


@given(st.dictionaries(st.text(min_size=1), SETTINGS, min_size=2, max_size=4))
def test_a_setting_is_in_the_table_exactly_if_two_runs_have_it_differently(settings):
    found = differing(settings)
    for name in "abcdef":
        column = [of_run.get(name) for of_run in settings.values()]
        differs = any(value != column[0] for value in column[1:])
        assert found.pop(name, None) == (column if differs else None)
    assert not found


def test_a_list_of_texts_is_shown_by_their_names():
    assert in_table(("a b.txt", "tales")) == "a b.txt, tales" and in_table(0.5) == "0.5"


def test_two_runs_side_by_side(done, finished, other, here):
    before = files(finished), files(other)
    out = done("compare", finished, other)
    assert (files(finished), files(other)) == before
    picture = here / "hens-deep.png"
    assert picture.name in out and list(here.iterdir()) == [picture]
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = out.splitlines()
    table = [line.split() for line in lines[: lines.index("")]]
    assert sorted(table[1:]) == [["lr", "0.006", "0.01"], ["n_layer", "1", "2"]]
    assert table[0] == ["hens", "deep"]
    rows = rows_in(out)
    runs = (finished, other)
    assert rows["parameters"] == [f"{load_run(run)[0].num_parameters():,}" for run in runs]
    losses = [json.loads(done("eval", run, "--json"))["loss"] for run in runs]
    assert rows["validation loss"] == [f"{loss:.4f}" for loss in losses]
    assert rows["validation text"] == ["all", "all"] and "note" not in out


def test_a_run_is_also_named_by_its_best_weights(done, refused, finished, other, here):
    best = [folder / "best.safetensors" for folder in (finished, other)]
    assert done("compare", *best).replace("hens-deep.png", "again.png") == done(
        "compare", finished, other, "--out", "again.png"
    )
    assert "twice" in refused("compare", finished, best[0])


def test_as_json(done, finished, other, tmp_path):
    result = json.loads(done("compare", finished, other, "--json", "--out", tmp_path / "a.png"))
    assert result["settings"] == {"lr": [0.006, 0.01], "n_layer": [1, 2]}
    assert result["picture"] == str(tmp_path / "a.png") and result["notes"] == []
    hens = result["runs"]["hens"]
    assert hens["steps"] == 6 and hens["grammar's loss"] is None
    assert hens["validation text"] == "all" and hens["tokens read"] == 6 * 4 * 16


@pytest.mark.slow
def test_the_grammars_loss_is_there_where_it_is_known_and_other_texts_are_noted(
    done, finished, here
):
    for arch, sizes in (("gpt", []), ("bert", ["--n-inner", "16"])):
        flags = ["--preset", "tales" if arch == "gpt" else "tales-bert", "--eval-tokens", "2000"]
        done("train", *flags, "--out", arch, *TINY, *sizes, "--block-size", "192")
    result = json.loads(done("compare", "gpt", "bert", finished, "--json"))
    gpt, bert, hens = result["runs"].values()
    assert gpt["grammar's loss"] == pytest.approx(0.3929, abs=1e-4)
    for run, name in ((gpt, "gpt"), (bert, "bert")):
        whole = json.loads(done("eval", name, "--json"))
        assert run["validation loss"] == whole["loss"] and run["validation text"] == "all"
        assert run["grammar's loss"] == whole["grammar_loss"]
        above = whole["loss"] - whole["grammar_loss"]
        assert run["loss above the grammar's"] == pytest.approx(above)
        last = read_metrics(here / name / "metrics.csv")[-1]
        assert run["grammar's loss there"] == last["grammar_loss"] != whole["grammar_loss"]
    assert 0 < bert["grammar's loss"] != gpt["grammar's loss"]
    assert hens["grammar's loss"] is None
    for note, fact in zip(
        result["notes"], ("texts", "targets", "tokenizers", "drawn part"), strict=True
    ):
        assert fact in note
    assert "n_inner" in result["settings"] and result["settings"]["n_inner"][0] is None


@pytest.mark.slow
def test_a_drawn_part_is_said_to_be_one_and_has_the_grammars_loss_on_it(done, here):
    """An older run, and one that went on after its end: its result.json is of another step."""
    flags = ["--preset", "tales", "--eval-tokens", "2000", "--eval-stride", "0"]
    out = done("train", *flags, "--out", "new", *TINY)
    assert "no story" in out and "parse" not in out
    shutil.copytree("new", "old")
    (here / "old" / "result.json").unlink()
    shutil.copytree("new", "longer")
    lines = (here / "longer" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    lines.append(lines[-1].replace("6,", "7,", 1))
    (here / "longer" / "metrics.csv").write_text("\n".join([*lines, ""]), encoding="utf-8")
    out = done("compare", "new", "old", "longer")
    table = rows_in(out)
    assert table["validation text"] == ["all", "drawn part", "drawn part"]
    part = read_metrics(here / "old" / "metrics.csv")[-1]
    whole = json.loads(done("eval", "new", "--json"))
    for row, name, drawn in (("validation loss", "loss", part["val_loss"]),
                             ("grammar's loss", "grammar_loss", part["grammar_loss"])):
        assert table[row] == [f"{whole[name]:.4f}", f"{drawn:.4f}", f"{drawn:.4f}"]
    assert sum("drawn part" in line for line in out.splitlines()) == 2  # the row, and a note


def test_runs_on_other_tokens_are_drawn_in_bits_per_byte(cli, finished, other, corpus, tmp_path):
    flags = ["--tokenizer", "bpe", "--vocab-size", "270"]
    cli("train", "--corpus", corpus, "--out", tmp_path / "pairs", *TINY, *flags)
    results = {"hens": Result(finished), "pairs": Result(tmp_path / "pairs")}
    factors, unit = units(results)
    assert unit == "bits per byte"
    for name, result in results.items():
        found = result.numbers()
        assert found["bits per byte"] == pytest.approx(found["validation loss"] * factors[name])
    results["pairs"] = Result(other)
    assert units(results) == ({"hens": 1, "pairs": 1}, "nats per target")


def test_without_matplotlib_the_table_is_there_and_the_way_to_get_a_picture(
    done, finished, other, here, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    out = done("compare", finished, other)
    assert "[plot]" in out and "n_layer" in out and list(here.iterdir()) == []


def test_a_run_without_a_step_has_no_numbers(done, finished, other, tmp_path):
    shutil.copytree(other, tmp_path / "begun")
    metrics = tmp_path / "begun" / "metrics.csv"
    header = metrics.read_text(encoding="utf-8").splitlines()[0]
    metrics.write_text(header + "\n", encoding="utf-8")
    out = done("compare", finished, tmp_path / "begun", "--out", tmp_path / "a.png")
    assert rows_in(out)["validation loss"][1] == "-"


def test_runs_of_one_name_are_told_apart_by_their_paths(finished, other, here):
    assert list(named([str(finished), str(other)])) == ["hens", "deep"]
    again = shutil.copytree(finished, here / "a" / "hens")
    assert list(named([finished, again])) == [str(finished), str(again)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", "{}"), ("metrics.csv", "step,loss\n1,2\n"), ("metrics.csv", None),
        ("tokenizer.json", "{}"), ("result.json", "{"), ("result.json", "[6]"),
    ],
)
def test_a_damaged_run_is_refused_with_the_file(refused, finished, other, tmp_path, name, content):
    path = shutil.copytree(other, tmp_path / "run") / name
    if content is None:
        path.unlink()
    else:
        path.write_text(content, encoding="utf-8")
    picture = tmp_path / "a.png"
    assert name in refused("compare", finished, tmp_path / "run", "--out", picture)
    assert not picture.exists()


def test_one_run_one_run_twice_and_no_run_are_refused(refused, finished, here):
    for more, fact in (([], "two"), ([finished], "twice"), (["nowhere"], "nowhere")):
        assert fact in refused("compare", finished, *more)
    assert list(here.iterdir()) == []


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=200), st.floats(-5, 5))
def test_a_smoothed_curve_starts_where_the_losses_do_and_stays_among_them(losses, slope):
    curve = plots.smoothed(losses)
    assert len(curve) == len(losses) and curve[0] == pytest.approx(losses[0], abs=1e-9)
    assert min(losses) - 1e-9 <= curve.min() and curve.max() <= max(losses) + 1e-9
    line = slope * np.arange(len(losses))
    half = max(1, len(losses) // 40)
    inner = slice(0, max(1, len(losses) - half))
    np.testing.assert_allclose(plots.smoothed(line)[inner], line[inner], atol=1e-9)
