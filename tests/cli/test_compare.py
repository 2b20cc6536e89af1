"""`npgpt compare`: what it finds to differ and prints, and what it refuses, with nothing lost."""

import json
import os
import re
import shutil
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, files

from npgpt import plots
from npgpt.checkpoint import load_run
from npgpt.cli import main
from npgpt.cli.compare import Result, differing, named, units
from npgpt.metrics import read_metrics

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
        if name in found:
            assert found[name] == column
        assert (name in found) is any(value != column[0] for value in column[1:])


@given(SETTINGS, SETTINGS)
def test_the_table_does_not_depend_on_who_is_named_first(one, two):
    there, back = differing({"one": one, "two": two}), differing({"two": two, "one": one})
    assert {name: row[::-1] for name, row in back.items()} == there
    assert differing({"one": one, "two": dict(one)}) == {}


def test_two_runs_side_by_side(cli, finished, other, here):
    before = files(finished), files(other)
    status, out, _ = cli("compare", finished, other)
    assert status == 0 and (files(finished), files(other)) == before
    picture = here / "hens-deep.png"
    assert out.endswith("picture hens-deep.png\n") and list(here.iterdir()) == [picture]
    assert picture.read_bytes().startswith(b"\x89PNG")
    lines = out.splitlines()
    table = [line.split() for line in lines[: lines.index("")]]
    assert sorted(table[1:]) == [["lr", "0.003", "0.01"], ["n_layer", "1", "2"]]
    assert table[0] == ["hens", "deep"]
    sizes = [f"{load_run(folder)[0].num_parameters():,}" for folder in (finished, other)]
    assert ["parameters", *sizes] in [line.split() for line in lines]
    losses = [f"{json.loads(cli('eval', folder, '--json')[1])['loss']:.4f}"
              for folder in (finished, other)]
    assert ["validation", "loss", *losses] in [line.split() for line in lines]
    assert rows_in(out)["validation text"] == ["all", "all"]
    assert "note" not in out


def test_a_run_is_also_named_by_its_best_weights(cli, finished, other, here):
    best = [folder / "best.safetensors" for folder in (finished, other)]
    assert cli("compare", *best)[1].replace("hens-deep.png", "again.png") == cli(
        "compare", finished, other, "--out", "again.png"
    )[1]
    status, _, err = cli("compare", finished, best[0])
    assert status == 1 and "named twice" in err


def test_as_json(cli, finished, other, tmp_path):
    out = cli("compare", finished, other, "--json", "--out", tmp_path / "a.png")[1]
    result = json.loads(out)
    assert result["settings"] == {"lr": [0.003, 0.01], "n_layer": [1, 2]}
    assert result["picture"] == str(tmp_path / "a.png") and result["notes"] == []
    hens = result["runs"]["hens"]
    assert hens["steps"] == 6 and hens["best possible loss"] is None
    assert hens["validation text"] == "all"
    assert result["runs"]["hens"]["tokens read"] == 6 * 4 * 16


@pytest.mark.slow
def test_the_floor_is_there_where_it_is_known_and_other_texts_are_noted(cli, finished, here):
    for arch, sizes in (("gpt", []), ("bert", ["--n-inner", "16"])):
        flags = ["--preset", "tales" if arch == "gpt" else "tales-bert", "--eval-tokens", "2000"]
        sizes = [*TINY, *sizes, "--block-size", "192"]
        assert cli("train", *flags, "--out", arch, *sizes)[0] == 0
    result = json.loads(cli("compare", "gpt", "bert", finished, "--json")[1])
    gpt, bert, hens = result["runs"].values()
    assert gpt["best possible loss"] == pytest.approx(0.394, abs=1e-3)
    for run, name in ((gpt, "gpt"), (bert, "bert")):
        whole = json.loads(cli("eval", name, "--json")[1])
        assert run["validation loss"] == whole["loss"] and run["validation text"] == "all"
        assert run["best possible loss"] == whole["floor"]
        assert run["loss above best"] == pytest.approx(whole["loss"] / whole["floor"] - 1)
    assert 0 < bert["best possible loss"] != gpt["best possible loss"]
    assert hens["best possible loss"] is None
    assert [note.split()[1] for note in result["notes"][:3]] == ["texts", "kinds", "tokenizers"]
    assert "drawn part" in result["notes"][3] and len(result["notes"]) == 4
    assert "n_inner" in result["settings"] and result["settings"]["n_inner"][0] is None


