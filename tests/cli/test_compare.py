"""`npgpt compare`: what it finds to differ and prints, and what it refuses, with nothing lost."""

import json
import re
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_run import TINY, files

from npgpt.cli import main
from npgpt.cli.compare import differing
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
    found = differing(list(settings.values()))
    for name in "abcdef":
        column = [of_run.get(name) for of_run in settings.values()]
        differs = any(value != column[0] for value in column[1:])
        assert found.pop(name, None) == (column if differs else None)
    assert not found


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


def test_a_picture_that_cannot_be_written_loses_no_table(cli, finished, other, here):
    status, out, err = cli("compare", finished, other, "--out", here)
    assert status == 1 and "--out" in err and rows_in(out)["n_layer"] == ["1", "2"]


def test_without_matplotlib_the_table_is_there_and_the_way_to_get_a_picture(
    done, finished, other, here, monkeypatch
):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)  # what an import then finds
    out = done("compare", finished, other)
    assert "[plot]" in out and "n_layer" in out and list(here.iterdir()) == []


def test_one_run_one_run_twice_and_no_run_are_refused(refused, finished, here):
    for more, fact in (([], "two"), ([finished], "once"), (["nowhere"], "nowhere")):
        assert fact in refused("compare", finished, *more)
    assert list(here.iterdir()) == []