@pytest.mark.slow
def test_a_drawn_part_is_said_to_be_one_and_is_not_held_to_the_whole_texts_entropy(
    cli, here
):
    """An older run, and one that went on after its end: its result.json is of another step."""
    flags = ["--preset", "tales", "--eval-tokens", "2000", "--eval-stride", "0"]
    status, out, _ = cli("train", *flags, "--out", "new", *TINY)
    assert status == 0 and "no story was finished" in out and "parse" not in out
    shutil.copytree("new", "old")
    (here / "old" / "result.json").unlink()
    shutil.copytree("new", "longer")
    lines = (here / "longer" / "metrics.csv").read_text(encoding="utf-8").splitlines()
    more = lines[-1].replace("6,", "7,", 1)
    lines = "\n".join([*lines, more, ""])
    (here / "longer" / "metrics.csv").write_text(lines, encoding="utf-8")
    status, out, _ = cli("compare", "new", "old", "longer")
    table = rows_in(out)
    assert status == 0 and table["validation text"] == ["all", "drawn part", "drawn part"]
    part = read_metrics(here / "old" / "metrics.csv")[-1]["val_loss"]
    whole = json.loads(cli("eval", "new", "--json")[1])["loss"]
    assert table["validation loss"] == [f"{whole:.4f}", f"{part:.4f}", f"{part:.4f}"]
    assert table["loss above best"][1:] == ["-", "-"] and table["loss above best"][0][0] == "+"
    assert "note    evaluations in training are of a drawn part" in out


@pytest.mark.parametrize(
    ("content", "says"),
    [("{", "is damaged"), ("[6]", "is damaged"), (None, "a value is not a number")],
)
def test_a_damaged_result_is_refused_with_the_file(cli, finished, other, tmp_path, content, says):
    path = shutil.copytree(other, tmp_path / "run") / "result.json"
    found = json.loads(path.read_text(encoding="utf-8"))
    assert found["step"] == 6
    path.write_text(content or json.dumps(found | {"loss": "low"}), encoding="utf-8")
    status, out, err = cli("compare", finished, tmp_path / "run", "--out", tmp_path / "a.png")
    assert status == 1 and says in err and "result.json" in err and out == ""


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
    cli, finished, other, here, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    status, out, _ = cli("compare", finished, other)
    assert status == 0 and "no picture: pictures need matplotlib; install it with" in out
    assert "n_layer" in out and list(here.iterdir()) == []


def test_a_run_without_a_step_has_no_numbers(cli, finished, other, tmp_path):
    shutil.copytree(other, tmp_path / "begun")
    metrics = tmp_path / "begun" / "metrics.csv"
    header = metrics.read_text(encoding="utf-8").splitlines()[0]
    metrics.write_text(header + "\n", encoding="utf-8")
    status, out, _ = cli("compare", finished, tmp_path / "begun", "--out", tmp_path / "a.png")
    assert status == 0 and rows_in(out)["validation loss"][1] == "-"


def test_runs_of_one_name_are_told_apart_by_their_paths(finished, other, here):
    assert list(named([str(finished), str(other)])) == ["hens", "deep"]
    again = shutil.copytree(finished, here / "a" / "hens")
    assert list(named([finished, again])) == [str(finished), str(again)]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("config.json", "{", "is damaged"),
        ("config.json", "{}", "was not written by npgpt train"),
        ("metrics.csv", "step,loss\n1,2\n", "metrics.csv, line 1: not just the column"),
        ("metrics.csv", None, "metrics.csv is missing"),
        ("tokenizer.json", "{}", "tokenizer.json"),
    ],
)
def test_a_damaged_run_is_refused_with_the_file(
    cli, finished, other, tmp_path, name, content, says
):
    shutil.copytree(other, tmp_path / "run")
    if content is None:
        (tmp_path / "run" / name).unlink()
    else:
        (tmp_path / "run" / name).write_text(content, encoding="utf-8")
    status, out, err = cli("compare", finished, tmp_path / "run", "--out", tmp_path / "a.png")
    assert status == 1 and says in err and out == "" and not (tmp_path / "a.png").exists()


def test_one_run_one_run_twice_and_no_run_are_refused(cli, finished, here):
    for runs, says in (
        ([finished], "alone has nothing to be compared with"),
        ([finished, finished], "named twice"),
        ([finished, here / "nowhere"], "neither a run folder"),
    ):
        status, out, err = cli("compare", *runs)
        assert status == 1 and says in err and out == "" and list(here.iterdir()) == []


@pytest.mark.parametrize("there", ["file", "link", "folder"])
def test_nothing_that_is_there_is_overwritten(cli, finished, other, tmp_path, there):
    out = tmp_path / "a.png"
    if there == "folder":
        out.mkdir()
    else:
        path = out if there == "file" else tmp_path / "mine"
        path.write_text("mine", encoding="utf-8")
        if there == "link":
            out.symlink_to(path)
    before = files(tmp_path)
    status, table, err = cli("compare", finished, other, "--out", out)
    assert status == 1 and "--out" in err and files(tmp_path) == before
    assert "validation loss" in table and "n_layer" in table  # which need no file
    status, table, err = cli("compare", finished, other, "--out", out, "--json")
    assert status == 1 and "--out" in err and files(tmp_path) == before
    assert json.loads(table)["picture"] is None


def test_its_own_picture_is_replaced_and_that_is_said(cli, finished, other, here):
    out = cli("compare", finished, other)[1]
    picture = here / "hens-deep.png"
    before = picture.read_bytes()
    assert "replaces" not in out
    os.link(picture, here / "old")  # it changes with the file if that is written in place
    out = cli("compare", other, finished, "--out", picture)[1]
    assert f"picture {picture}, which replaces the one that compare drew before" in out
    assert picture.read_bytes() != before == (here / "old").read_bytes()
    assert json.loads(cli("compare", finished, other, "--json")[1])["picture"] == picture.name


@pytest.mark.parametrize("made_by", ["train", "gradcheck", "a link"])
def test_a_picture_that_compare_did_not_draw_stays(cli, finished, other, here, made_by):
    picture = here / "a.png"
    if made_by == "train":
        shutil.copy(finished / "loss.png", picture)
    elif made_by == "gradcheck":
        plots.curves_picture(picture, {"a": ([1], [1])}, xlabel="", ylabel="", title="compare")
    else:
        cli("compare", finished, other, "--out", here / "mine.png")
        picture.symlink_to(here / "mine.png")
    before = files(here)
    status, _, err = cli("compare", finished, other, "--out", picture)
    assert status == 1 and "--out" in err and files(here) == before


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=200), st.floats(-5, 5))
def test_a_smoothed_curve_starts_where_the_losses_do_and_stays_among_them(losses, slope):
    curve = plots.smoothed(losses)
    assert len(curve) == len(losses) and curve[0] == pytest.approx(losses[0], abs=1e-9)
    assert min(losses) - 1e-9 <= curve.min() and curve.max() <= max(losses) + 1e-9
    line = slope * np.arange(len(losses))
    half = max(1, len(losses) // 40)
    inner = slice(0, max(1, len(losses) - half))
    np.testing.assert_allclose(plots.smoothed(line)[inner], line[inner], atol=1e-9)
